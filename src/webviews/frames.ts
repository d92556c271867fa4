/** Draws at most once a frame, whatever is asked for meanwhile; each drawing is given a number of its own. */
export function oncePerFrame(draw: (revision: number) => void): () => void {
  let revision = 0;
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      revision += 1;
      draw(revision);
    });
  };
}

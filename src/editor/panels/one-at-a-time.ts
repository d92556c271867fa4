/**
 * The work, never done twice at once: all calls while it is done are one more time of it. What is given back resolves when nobody waits
 * for more.
 */
export function oneAtATime(work: () => Promise<void>, isOver: () => boolean): () => Promise<void> {
  let working: Promise<void> | undefined;
  let isWantedAgain = false;

  async function workUntilDone(): Promise<void> {
    do {
      isWantedAgain = false;
      await work();
    } while ((isWantedAgain as boolean) && !isOver());
  }

  return () => {
    if (working === undefined) {
      working = workUntilDone().finally(() => {
        working = undefined;
      });
    } else {
      isWantedAgain = true;
    }
    return working;
  };
}

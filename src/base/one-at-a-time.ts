/**
 * The work, never done twice at once: all calls while it is done are one more time of it. What is given back resolves when nobody waits
 * for more, and rejects with what the work rejects with; then nobody waits any longer.
 * @param work rejects with what goes wrong, and throws nothing before
 * @param isOver true once it should not be done another time
 */
export function oneAtATime(work: () => Promise<void>, isOver: () => boolean = () => false): () => Promise<void> {
  let working: Promise<void> | undefined;
  let isWantedAgain = false;

  async function workUntilDone(): Promise<void> {
    try {
      do {
        isWantedAgain = false;
        await work();
      } while ((isWantedAgain as boolean) && !isOver());
    } finally {
      // In the same turn as the last look at who waits: who calls later begins anew.
      working = undefined;
    }
  }

  return () => {
    if (working === undefined) working = workUntilDone();
    else isWantedAgain = true;
    return working;
  };
}

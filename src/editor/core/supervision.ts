import type { QueueState } from './folder-watch.ts';

/**
 * When a detached supervisor has to be started for a folder. What runs always needs one; what waits only once the user wants it started,
 * here or in an earlier session whose runs still train. One that does not show itself is started again a few times, then given up.
 */

/** `adopt` looks after what runs and starts nothing; `give-up` is answered once, until the user tries again. */
export type SupervisionStep = 'nothing' | 'adopt' | 'start' | 'give-up';

export interface Supervision {
  /** After each look. @param now milliseconds, by any clock */
  next(queue: QueueState, now: number): SupervisionStep;
  /** One lived already that the look did not see: should it end, another is started at once. */
  found(): void;
  /** It could not be started, for a reason that the user was told. */
  failed(): void;
  /** The user wants what waits to be started. @returns whether a supervisor that leaves it alone has to make room */
  startQueue(): boolean;
  /** Whether runs wait and nobody starts them. */
  isPaused(queue: QueueState): boolean;
}

/** How long a supervisor that was started is given to show itself before another is. */
const patienceMs = 15_000;
const mostAttempts = 3;

/** The decision for one folder, before its first look. */
export function supervision(): Supervision {
  let startsQueued = false;
  let startedAt = -Infinity;
  let attempts = 0;
  let onlyAdopts = false;

  return {
    next(queue, now) {
      const { claimed, waiting, supervised } = queue;
      if (supervised) {
        // Once it shows itself, its end is for the next look to see.
        startedAt = -Infinity;
        attempts = 0;
        return 'nothing';
      }
      if (now - startedAt < patienceMs || attempts > mostAttempts) return 'nothing';
      // A run whose trainer lives was left running by an earlier session, with the queue behind it.
      if (claimed.some(({ alive }) => alive)) startsQueued = true;
      if (claimed.length === 0 && (waiting.length === 0 || !startsQueued)) return 'nothing';
      attempts++;
      if (attempts > mostAttempts) {
        startsQueued = false;
        return 'give-up';
      }
      startedAt = now;
      onlyAdopts = !startsQueued;
      return startsQueued ? 'start' : 'adopt';
    },
    found() {
      startedAt = -Infinity;
      attempts = 0;
    },
    failed() {
      attempts = mostAttempts + 1;
      startsQueued = false;
    },
    startQueue() {
      startsQueued = true;
      attempts = 0;
      startedAt = onlyAdopts ? -Infinity : startedAt;
      const makesRoom = onlyAdopts;
      onlyAdopts = false;
      return makesRoom;
    },
    isPaused: ({ waiting, supervised }) => waiting.length > 0 && !supervised && !startsQueued,
  };
}

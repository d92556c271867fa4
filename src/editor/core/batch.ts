/** Collects changes and hands them on together, at most once in an interval; the first of a quiet time is handed on at once. */
export interface Batch<T> {
  add(change: T): void;
  dispose(): void;
}

/**
 * @param merge how a change is added to those that wait
 * @param flush what is done with them
 */
export function batch<T, All>(
  intervalMs: number,
  merge: (waiting: All | undefined, change: T) => All,
  flush: (all: All) => void,
): Batch<T> {
  let waiting: All | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function hand(): void {
    const all = waiting;
    waiting = undefined;
    timer = undefined;
    if (all === undefined) return;
    timer = setTimeout(hand, intervalMs);
    flush(all);
  }

  return {
    add(change) {
      waiting = merge(waiting, change);
      // A moment's delay lets changes of one and the same cause go together.
      timer ??= setTimeout(hand, 0);
    },
    dispose() {
      clearTimeout(timer);
      waiting = undefined;
    },
  };
}

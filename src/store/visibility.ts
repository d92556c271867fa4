/**
 * A later segment replaces the steps that it repeats: `started.fromStep` of a segment hides everything that earlier segments
 * say of that step and of later ones. Of what is left, the newest word on a step holds, so that no step appears twice (a
 * segment that begins after step k may evaluate step k again).
 */

export interface SegmentStart {
  readonly segment: number;
  readonly fromStep: number | null;
}

/** For each segment the first step of it that is hidden; infinity when none is. */
export type Horizon = (segment: number) => number;

/** The horizon of each segment, from the starts of all. */
export function horizonOf(starts: readonly SegmentStart[]): Horizon {
  const newestFirst = starts
    .filter((start): start is { segment: number; fromStep: number } => start.fromStep !== null)
    .sort((a, b) => b.segment - a.segment);
  return (segment) => {
    let least = Infinity;
    for (const start of newestFirst) {
      if (start.segment <= segment) break;
      least = Math.min(least, start.fromStep);
    }
    return least;
  };
}

export interface Placed {
  readonly segment: number;
  readonly step: number;
}

/**
 * The rows that hold, by ascending step.
 * @param rows in the order in which they were written: by segment, then by seq
 * @param sameAs what else must agree for one row to replace another of the same step
 */
export function visible<T extends Placed>(
  rows: readonly T[],
  horizon: Horizon,
  sameAs?: (row: T) => string,
): readonly T[] {
  const limits = new Map<number, number>();
  const shown = rows.filter((row) => {
    let limit = limits.get(row.segment);
    if (limit === undefined) limits.set(row.segment, (limit = horizon(row.segment)));
    return row.step < limit;
  });
  // Sorting is stable, so the newest word on a step stays the last.
  shown.sort((a, b) => a.step - b.step);
  if (sameAs === undefined) return shown.filter((row, index) => shown[index + 1]?.step !== row.step);
  const newest = new Map(shown.map((row) => [JSON.stringify([row.step, sameAs(row)]), row]));
  return shown.filter((row) => newest.get(JSON.stringify([row.step, sameAs(row)])) === row);
}

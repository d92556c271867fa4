/**
 * Thinning of curves. `minmax` keeps the least and the greatest value of every bucket, so no spike is lost; `lttb` keeps the
 * points that make the largest triangles (Steinarsson 2013, "Downsampling Time Series for Visual Representation"), so the shape
 * reads best. Both keep the first and the last point, and a gap (NaN) stays visible.
 */
export type Thinning = 'minmax' | 'lttb';

/** Where bucket `index` of `buckets` begins when the points 1 … count - 2 are shared out evenly. */
function bucketStart(index: number, buckets: number, count: number): number {
  return 1 + Math.floor((index * (count - 2)) / buckets);
}

/** The indices, ascending, of at most `wanted` points (at least 2) that stand for all of `values`. */
function minmax(values: ArrayLike<number>, wanted: number): number[] {
  const count = values.length;
  const kept = [0];
  // A gap is a third point of its bucket, which must fit too.
  const hasGaps = Array.prototype.some.call(values, Number.isNaN);
  const buckets = Math.floor((wanted - 2) / (hasGaps ? 3 : 2));
  for (let bucket = 0; bucket < buckets; bucket++) {
    const [start, end] = [bucketStart(bucket, buckets, count), bucketStart(bucket + 1, buckets, count)];
    let [least, greatest, gap] = [-1, -1, -1];
    for (let i = start; i < end; i++) {
      const value = values[i] as number;
      if (Number.isNaN(value)) gap = gap < 0 ? i : gap;
      else {
        if (least < 0 || value < (values[least] as number)) least = i;
        if (greatest < 0 || value > (values[greatest] as number)) greatest = i;
      }
    }
    const found = new Set([least, greatest, gap].filter((index) => index >= 0));
    kept.push(...[...found].sort((a, b) => a - b));
  }
  kept.push(count - 1);
  return kept;
}

function lttb(steps: ArrayLike<number>, values: ArrayLike<number>, wanted: number): number[] {
  const count = values.length;
  const kept = [0];
  const buckets = wanted - 2;
  let previous = 0;
  for (let bucket = 0; bucket < buckets; bucket++) {
    const [start, end] = [bucketStart(bucket, buckets, count), bucketStart(bucket + 1, buckets, count)];
    const nextEnd = bucket + 1 < buckets ? bucketStart(bucket + 2, buckets, count) : count;
    let [nextStep, nextValue, known] = [0, 0, 0];
    for (let i = end; i < nextEnd; i++) {
      const value = values[i] as number;
      if (Number.isNaN(value)) continue;
      nextStep += steps[i] as number;
      nextValue += value;
      known++;
    }
    const [x, y] = [(steps[previous] as number) || 0, (values[previous] as number) || 0];
    const [dx, dy] = known === 0 ? [1, 0] : [nextStep / known - x, nextValue / known - y];
    let [best, greatest] = [start, -1];
    for (let i = start; i < end; i++) {
      const value = values[i] as number;
      // A gap is rarer than any corner, and drawing over it would hide a divergence.
      const area = Number.isNaN(value) ? Infinity : Math.abs(dx * (value - y) - ((steps[i] as number) - x) * dy);
      if (area > greatest) [best, greatest] = [i, area];
    }
    kept.push(best);
    previous = best;
  }
  kept.push(count - 1);
  return kept;
}

/**
 * The indices, ascending, of the points to keep.
 * @param steps ascending; `values` has the same length, NaN where there is no number
 * @param wanted the greatest number of points; all are kept when there are no more than this (or than 4)
 */
export function thin(
  steps: ArrayLike<number>,
  values: ArrayLike<number>,
  wanted: number,
  how: Thinning,
): readonly number[] {
  const most = Math.max(4, Math.floor(wanted));
  if (values.length <= most) return Array.from({ length: values.length }, (_, index) => index);
  return how === 'minmax' ? minmax(values, most) : lttb(steps, values, most);
}

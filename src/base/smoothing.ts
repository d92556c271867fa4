/**
 * Exponential moving averages of curves. The average starts empty and is divided by the weight that it has gathered (the
 * correction of Kingma and Ba 2015, section 3), so its first values are not drawn towards zero.
 */

/** What an average has seen so far, to go on from there. */
export interface Smoothing {
  /** The weighted sum of the values. */
  readonly sum: number;
  /** The sum of the weights, below 1. */
  readonly weight: number;
}

/** The average of nothing. */
export const unsmoothed: Smoothing = { sum: 0, weight: 0 };

/**
 * Smooths values, going on from `state`: s ← w·s + (1 - w)·v, shown as s divided by the weights so far. NaN leaves a gap and is
 * not averaged.
 * @param weight of the past, from 0 (no smoothing) to below 1
 * @throws RangeError for another weight
 */
export function smooth(
  values: ArrayLike<number>,
  weight: number,
  state: Smoothing = unsmoothed,
): { readonly values: Float64Array; readonly state: Smoothing } {
  if (!(weight >= 0 && weight < 1)) throw new RangeError(`${weight} is not a weight from 0 to below 1`);
  const smoothed = new Float64Array(values.length);
  let { sum, weight: gathered } = state;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    if (Number.isNaN(value)) {
      smoothed[index] = NaN;
      continue;
    }
    sum = weight * sum + (1 - weight) * value;
    gathered = weight * gathered + (1 - weight);
    smoothed[index] = sum / gathered;
  }
  return { values: smoothed, state: { sum, weight: gathered } };
}

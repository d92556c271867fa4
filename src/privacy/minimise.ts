/** A point on the positive half-line and the function's value there. */
export interface Minimum {
  readonly at: number;
  readonly value: number;
}

export interface MinimumOptions {
  /** The relative width at which the search ends. */
  readonly tolerance?: number;
  /** Where the function falls for ever, the search ends there. */
  readonly lowest?: number;
  readonly highest?: number;
}

const golden = (Math.sqrt(5) - 1) / 2;

/**
 * The minimum of a quasi-convex function over the positive numbers: doubling or halving from `start` until it is enclosed, then golden
 * sections of the logarithm.
 */
export function minimisePositive(
  f: (x: number) => number,
  start: number,
  { tolerance = 1e-7, lowest = 1e-9, highest = 1e9 }: MinimumOptions = {},
): Minimum {
  const begin = Math.min(highest, Math.max(lowest, start));
  let best: Minimum = { at: begin, value: f(begin) };
  const visit = (x: number): number => {
    const value = f(x);
    if (value < best.value) best = { at: x, value };
    return value;
  };
  const step = Math.log(2);
  let centre = Math.log(begin);
  let low = Math.max(centre - step, Math.log(lowest));
  let high = Math.min(centre + step, Math.log(highest));
  let middle = best.value;
  let left = visit(Math.exp(low));
  let right = visit(Math.exp(high));
  while (!(left >= middle) && low > Math.log(lowest)) {
    [right, middle, high, centre] = [middle, left, centre, low];
    low = Math.max(low - step, Math.log(lowest));
    left = visit(Math.exp(low));
  }
  while (!(right >= middle) && high < Math.log(highest)) {
    [middle, low, centre] = [right, centre, high];
    high = Math.min(high + step, Math.log(highest));
    right = visit(Math.exp(high));
  }
  let a = high - golden * (high - low);
  let b = low + golden * (high - low);
  let fa = visit(Math.exp(a));
  let fb = visit(Math.exp(b));
  while (high - low > tolerance) {
    if (fa <= fb) {
      [high, b, fb] = [b, a, fa];
      a = high - golden * (high - low);
      fa = visit(Math.exp(a));
    } else {
      [low, a, fa] = [a, b, fb];
      b = low + golden * (high - low);
      fb = visit(Math.exp(b));
    }
  }
  return best;
}

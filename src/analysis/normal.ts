/** The standard normal distribution. */

const tailFrom = 3;

/** Density at `z`. */
export function normalDensity(z: number): number {
  return Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
}

/** P(Z > z), to full relative precision also far out (Abramowitz and Stegun 26.2.11 near the middle, 26.2.14 in the tail). */
export function normalTail(z: number): number {
  if (z < 0) return 1 - normalTail(-z);
  if (z === Infinity) return 0;
  if (z < tailFrom) {
    let term = z;
    let sum = z;
    for (let k = 1; Math.abs(term) > 1e-17 * Math.abs(sum); k++) {
      term *= (z * z) / (2 * k + 1);
      sum += term;
    }
    return 0.5 - normalDensity(z) * sum;
  }
  let fraction = z;
  for (let k = 200; k >= 1; k--) fraction = z + k / fraction;
  return normalDensity(z) / fraction;
}

/**
 * The z that is exceeded with probability `tail`, which lies in (0, 1).
 * @throws RangeError
 */
export function normalUpperQuantile(tail: number): number {
  if (!(tail > 0 && tail < 1)) throw new RangeError(`${tail} is not a probability between 0 and 1`);
  if (tail > 0.5) return -normalUpperQuantile(1 - tail);
  // A first guess to three digits (Abramowitz and Stegun 26.2.23), then Newton's method on the logarithm of the tail.
  const t = Math.sqrt(-2 * Math.log(tail));
  let z = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3);
  for (let i = 0; i < 50; i++) {
    const value = normalTail(z);
    const change = (Math.log(value / tail) * value) / normalDensity(z);
    z += change;
    if (Math.abs(change) <= 1e-15 * Math.abs(z)) break;
  }
  return z;
}

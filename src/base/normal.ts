/** The standard normal distribution, to full double precision however far out; JavaScript has no error function of its own. */

const halfLogTwoPi = 0.5 * Math.log(2 * Math.PI);

/** The density φ(x). */
export function normalDensity(x: number): number {
  return Math.exp(-0.5 * x * x - halfLogTwoPi);
}

/**
 * Mills' ratio (1 − Φ(x))/φ(x). Unlike either tail it neither under- nor overflows for x ≥ 0. Up to 1.5 by the series
 * Φ(x) − ½ = φ(x)·Σ x^(2n+1)/(1·3·…·(2n+1)), all of whose terms are positive; beyond by Laplace's continued fraction
 * 1/(x + 1/(x + 2/(x + 3/(x + …)))), whose n-th convergent is off by a factor of about 1 ± exp(−2x√(2n)).
 */
export function millsRatio(x: number): number {
  if (x < 0) return 1 / normalDensity(x) - millsRatio(-x);
  if (x < 1.5) {
    let term = x;
    let sum = 0;
    for (let n = 1; term > sum * 1e-18; n += 2) {
      sum += term;
      term *= (x * x) / (n + 2);
    }
    return 0.5 / normalDensity(x) - sum;
  }
  let tail = 0;
  for (let n = Math.ceil(20 + 600 / (x * x)); n > 0; n--) tail = n / (x + tail);
  return 1 / (x + tail);
}

/** Φ(x). */
export function normalCdf(x: number): number {
  return x <= 0 ? normalDensity(x) * millsRatio(-x) : 1 - normalDensity(x) * millsRatio(x);
}

/** The upper tail 1 − Φ(x). */
export function normalTail(x: number): number {
  return normalCdf(-x);
}

/**
 * The x that is exceeded with probability `tail`, which lies in (0, 1).
 * @throws RangeError
 */
export function normalUpperQuantile(tail: number): number {
  if (!(tail > 0 && tail < 1)) throw new RangeError(`${tail} is not a probability between 0 and 1`);
  if (tail > 0.5) return -normalUpperQuantile(1 - tail);
  // A first guess to three digits (Abramowitz and Stegun 26.2.23), then Newton's method on the logarithm of the tail.
  const t = Math.sqrt(-2 * Math.log(tail));
  let x = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3);
  for (let i = 0; i < 50; i++) {
    const value = normalTail(x);
    const change = (Math.log(value / tail) * value) / normalDensity(x);
    x += change;
    if (Math.abs(change) <= 1e-15 * Math.abs(x)) break;
  }
  return x;
}

/** The normal distribution's tails, to full double precision however far out; JavaScript has no error function of its own. */

const halfLogTwoPi = 0.5 * Math.log(2 * Math.PI);

/** The standard normal density. */
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

/** log Φ(x); finite as far as x² is. */
export function logNormalCdf(x: number): number {
  return x <= 0
    ? -0.5 * x * x - halfLogTwoPi + Math.log(millsRatio(-x))
    : Math.log1p(-normalDensity(x) * millsRatio(x));
}

import type { Floats } from './adamw.ts';

/** The Euclidean norm of all gradients together, summed in float64; NaN or infinite when an element is. */
export function globalNorm(gradients: Iterable<Floats>): number {
  let sum = 0;
  for (const gradient of gradients) sum += squaredNorm(gradient);
  return Math.sqrt(sum);
}

function squaredNorm(values: Floats): number {
  // Four sums hide the latency of an addition behind the others.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const { length } = values;
  const whole = length - (length % 4);
  for (let i = 0; i < whole; i += 4) {
    const p = values[i] as number;
    const q = values[i + 1] as number;
    const r = values[i + 2] as number;
    const s = values[i + 3] as number;
    a += p * p;
    b += q * q;
    c += r * r;
    d += s * s;
  }
  for (let i = whole; i < length; i++) a += (values[i] as number) ** 2;
  return a + b + (c + d);
}

/**
 * The factor by which torch's `clip_grad_norm_` multiplies every gradient: min(1, maxNorm / (norm + 1e-6)). A NaN norm gives NaN.
 * @param maxNorm nothing leaves the gradients as they are
 */
export function clipFactor(norm: number, maxNorm: number | null): number {
  return maxNorm === null ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
}

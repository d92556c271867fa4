/**
 * The discrete Fourier transform that the accountant convolves with. It is written out here because the accountant's bounds rest on a
 * proven limit of its rounding error, which holds for this algorithm with directly computed roots of unity (Higham 2002, "Accuracy and
 * stability of numerical algorithms", theorem 24.2), and because leaving the spectrum in bit-reversed order saves every permutation.
 */

/** Roots of unity for transforms of up to a length, in the order that the butterflies ask for them. */
export interface Roots {
  readonly cos: Float64Array;
  readonly sin: Float64Array;
}

/**
 * exp(−2πi·rev(j)/n) for j below n/2, each computed by itself: a recurrence would lose digits. A shorter transform's roots
 * are the first ones of a longer one's.
 */
export function rootsOfUnity(n: number): Roots {
  const half = n / 2;
  const order = frequencyOrder(half);
  const cos = new Float64Array(half);
  const sin = new Float64Array(half);
  for (let j = 0; j < half; j++) {
    const angle = (-2 * Math.PI * (order[j] as number)) / n;
    cos[j] = Math.cos(angle);
    sin[j] = Math.sin(angle);
  }
  return { cos, sin };
}

/**
 * Transforms in place: X[k] = Σ x[j]·exp(−2πi·jk/n), where X[k] is left at the index whose bits are those of k reversed.
 * @param re real parts; a power of two of them
 * @param im imaginary parts
 */
export function transform(re: Float64Array, im: Float64Array, { cos, sin }: Roots): void {
  const n = re.length;
  for (let blocks = 1, half = n >> 1; half >= 1; blocks <<= 1, half >>= 1) {
    for (let block = 0, start = 0; block < blocks; block++, start += 2 * half) {
      const c = cos[block] as number;
      const s = sin[block] as number;
      for (let i = start, j = start + half; i < start + half; i++, j++) {
        const xr = re[j] as number;
        const xi = im[j] as number;
        const tr = xr * c - xi * s;
        const ti = xr * s + xi * c;
        const ur = re[i] as number;
        const ui = im[i] as number;
        re[i] = ur + tr;
        im[i] = ui + ti;
        re[j] = ur - tr;
        im[j] = ui - ti;
      }
    }
  }
}

/** Undoes {@link transform}, up to the factor n: takes the spectrum in bit-reversed order and leaves the signal in its own. */
export function inverseTransform(re: Float64Array, im: Float64Array, { cos, sin }: Roots): void {
  const n = re.length;
  for (let blocks = n >> 1, half = 1; half < n; blocks >>= 1, half <<= 1) {
    for (let block = 0, start = 0; block < blocks; block++, start += 2 * half) {
      const c = cos[block] as number;
      const s = sin[block] as number;
      for (let i = start, j = start + half; i < start + half; i++, j++) {
        const ur = re[i] as number;
        const ui = im[i] as number;
        const vr = re[j] as number;
        const vi = im[j] as number;
        re[i] = ur + vr;
        im[i] = ui + vi;
        const dr = ur - vr;
        const di = ui - vi;
        re[j] = dr * c + di * s;
        im[j] = di * c - dr * s;
      }
    }
  }
}

/** The frequency that the transform leaves at each index: its bits reversed. */
export function frequencyOrder(n: number): Uint32Array {
  const order = new Uint32Array(n);
  for (let length = 1, weight = n / 2; length < n; length *= 2, weight /= 2)
    for (let k = 0; k < length; k++) order[length + k] = (order[k] as number) + weight;
  return order;
}

/** Where the transform leaves frequency −k, given where it leaves k: bit reversal mirrors each block of [2^m, 2^(m+1)). */
export function mirrored(index: number): number {
  return index === 0 ? 0 : 3 * 2 ** (31 - Math.clz32(index)) - 1 - index;
}

/** u: the greatest relative error of one operation on doubles, rounded to nearest. */
export const UNIT_ROUNDOFF = 2 ** -53;

/**
 * The greatest relative error in the Euclidean norm that rounding can cause in a transform of length n: log₂n·η/(1 − log₂n·η) with
 * η = μ + γ₄(√2 + μ), γ₄ = 4u/(1 − 4u) and roots accurate to μ (Higham's theorem 24.2). JavaScript promises nothing of Math.cos and
 * Math.sin; engines compute them to one unit in the last place from an angle that is rounded twice, so that μ = 8u is generous.
 */
export function transformError(n: number): number {
  const mu = 8 * UNIT_ROUNDOFF;
  const eta = mu + 4.0001 * UNIT_ROUNDOFF * (Math.SQRT2 + mu);
  const total = Math.log2(n) * eta;
  return total / (1 - total);
}

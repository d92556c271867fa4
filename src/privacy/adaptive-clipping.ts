/**
 * Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy 2021, "Differentially private learning with adaptive clipping"): the norm follows a
 * quantile of the examples' gradient norms, told by a count that has noise of its own. In a step of the sampled mechanism the count
 *
 *   Σ_{i drawn} (1[‖g_i‖ ≤ C] − ½) + N(0, σ_b²)
 *
 * is released beside the noisy sum of gradients. One example moves it by ½ and the sum by C, both of the same draw, so that the two together
 * are one Gaussian mechanism of noise multiplier z with z⁻² = z_Δ⁻² + (2σ_b)⁻² (theorem 1): the accountant is told z, and the gradients get z_Δ.
 */

export interface AdaptiveClipping {
  /** γ: the share of the examples whose gradients shall not be clipped. */
  readonly quantile: number;
  /** η: how fast the norm follows. */
  readonly rate: number;
  /** σ_b: the deviation of the noise on the count, in examples. */
  readonly countDeviation: number;
}

/** Quantile and rate where none are asked for. */
export const usualAdaptation: Pick<AdaptiveClipping, 'quantile' | 'rate'> = { quantile: 0.5, rate: 0.2 };

/** σ_b where none is asked for: a twentieth of the expected batch, as the paper has it, or what leaves the gradients nearly all of the noise multiplier. */
export function usualCountDeviation(expectedBatchSize: number, noiseMultiplier: number): number {
  return Math.max(expectedBatchSize / 20, 2 * noiseMultiplier);
}

/**
 * z_Δ: the noise multiplier of the gradients' sum that leaves the whole step, the count included, at `noiseMultiplier`.
 * @throws RangeError where the count alone costs more than that
 */
export function gradientNoiseMultiplier(noiseMultiplier: number, countDeviation: number): number {
  const precision = noiseMultiplier ** -2 - (2 * countDeviation) ** -2;
  if (!(precision > 0))
    throw new RangeError(`a count with noise ${countDeviation} costs more than noise multiplier ${noiseMultiplier}`);
  return 1 / Math.sqrt(precision);
}

/** z: the noise multiplier of a step that releases the sum of gradients and the count. */
export function composedNoiseMultiplier(gradientNoise: number, countDeviation: number): number {
  return 1 / Math.sqrt(gradientNoise ** -2 + (2 * countDeviation) ** -2);
}

/**
 * The next step's norm, C·exp(−η(b − γ)), where b is the share of the examples that were not clipped, as far as the noisy count tells.
 * @param noisyCount the centred count with its noise
 */
export function nextClippingNorm(
  norm: number,
  noisyCount: number,
  expectedBatchSize: number,
  { quantile, rate }: AdaptiveClipping,
): number {
  const unclipped = 0.5 + noisyCount / expectedBatchSize;
  return norm * Math.exp(-rate * (unclipped - quantile));
}

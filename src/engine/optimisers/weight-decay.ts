/**
 * Biases (`b` in Compacter), the weights of normalisation layers in the spellings of the encoders (`LayerNorm`, `layer_norm`,
 * `sa_layer_norm`) and adapters (`normBefore`), and IA3's scales: like a norm's they rest at one, which decay would pull away from.
 */
const excluded = /bias|\.b$|layer_?norm|rms_?norm|(^|[._/])norm(before|after)?([._/]|$)|\.scale$/i;

/** Whether a tensor is usually decayed: everything but biases and the weights of normalisation layers and their like, told by its name. */
export function isDecayed(name: string): boolean {
  return !excluded.test(name);
}

/** The weight decay of a tensor: the run's, or 0 where the tensor is excluded. */
export function weightDecayOf(name: string, weightDecay: number): number {
  return isDecayed(name) ? weightDecay : 0;
}

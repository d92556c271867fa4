/** Biases, and the weights of normalisation layers in the spellings of the encoders (`LayerNorm`, `layer_norm`, `sa_layer_norm`). */
const excluded = /bias|layer_?norm|rms_?norm|(^|[._/])norm([._/]|$)/i;

/** Whether a tensor is usually decayed: everything but biases and the weights of normalisation layers, told by its name. */
export function isDecayed(name: string): boolean {
  return !excluded.test(name);
}

/** The weight decay of a tensor: the run's, or 0 where the tensor is excluded. */
export function weightDecayOf(name: string, weightDecay: number): number {
  return isDecayed(name) ? weightDecay : 0;
}

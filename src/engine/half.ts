const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bits of the float16 nearest to a float32 (ties to even); beyond its range infinity, a NaN stays one. */
export function halfBits(value: number): number {
  float[0] = value;
  const word = bits[0] ?? 0;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520, from which on the nearest is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the smallest normal number halves are multiples of 2^-24, which the addition of 0.5 rounds to.
    float[0] = Math.abs(value) + 0.5;
    return sign | ((bits[0] ?? 0) - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The float16 bits of every number. */
export function toHalf(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, halfBits);
}

/** The bits of the float32 that equals a float16: one sign bit, 5 of exponent (bias 15) and 10 of fraction become 1, 8 (bias 127), 23. */
function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal half is normal in float32: shift its first set bit up to where the implicit one stands.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/** The float32 numbers that 16-bit ones are exactly: `F16` or `BF16`, which is the upper half of a float32. */
export function widen(dtype: 'F16' | 'BF16', halves: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(halves.length);
  const widened = dtype === 'F16' ? float32BitsOfHalf : (half: number): number => half << 16;
  for (let i = 0; i < words.length; i++) words[i] = widened(halves[i] ?? 0);
  return new Float32Array(words.buffer);
}

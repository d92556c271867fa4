/**
 * Deterministic random numbers for everything but privacy: a keyed counter generator whose streams are named, so that adding a
 * draw in one place never moves the draws of another, and a position can be resumed by its number alone.
 */

/** Mixes 32-bit words into one well-distributed 32-bit word (murmur3's finaliser over each word in turn). */
export function mix32(...words: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const word of words) {
    h ^= word | 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  return h >>> 0;
}

/** A 32-bit word that stands for a text (FNV-1a), to name streams. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

export interface RandomStream {
  /** The next unsigned 32-bit word. */
  uint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Standard normal (Box-Muller; both halves are used). */
  normal(): number;
  /** Uniform integer in [0, bound), without modulo bias. */
  below(bound: number): number;
}

/** The stream called `name` under `seed`: two streams of different names or seeds are independent (sfc32, 128 bits of state). */
export function randomStream(seed: number, name: string): RandomStream {
  const key = hashText(name);
  let a = mix32(seed, key, 1) | 0;
  let b = mix32(seed, key, 2) | 0;
  let c = mix32(seed, key, 3) | 0;
  let counter = 1;
  let spare: number | undefined;

  function uint32(): number {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  }
  for (let i = 0; i < 12; i++) uint32();

  function uniform(): number {
    return ((uint32() >>> 5) * 0x4000000 + (uint32() >>> 6)) / 0x20000000000000;
  }

  function normal(): number {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  function below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 0x100000000)
      throw new RangeError(`bound ${bound} is not in 1..2^32`);
    const limit = 0x100000000 - (0x100000000 % bound);
    for (;;) {
      const word = uint32();
      if (word < limit) return word % bound;
    }
  }

  return { uint32, uniform, normal, below };
}

/** A random order of 0..count-1 (Fisher-Yates). */
export function permutation(count: number, random: RandomStream): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = order[i] as number;
    order[i] = order[j] as number;
    order[j] = held;
  }
  return order;
}

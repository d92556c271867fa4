import { chacha20 } from '@noble/ciphers/chacha.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';

/**
 * The randomness that privacy rests on: keyed counter streams. A stream is a pure function of the secret key, its name and the step, so
 * whoever has the key can repeat it and nobody else can tell it from chance.
 */
export interface PrivateStreams {
  /**
   * Poisson sampling: which of `count` examples enter a step, each with the probability `rate`, independently.
   * @returns their indices, in order; there may be none
   */
  readonly draw: (step: number, count: number, rate: number) => Uint32Array;
  /**
   * The sum with Gaussian noise of standard deviation `deviation` on every coordinate, rounded to the public grid of
   * {@link noiseGrid}.
   * @param name of the tensor; each has a stream of its own
   */
  readonly addNoise: (sum: Float64Array, step: number, name: string, deviation: number) => Float64Array;
}

/** Said in a run's ledger. */
export const generatorName =
  'ChaCha20, subkeys by HKDF-SHA-256, Box-Muller on 53 bits, rounded to a grid of 2^-10 deviations';

const TWO_53 = 2 ** 53;
/** The most bytes of key stream that are made at once: more would only cost memory. */
const MOST_BYTES = 1 << 16;
const BLOCK = 64;

/** 53 bits of key stream at a time, as whole numbers in [0, 2^53). @param count how many will be asked for, about */
function wordsOf(subkey: Uint8Array, step: number, count: number): () => number {
  if (!Number.isSafeInteger(step) || step < 0) throw new RangeError(`step ${step} is not a whole number from 0`);
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(step), true);
  const size = Math.min(MOST_BYTES, Math.ceil((count * 8) / BLOCK + 1) * BLOCK);
  const zeros = new Uint8Array(size);
  let counter = 0;
  let view = new DataView(zeros.buffer);
  let at = size;
  return () => {
    if (at === size) {
      const stream = chacha20(subkey, nonce, zeros, undefined, counter);
      counter += size / BLOCK;
      view = new DataView(stream.buffer, stream.byteOffset, size);
      at = 0;
    }
    const low = view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    at += 8;
    return (high >>> 11) * 0x100000000 + low;
  };
}

/**
 * Standard normal numbers by Box-Muller. The uniforms have 53 bits and never are 0 or 1, so that tails reach 8.5 deviations, which no
 * number of draws that a training makes can miss.
 */
function normalsOf(word: () => number): () => number {
  const uniform = (): number => (word() + 0.5) / TWO_53;
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/**
 * The public grid that noisy sums are rounded to: the power of two at or below a 2^-10 of the deviation. The low-order bits of a floating-point
 * sum depend on its terms and can give them away however good the noise is (Mironov 2012; Haney et al. 2022, arXiv 2207.13793); rounding
 * removes them. It is a strong practical defence, not a proof, and as post-processing costs no privacy.
 */
export function noiseGrid(deviation: number): number {
  return 2 ** Math.floor(Math.log2(deviation) - 10);
}

/** @param key 32 secret bytes @throws RangeError for a key of another length */
export function privateStreams(key: Uint8Array): PrivateStreams {
  if (key.length !== 32) throw new RangeError(`a key has 32 bytes, not ${key.length}`);
  const subkeys = new Map<string, Uint8Array>();
  const subkey = (name: string): Uint8Array => {
    const known = subkeys.get(name);
    if (known !== undefined) return known;
    const made = hkdf(sha256, key, undefined, new TextEncoder().encode(`peft-lab ${name}`), 32);
    subkeys.set(name, made);
    return made;
  };
  return {
    draw: (step, count, rate) => {
      if (!(rate >= 0 && rate <= 1)) throw new RangeError(`sampling rate ${rate} is not in [0, 1]`);
      const word = wordsOf(subkey('draw'), step, count);
      // Rounded down, so that no example is drawn more often than the accountant assumes.
      const below = Math.floor(rate * TWO_53);
      const drawn: number[] = [];
      for (let index = 0; index < count; index++) if (word() < below) drawn.push(index);
      return Uint32Array.from(drawn);
    },
    addNoise: (sum, step, name, deviation) => {
      if (!(deviation > 0 && deviation < Infinity))
        throw new RangeError(`deviation ${deviation} is not a number above 0`);
      const normal = normalsOf(wordsOf(subkey(`noise ${name}`), step, sum.length + 1));
      const grid = noiseGrid(deviation);
      return sum.map((value) => Math.round((value + deviation * normal()) / grid) * grid);
    },
  };
}

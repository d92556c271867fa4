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
  readonly addNoise: (sum: Float32Array | Float64Array, step: number, name: string, deviation: number) => Float64Array;
}

/** Said in a run's ledger. */
export const generatorName =
  'ChaCha20, subkeys by HKDF-SHA-256, Box-Muller on 53 bits, rounded to a grid of 2^-10 deviations';

const TWO_53 = 2 ** 53;
/** The most bytes of key stream that are made at once: more would only cost memory. */
const MOST_BYTES = 1 << 16;
const BLOCK = 64;

/**
 * The key stream of a step, in blocks, as 32-bit words of little-endian bytes.
 * @param count how many numbers of 53 bits, two words each, will be asked for, about
 */
function blocksOf(subkey: Uint8Array, step: number, count: number): () => DataView {
  if (!Number.isSafeInteger(step) || step < 0) throw new RangeError(`step ${step} is not a whole number from 0`);
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(step), true);
  const size = Math.min(MOST_BYTES, Math.ceil((count * 8) / BLOCK + 1) * BLOCK);
  const zeros = new Uint8Array(size);
  const stream = new Uint8Array(size);
  const view = new DataView(stream.buffer);
  let counter = 0;
  return () => {
    chacha20(subkey, nonce, zeros, stream, counter);
    counter += size / BLOCK;
    return view;
  };
}

/** 53 bits of key stream as a whole number in [0, 2^53). */
function wordAt(block: DataView, at: number): number {
  return (block.getUint32(at + 4, true) >>> 11) * 0x100000000 + block.getUint32(at, true);
}

/**
 * Standard normal numbers by Box-Muller. The uniforms have 53 bits and never are 0 or 1, so that tails reach 8.5 deviations, which no
 * number of draws that a training makes can miss. (A loop over blocks rather than a function a number: full fine-tuning asks for
 * as many as the encoder has.)
 */
function fillNormal(into: Float64Array, nextBlock: () => DataView): void {
  const { length } = into;
  for (let i = 0; i < length;) {
    const block = nextBlock();
    // Whole blocks hold whole pairs.
    const end = Math.min(length, i + block.byteLength / 8);
    for (let at = 0; i < end; i += 2, at += 16) {
      const radius = Math.sqrt(-2 * Math.log((wordAt(block, at) + 0.5) / TWO_53));
      const angle = 2 * Math.PI * ((wordAt(block, at + 8) + 0.5) / TWO_53);
      into[i] = radius * Math.cos(angle);
      if (i + 1 < length) into[i + 1] = radius * Math.sin(angle);
    }
  }
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
      const nextBlock = blocksOf(subkey('draw'), step, count);
      // Rounded down, so that no example is drawn more often than the accountant assumes.
      const below = Math.floor(rate * TWO_53);
      const drawn: number[] = [];
      for (let index = 0; index < count;) {
        const block = nextBlock();
        for (let at = 0; at < block.byteLength && index < count; at += 8, index++)
          if (wordAt(block, at) < below) drawn.push(index);
      }
      return Uint32Array.from(drawn);
    },
    addNoise: (sum, step, name, deviation) => {
      if (!(deviation > 0 && deviation < Infinity))
        throw new RangeError(`deviation ${deviation} is not a number above 0`);
      const noisy = new Float64Array(sum.length);
      fillNormal(noisy, blocksOf(subkey(`noise ${name}`), step, sum.length + 1));
      const grid = noiseGrid(deviation);
      for (let i = 0; i < noisy.length; i++)
        noisy[i] = Math.round(((sum[i] as number) + deviation * (noisy[i] as number)) / grid) * grid;
      return noisy;
    },
  };
}

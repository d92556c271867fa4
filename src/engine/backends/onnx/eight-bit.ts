import type { Reading } from '../../graph/frozen-products.ts';

/** A matrix as a product of 8-bit integers reads it: column c of it is `scales[c]` times column c of `values`. */
export interface EightBitMatrix {
  /** Rows and columns. */
  readonly shape: readonly [number, number];
  readonly values: Int8Array;
  /** One for each column. */
  readonly scales: Float32Array;
  /** What each channel of the rows is to be multiplied with before; nothing where they stay as they are. */
  readonly rowFactors?: Float32Array;
}

/** A matrix in 8 bits, by how products read it. */
export type RoundedMatrix = Readonly<Partial<Record<Reading, EightBitMatrix>>>;

/** The frozen matrices that are read in 8 bits, by name. */
export type EightBitMatrices = ReadonlyMap<string, RoundedMatrix>;

/** The greatest magnitude of an 8-bit weight. */
export const EIGHT_BITS = 127;

/**
 * The same where the processor adds two products of bytes in 16 bits that saturate (x86 without VNNI): with weights no greater than this,
 * 2 · 255 · 64 is below 2¹⁵.
 */
export const SEVEN_BITS = 64;

/** The greatest magnitude in each column of a matrix. */
function greatestOfColumns(matrix: Float32Array, columns: number): Float32Array {
  const greatest = new Float32Array(columns);
  for (let at = 0; at < matrix.length; at += columns) {
    for (let column = 0; column < columns; column++) {
      const magnitude = Math.abs(matrix[at + column] ?? 0);
      if (magnitude > (greatest[column] ?? 0)) greatest[column] = magnitude;
    }
  }
  return greatest;
}

/**
 * What the channels of rows are divided by, and those of the matrix multiplied with, so that neither of the two has a few channels much
 * larger than the others: the root of both sizes' ratio (Xiao et al. 2023, "SmoothQuant", eq. 4 with α = ½).
 */
function channelFactors(matrix: Float32Array, inner: number, sizes: Float32Array): Float32Array {
  const greatest = greatestOfColumns(matrix, inner);
  return sizes.map((size, channel) => {
    const factor = Math.sqrt(size / (greatest[channel] ?? 0));
    return Number.isFinite(factor) && factor > 0 ? factor : 1;
  });
}

/** Added to a float64 and taken off again, this rounds it to the nearest integer, several times as fast as Math.round. */
const ROUNDING = 1.5 * 2 ** 52;

/** W `[out, in]` in integers, each column on a scale of its own. */
function roundStraight(matrix: Float32Array, [out, inner]: readonly [number, number], limit: number): EightBitMatrix {
  const greatest = greatestOfColumns(matrix, inner);
  const factors = Float64Array.from(greatest, (most) => (most === 0 ? 0 : limit / most));
  const values = new Int8Array(matrix.length);
  for (let at = 0; at < matrix.length; at += inner)
    for (let column = 0; column < inner; column++)
      values[at + column] = (matrix[at + column] ?? 0) * (factors[column] ?? 0) + ROUNDING - ROUNDING;
  return { shape: [out, inner], values, scales: greatest.map((most) => most / limit) };
}

/** Rows of W that are turned into columns together, so that what is written lies close together. */
const TOGETHER = 64;

/** Wᵀ `[in, out]` in integers, each column on a scale of its own, once the channels of W were multiplied with `factors`. */
function roundTransposed(
  matrix: Float32Array,
  [out, inner]: readonly [number, number],
  limit: number,
  factors: Float32Array | undefined,
): EightBitMatrix {
  const values = new Int8Array(matrix.length);
  const scales = new Float32Array(out);
  const rounded = new Int8Array(TOGETHER * inner);
  const line = new Float32Array(inner);
  for (let top = 0; top < out; top += TOGETHER) {
    const count = Math.min(TOGETHER, out - top);
    for (let row = 0; row < count; row++) {
      const from = (top + row) * inner;
      let most = 0;
      for (let channel = 0; channel < inner; channel++) {
        const entry = (matrix[from + channel] ?? 0) * (factors === undefined ? 1 : (factors[channel] ?? 1));
        line[channel] = entry;
        if (entry > most) most = entry;
        else if (-entry > most) most = -entry;
      }
      scales[top + row] = most / limit;
      const factor = most === 0 ? 0 : limit / most;
      for (let channel = 0; channel < inner; channel++)
        rounded[row * inner + channel] = (line[channel] ?? 0) * factor + ROUNDING - ROUNDING;
    }
    for (let channel = 0; channel < inner; channel++)
      for (let row = 0; row < count; row++) values[channel * out + top + row] = rounded[row * inner + channel] ?? 0;
  }
  return { shape: [inner, out], values, scales };
}

/**
 * Rounds a stored matrix W `[out, in]` to integers of at most `limit` in magnitude, each column of what the product reads on a scale of
 * its own: W itself `[out, in]` when read straight, Wᵀ `[in, out]` when transposed.
 * @param sizes of the channels of the rows that Wᵀ is multiplied with, where they are known
 */
export function toEightBits(
  matrix: Float32Array,
  shape: readonly [number, number],
  reading: Reading,
  limit: number = EIGHT_BITS,
  sizes?: Float32Array,
): EightBitMatrix {
  if (reading === 'straight') return roundStraight(matrix, shape, limit);
  const factors = sizes === undefined ? undefined : channelFactors(matrix, shape[1], sizes);
  const rounded = roundTransposed(matrix, shape, limit, factors);
  return factors === undefined ? rounded : { ...rounded, rowFactors: factors.map((factor) => 1 / factor) };
}

/** What a row of ones times the matrix gives. */
export function columnSums({ shape: [rows, columns], values, scales }: EightBitMatrix): Float32Array {
  const sums = new Float64Array(columns);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, at++) sums[column] = (sums[column] ?? 0) + (values[at] ?? 0);
  return Float32Array.from(sums, (sum, column) => sum * (scales[column] ?? 0));
}

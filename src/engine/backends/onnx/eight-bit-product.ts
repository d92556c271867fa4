import type { FrozenProduct } from '../../graph/frozen-products.ts';
import { columnSums, EIGHT_BITS, type EightBitMatrix } from './eight-bit.ts';
import type { ModelWriter, Tensor } from './model-writer.ts';

/** A model under way, with the tensors that it already holds: a graph may multiply with one matrix several times. */
interface Writing {
  readonly writer: ModelWriter;
  readonly written: Map<string, Tensor>;
}

/** Rows of a tensor as bytes. */
interface ByteRows {
  readonly bytes: Tensor;
  /** By how much numbers of a row differ that are one apart in bytes, `[rows, 1]`. */
  readonly scales: Tensor;
  /** The byte that stands for 0, or for a row's least number. */
  readonly zero: Tensor;
}

/** Far below any number that matters, so that a row of equal numbers can be divided by its own scale. */
const LEAST_SCALE = 1e-30;

/** Writes numbers that the model holds, once. */
function stored(
  { writer, written }: Writing,
  name: string,
  shape: readonly number[],
  data: Int8Array | Uint8Array | Float32Array,
): Tensor {
  const before = written.get(name);
  if (before !== undefined) return before;
  const dtype = data instanceof Float32Array ? 'float32' : data instanceof Int8Array ? 'int8' : 'uint8';
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const tensor = writer.initialiser(name, dtype, shape, { kind: 'inline', bytes });
  written.set(name, tensor);
  return tensor;
}

function zeroByte(writing: Writing, byte: number): Tensor {
  return stored(writing, `#byte ${byte}`, [], Uint8Array.of(byte));
}

function number(writer: ModelWriter, value: number): Tensor {
  return writer.constant('float32', [], [value]);
}

function ofRows(writer: ModelWriter, reduction: 'ReduceMax' | 'ReduceMin', rows: Tensor): Tensor {
  return writer.node(reduction, [rows, writer.constant('int64', [1], [1])], { keepdims: 1n });
}

/** The scale at which a row's range takes that many steps. */
function scalesOf(writer: ModelWriter, range: Tensor, steps: number): Tensor {
  return writer.node('Max', [writer.node('Mul', [range, number(writer, 1 / steps)]), number(writer, LEAST_SCALE)]);
}

function toBytes(writer: ModelWriter, scaled: Tensor, zero: Tensor): Tensor {
  return writer.node('QuantizeLinear', [scaled, number(writer, 1), zero]);
}

/**
 * The rows of a gradient. Each is on a scale of its own: on one for all, next to the few rows that the head reads, the others would
 * become zero.
 */
function gradientBytes(writing: Writing, rows: Tensor): ByteRows {
  const { writer } = writing;
  const scales = scalesOf(writer, ofRows(writer, 'ReduceMax', writer.node('Abs', [rows])), EIGHT_BITS);
  const zero = zeroByte(writing, 128);
  return { bytes: toBytes(writer, writer.node('Div', [rows, scales]), zero), scales, zero };
}

/** The rows of activations: byte 0 stands for a row's least number and 255 for its greatest, for after GELU they lie far to one side of zero. */
function activationBytes(writing: Writing, rows: Tensor): ByteRows & { readonly least: Tensor } {
  const { writer } = writing;
  const least = ofRows(writer, 'ReduceMin', rows);
  const range = writer.node('Sub', [ofRows(writer, 'ReduceMax', rows), least]);
  const scales = scalesOf(writer, range, 255);
  const zero = zeroByte(writing, 0);
  const above = writer.node('Div', [writer.node('Sub', [rows, least]), scales]);
  return { bytes: toBytes(writer, above, zero), scales, zero, least };
}

/** Rows of bytes times a matrix of integers: the sums are exact, and get the scales of the matrix's columns and of the rows. */
function scaledProduct(writing: Writing, rows: ByteRows, name: string, matrix: EightBitMatrix): Tensor {
  const { writer } = writing;
  const values = stored(writing, `${name} in 8 bits`, matrix.shape, matrix.values);
  const scales = stored(writing, `${name} scales`, [matrix.scales.length], matrix.scales);
  const inputs = [rows.bytes, values, number(writer, 1), scales, rows.zero];
  return writer.node('Mul', [writer.node('com.microsoft.MatMulIntegerToFloat', inputs), rows.scales]);
}

/**
 * Writes a product of rows with a frozen matrix in 8-bit integers. No two rows share a scale, so that what comes of one does not depend on
 * the others.
 * @param operands rows float32 `[rows, inner]`, and what is added to each row of the product
 * @returns float32 `[rows, columns]`
 */
export function eightBitProduct(
  writing: Writing,
  operands: { readonly rows: Tensor; readonly bias: Tensor | undefined },
  { name, reading }: FrozenProduct,
  matrix: EightBitMatrix,
): Tensor {
  const { writer } = writing;
  const own = `${name} ${reading}`;
  const { rows, bias } = operands;
  if (reading === 'straight') {
    const product = scaledProduct(writing, gradientBytes(writing, rows), own, matrix);
    return bias === undefined ? product : writer.node('Add', [product, bias]);
  }
  const { rowFactors } = matrix;
  const even =
    rowFactors === undefined
      ? rows
      : writer.node('Mul', [rows, stored(writing, `${own} factors`, [rowFactors.length], rowFactors)]);
  const bytes = activationBytes(writing, even);
  const product = scaledProduct(writing, bytes, own, matrix);
  const sums = stored(writing, `${own} sums`, [1, matrix.shape[1]], columnSums(matrix));
  if (bias === undefined) return writer.node('Gemm', [bytes.least, sums, product]);
  // What the least numbers add, and the bias, in one pass over the product.
  const ones = writer.node('Expand', [number(writer, 1), writer.node('Shape', [bytes.least])]);
  const factors = writer.node('Concat', [bytes.least, ones], { axis: 1n });
  const biasRow = writer.node('Unsqueeze', [bias, writer.constant('int64', [1], [0])]);
  return writer.node('Gemm', [factors, writer.node('Concat', [sums, biasRow], { axis: 0n }), product]);
}

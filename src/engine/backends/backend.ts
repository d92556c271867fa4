import { UserError } from '../../base/errors.ts';
import type { Precision } from '../graph/float-types.ts';
import { frozenProducts, type Reading } from '../graph/frozen-products.ts';
import type { Value } from '../graph/value.ts';
import type { FileCache } from '../checked-cache.ts';

/** A tensor outside a graph: row-major elements. Booleans are bytes of 0 and 1. */
export type TensorData =
  | { readonly dtype: 'float32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: 'int32'; readonly shape: readonly number[]; readonly data: Int32Array }
  | { readonly dtype: 'int64'; readonly shape: readonly number[]; readonly data: BigInt64Array }
  | { readonly dtype: 'bool'; readonly shape: readonly number[]; readonly data: Uint8Array };

/** Where a frozen weight's numbers are. In a file they stay where they lie; the backend widens 16-bit ones as it loads them. */
export type WeightLocation =
  | {
      readonly kind: 'file';
      readonly file: string;
      readonly dtype: 'F32' | 'F16' | 'BF16';
      readonly shape: readonly number[];
      /** Bytes from the beginning of the file. */
      readonly offset: number;
      readonly byteLength: number;
    }
  | { readonly kind: 'data'; readonly shape: readonly number[]; readonly data: Float32Array | Int32Array };

/** The frozen weights of a graph, by the names of its `weight` values. */
export type WeightSource = ReadonlyMap<string, WeightLocation>;

/** How products with a frozen matrix `[out, in]` are computed in 8 bits. */
export interface EightBitRounding {
  /** The products that are; the others stay in float32. */
  readonly readings: ReadonlySet<Reading>;
  /**
   * The size of the numbers in every one of the `in` channels of the rows that the matrix is multiplied with, up to a common factor;
   * undefined where nothing is known of them.
   */
  readonly sizes: Float32Array | undefined;
}

/** The frozen matrices with products in 8 bits, by name. */
export type EightBitPlan = ReadonlyMap<string, EightBitRounding>;

/** The products of some outputs that a plan has computed in 8 bits. */
export function eightBitProducts(
  outputs: readonly Value[],
  plan: EightBitPlan,
): ReadonlyMap<string, ReadonlySet<Reading>> {
  return frozenProducts(outputs, ({ name, reading }) => plan.get(name)?.readings.has(reading) === true);
}

/** Where compiled graphs are kept for those who compile the same again. */
export interface GraphCache extends FileCache {
  /** Another for every content of the files that frozen weights lie in. */
  readonly weights: string;
}

export interface CompileOptions {
  /** What computes: `cpu`, or another of the backend's providers. */
  readonly provider: string;
  /** Threads of the CPU; 0 lets the runtime choose. */
  readonly threads: number;
  /** Which of several GPUs; the first when absent. Not every provider lets it be chosen. */
  readonly index?: number;
  /** Trade memory for a little speed (the runtime's memory patterns). */
  readonly memoryPattern?: boolean;
  /** Frozen matrices whose products with rows are computed with 8-bit integers. Only the CPU of the ONNX backend does that. */
  readonly eightBit?: EightBitPlan;
  /** float32 when absent. TensorFlow.js has no other; a GPU may have no arithmetic in 16 bits, which shows when the graph runs. */
  readonly precision?: Precision;
  /** Used by the ONNX backend on the CPU, for graphs whose frozen weights lie in files as float32; nothing is kept without it. */
  readonly graphs?: GraphCache;
  /** Values that are computed in float32 whatever the precision, as is what follows from them. */
  readonly wide?: readonly Value[];
  /**
   * Where a path begins at which a file is written that says of each operation what computed it and how long that took; written when
   * the executable is disposed of.
   */
  readonly profile?: string;
}

/** A graph did not fit into the device's memory. What it had taken is free again; with smaller feeds it may fit. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}

/** What compiling throws where products are asked for in 8 bits that a provider does not have. */
export function noEightBitProducts(provider: string): UserError {
  return new UserError(
    `training.frozenPrecision "int8" computes on the CPU alone, not on ${provider}`,
    'Set device.provider to "cpu", or leave the precision at "float32".',
  );
}

/** What is thrown where float16 is asked for and what computes has none. */
export function noHalfPrecision(where: string): UserError {
  return new UserError(
    `${where} does not compute in float16`,
    'Set training.precision to "float32", or choose another device.',
  );
}

/** A compiled graph, ready to run at any batch size and length. */
export interface Executable {
  /**
   * Feeds by the names of inputs and parameters, results by the names the outputs were given.
   * @throws OutOfMemoryError; Error on a missing or ill-shaped feed, naming it
   */
  run(feeds: Readonly<Record<string, TensorData>>): Promise<Readonly<Record<string, TensorData>>>;
  dispose(): Promise<void>;
}

/** Turns graphs into something that runs. */
export interface Backend {
  readonly name: string;
  /** @param outputs the values to compute, by the names under which `run` returns them */
  compile(
    outputs: Readonly<Record<string, Value>>,
    weights: WeightSource,
    options: CompileOptions,
  ): Promise<Executable>;
}

import { formatShape, type Dim, type Shape } from './dims.ts';

/** Element types. `bool` holds masks; `int32` arithmetic wraps around, as the dropout masks need. */
export type DType = 'float32' | 'int32' | 'int64' | 'bool';

const unaryKinds = ['negate', 'exp', 'log', 'sqrt', 'reciprocal', 'erf', 'tanh', 'sigmoid', 'relu', 'gelu'] as const;
const binaryKinds = ['add', 'subtract', 'multiply', 'divide'] as const;
const comparisonKinds = ['less', 'equal'] as const;

export type UnaryKind = (typeof unaryKinds)[number];
export type BinaryKind = (typeof binaryKinds)[number];
export type ComparisonKind = (typeof comparisonKinds)[number];

/** What computes a value from its inputs: one variant an operation. */
export type Operation =
  /** Fed at each run. */
  | { readonly kind: 'input'; readonly name: string }
  /** A trained tensor, fed at each run; the only leaves that have gradients. */
  | { readonly kind: 'parameter'; readonly name: string }
  /** A frozen tensor that the backend is given once, by name: a checkpoint's or a method's. */
  | { readonly kind: 'weight'; readonly name: string }
  /** A small constant, written into the graph. */
  | { readonly kind: 'constant'; readonly data: readonly number[] }
  /** 0, 1, … along one axis. */
  | { readonly kind: 'iota' }
  /** The value of a dimension, as a scalar. */
  | { readonly kind: 'dimension'; readonly dim: Dim }
  | { readonly kind: UnaryKind }
  | { readonly kind: BinaryKind }
  | { readonly kind: ComparisonKind }
  | { readonly kind: 'where' }
  | { readonly kind: 'cast' }
  /** `[..., m, k] × [..., k, n]`, leading axes broadcast. */
  | { readonly kind: 'matmul' }
  /** `scale · op(A) · op(B) + bias` on matrices; `op` transposes where asked. */
  | { readonly kind: 'gemm'; readonly transposeA: boolean; readonly transposeB: boolean; readonly scale: number }
  | { readonly kind: 'reshape' }
  | { readonly kind: 'transpose'; readonly permutation: readonly number[] }
  | { readonly kind: 'broadcast' }
  | { readonly kind: 'slice'; readonly axis: number; readonly start: Dim; readonly end: Dim }
  | { readonly kind: 'concat'; readonly axis: number }
  /** Zeros before and after along one axis. */
  | { readonly kind: 'pad'; readonly axis: number; readonly before: Dim; readonly after: Dim }
  | { readonly kind: 'reduceSum' | 'reduceMax'; readonly axes: readonly number[] }
  /** Over the last axis. */
  | { readonly kind: 'softmax' }
  /** Over the last axis; inputs x, scale, shift. */
  | { readonly kind: 'layerNorm'; readonly epsilon: number }
  /** What a layer norm (its input) computed on the way, `[..., 1]`. */
  | { readonly kind: 'layerNormStatistic'; readonly statistic: 'mean' | 'inverseDeviation' }
  /** Rows of a table `[rows, ...]` by index. */
  | { readonly kind: 'gather' }
  /** The adjoint of gather: adds `[...indices, ...]` into a zero table of `[rows, ...]`. */
  | { readonly kind: 'scatterAdd' }
  /** Rows of each example: x `[batch, sequence, width]`, positions `[batch, count]`. */
  | { readonly kind: 'takeRows' }
  /** The adjoint of takeRows: adds `[batch, count, width]` into zeros `[batch, sequence, width]`. */
  | { readonly kind: 'putRows' };

export type OperationKind = Operation['kind'];

const ofOne: ReadonlySet<OperationKind> = new Set(unaryKinds);
const ofTwo: ReadonlySet<OperationKind> = new Set([...binaryKinds, ...comparisonKinds]);

/** Element by element of one tensor. */
export function isUnary(operation: Operation): operation is { readonly kind: UnaryKind } {
  return ofOne.has(operation.kind);
}

/** Element by element of two tensors, which broadcast. */
export function isPairwise(
  operation: Operation,
): operation is { readonly kind: BinaryKind } | { readonly kind: ComparisonKind } {
  return ofTwo.has(operation.kind);
}

/** A node of the graph: a tensor and how it is computed. Graphs are acyclic by construction: inputs exist before their users. */
export interface Value {
  /** Grows with creation, so ascending ids are a topological order. */
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly operation: Operation;
  readonly inputs: readonly Value[];
}

/** Thrown while a graph is built, when shapes or dtypes do not fit; names the operation and the shapes. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
  readonly operation: OperationKind;

  constructor(operation: OperationKind, problem: string, inputs: readonly Value[]) {
    super(`${operation}: ${problem}; inputs ${inputs.map(describeValue).join(', ') || 'none'}`);
    this.operation = operation;
  }
}

/** Dtype and shape, with the name if it has one: `float32[batch, 768] (word embeddings)`. */
export function describeValue(value: Value): string {
  const name = 'name' in value.operation ? ` (${value.operation.name})` : '';
  return `${value.dtype}${formatShape(value.shape)}${name}`;
}

let nextId = 0;

/** Makes a node. Only operations.ts calls it, after its checks. */
export function makeValue(operation: Operation, dtype: DType, shape: Shape, inputs: readonly Value[] = []): Value {
  return { id: nextId++, dtype, shape, operation, inputs };
}

/** Every value that `outputs` depend on, each once, inputs before users. */
export function topologicalOrder(outputs: readonly Value[]): readonly Value[] {
  const found = new Map<number, Value>();
  const pending = [...outputs];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (found.has(value.id)) continue;
    found.set(value.id, value);
    pending.push(...value.inputs);
  }
  return [...found.values()].sort((a, b) => a.id - b.id);
}

/** The trained tensors that `outputs` depend on, in order of creation. */
export function parametersOf(outputs: readonly Value[]): readonly Value[] {
  return topologicalOrder(outputs).filter((value) => value.operation.kind === 'parameter');
}

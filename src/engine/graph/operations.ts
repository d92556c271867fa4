import {
  addDims,
  divideDims,
  formatShape,
  multiplyDims,
  sameShape,
  sizeOf,
  subtractDims,
  type Dim,
  type Shape,
} from './dims.ts';
import {
  GraphError,
  makeValue,
  type BinaryKind,
  type ComparisonKind,
  type DType,
  type Operation,
  type OperationKind,
  type UnaryKind,
  type Value,
} from './value.ts';

function require(
  condition: boolean,
  kind: OperationKind,
  problem: string,
  inputs: readonly Value[],
): asserts condition {
  if (!condition) throw new GraphError(kind, problem, inputs);
}

function requireFloat(kind: OperationKind, inputs: readonly Value[]): void {
  require(inputs.every((value) => value.dtype === 'float32'), kind, 'needs float32', inputs);
}

/** The dimension at `axis`, counted from the end when negative. */
export function dimAt(value: Value, axis: number): Dim {
  const dim = value.shape.at(axis);
  if (dim === undefined) throw new GraphError(value.operation.kind, `has no axis ${axis}`, [value]);
  return dim;
}

function normaliseAxis(kind: OperationKind, axis: number, value: Value): number {
  const rank = value.shape.length;
  require(Number.isInteger(axis) && axis >= -rank && axis < rank, kind, `axis ${axis} is outside the rank`, [value]);
  return axis < 0 ? axis + rank : axis;
}

/** The shape that two shapes broadcast to, as in NumPy; a symbolic dimension only meets itself or 1. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: Dim[] = [];
  for (let axis = -rank; axis < 0; axis++) {
    const left = a.at(axis) ?? 1;
    const right = b.at(axis) ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape.push(left === 1 ? right : left);
  }
  return shape;
}

function broadcastAll(kind: OperationKind, inputs: readonly Value[]): Shape {
  let shape: Shape = [];
  for (const value of inputs) {
    const wider = broadcastShapes(shape, value.shape);
    require(wider !== undefined, kind, 'shapes do not broadcast', inputs);
    shape = wider;
  }
  return shape;
}

// Leaves

/** What every execution is given under `name`. */
export function input(name: string, dtype: DType, shape: Shape): Value {
  return makeValue({ kind: 'input', name }, dtype, shape);
}

/** A trained tensor. Names are unique in a graph. */
export function parameter(name: string, shape: readonly number[]): Value {
  return makeValue({ kind: 'parameter', name }, 'float32', shape);
}

/** A frozen tensor, by the name under which the backend finds it. */
export function weight(name: string, shape: readonly number[], dtype: 'float32' | 'int32' = 'float32'): Value {
  return makeValue({ kind: 'weight', name }, dtype, shape);
}

/** Numbers that are part of the graph, in row-major order. @throws GraphError when they do not fill the shape */
export function constant(data: readonly number[], shape: readonly number[], dtype: DType = 'float32'): Value {
  const operation: Operation = { kind: 'constant', data };
  const value = makeValue(operation, dtype, shape);
  require(data.length === sizeOf(shape), 'constant', `${data.length} numbers do not fill ${formatShape(shape)}`, []);
  return value;
}

/** One number, of shape `[]`. */
export function scalar(number: number, dtype: DType = 'float32'): Value {
  return constant([number], [], dtype);
}

/** 0, 1, … `length` - 1. */
export function iota(length: Dim, dtype: 'int32' | 'int64' = 'int32'): Value {
  return makeValue({ kind: 'iota' }, dtype, [length]);
}

/** The size of a dimension at run time, a scalar. */
export function dimension(dim: Dim, dtype: 'int32' | 'int64' | 'float32' = 'float32'): Value {
  return typeof dim === 'number' ? scalar(dim, dtype) : makeValue({ kind: 'dimension', dim }, dtype, []);
}

// Element by element

function unary(kind: UnaryKind, x: Value): Value {
  requireFloat(kind, [x]);
  return makeValue({ kind }, 'float32', x.shape, [x]);
}

export const negate = (x: Value): Value => unary('negate', x);
export const exp = (x: Value): Value => unary('exp', x);
export const log = (x: Value): Value => unary('log', x);
export const sqrt = (x: Value): Value => unary('sqrt', x);
export const reciprocal = (x: Value): Value => unary('reciprocal', x);
export const erf = (x: Value): Value => unary('erf', x);
export const tanh = (x: Value): Value => unary('tanh', x);
export const sigmoid = (x: Value): Value => unary('sigmoid', x);
export const relu = (x: Value): Value => unary('relu', x);
/** x Φ(x), the exact (erf) form. */
export const gelu = (x: Value): Value => unary('gelu', x);

function binary(kind: BinaryKind, a: Value, b: Value): Value {
  const inputs = [a, b];
  require(a.dtype === b.dtype && a.dtype !== 'bool', kind, 'needs two numbers of one dtype', inputs);
  return makeValue({ kind }, a.dtype, broadcastAll(kind, inputs), inputs);
}

type Operand = Value | number;

function operands(a: Operand, b: Operand): [Value, Value] {
  if (typeof a === 'number') return typeof b === 'number' ? [scalar(a), scalar(b)] : [scalar(a, b.dtype), b];
  return [a, typeof b === 'number' ? scalar(b, a.dtype) : b];
}

export const add = (a: Operand, b: Operand): Value => binary('add', ...operands(a, b));
export const subtract = (a: Operand, b: Operand): Value => binary('subtract', ...operands(a, b));
export const multiply = (a: Operand, b: Operand): Value => binary('multiply', ...operands(a, b));
/** Integers truncate towards zero. */
export const divide = (a: Operand, b: Operand): Value => binary('divide', ...operands(a, b));

function comparison(kind: ComparisonKind, a: Value, b: Value): Value {
  const inputs = [a, b];
  require(a.dtype === b.dtype && a.dtype !== 'bool', kind, 'needs two numbers of one dtype', inputs);
  return makeValue({ kind }, 'bool', broadcastAll(kind, inputs), inputs);
}

export const less = (a: Operand, b: Operand): Value => comparison('less', ...operands(a, b));
export const equal = (a: Operand, b: Operand): Value => comparison('equal', ...operands(a, b));

/** `a` where the condition holds, `b` elsewhere. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const [yes, no] = operands(a, b);
  const inputs = [condition, yes, no];
  require(condition.dtype === 'bool', 'where', 'needs a bool condition', inputs);
  require(yes.dtype === no.dtype, 'where', 'needs branches of one dtype', inputs);
  return makeValue({ kind: 'where' }, yes.dtype, broadcastAll('where', inputs), inputs);
}

/** `x` as another type; booleans become 0 and 1. */
export function cast(x: Value, dtype: DType): Value {
  return x.dtype === dtype ? x : makeValue({ kind: 'cast' }, dtype, x.shape, [x]);
}

// Products

/** `[..., m, k] × [..., k, n] → [..., m, n]`, leading axes broadcast. */
export function matmul(a: Value, b: Value): Value {
  const inputs = [a, b];
  requireFloat('matmul', inputs);
  require(a.shape.length >= 2 && b.shape.length >= 2, 'matmul', 'needs matrices', inputs);
  require(dimAt(a, -1) === dimAt(b, -2), 'matmul', 'inner dimensions differ', inputs);
  const leading = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  require(leading !== undefined, 'matmul', 'leading dimensions do not broadcast', inputs);
  return makeValue({ kind: 'matmul' }, 'float32', [...leading, dimAt(a, -2), dimAt(b, -1)], inputs);
}

export interface GemmOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Multiplies the product, not the bias. */
  readonly scale?: number;
  /** Broadcasts to the product. */
  readonly bias?: Value | undefined;
}

/** `scale · op(A) · op(B) + bias` on matrices. A frozen `[out, in]` weight as B with `transposeB` is used where it lies, without a copy. */
export function gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
  const { transposeA = false, transposeB = false, scale = 1, bias } = options;
  const inputs = bias === undefined ? [a, b] : [a, b, bias];
  requireFloat('gemm', inputs);
  require(a.shape.length === 2 && b.shape.length === 2, 'gemm', 'needs two matrices', inputs);
  require(dimAt(a, transposeA ? 0 : 1) ===
    dimAt(
      b,
      transposeB ? 1 : 0,
    ), 'gemm', `inner dimensions differ${transposeA ? ', A transposed' : ''}${transposeB ? ', B transposed' : ''}`, inputs);
  const shape = [dimAt(a, transposeA ? 1 : 0), dimAt(b, transposeB ? 0 : 1)];
  if (bias !== undefined) {
    const wider = broadcastShapes(shape, bias.shape);
    require(wider !== undefined && sameShape(wider, shape), 'gemm', 'bias does not broadcast to the product', inputs);
  }
  return makeValue({ kind: 'gemm', transposeA, transposeB, scale }, 'float32', shape, inputs);
}

// Shapes

/** The same elements, row-major, in another shape. */
export function reshape(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  require(sizeOf(x.shape) === sizeOf(shape), 'reshape', `${formatShape(shape)} holds another number of elements`, [x]);
  const source = x.operation.kind === 'reshape' ? inputAt(x, 0) : x;
  return sameShape(source.shape, shape) ? source : makeValue({ kind: 'reshape' }, x.dtype, shape, [source]);
}

/**
 * The axes of `x` in another order: axis `i` of the result is axis `permutation[i]` of `x`.
 * @throws GraphError for what is no permutation
 */
export function transpose(x: Value, permutation: readonly number[]): Value {
  const sorted = [...permutation].sort((a, b) => a - b);
  require(permutation.length === x.shape.length &&
    sorted.every((axis, i) => axis === i), 'transpose', `[${permutation.join(', ')}] is no permutation of the axes`, [
    x,
  ]);
  if (permutation.every((axis, i) => axis === i)) return x;
  if (x.operation.kind === 'transpose') {
    const inner = x.operation.permutation;
    const composed = permutation.map((axis) => inner[axis] ?? axis);
    return transpose(inputAt(x, 0), composed);
  }
  const shape = permutation.map((axis) => dimAt(x, axis));
  return makeValue({ kind: 'transpose', permutation }, x.dtype, shape, [x]);
}

/** Swaps the last two axes. */
export function swapLastAxes(x: Value): Value {
  const rank = x.shape.length;
  require(rank >= 2, 'transpose', 'needs a matrix', [x]);
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return transpose(x, [...axes.slice(0, -2), rank - 1, rank - 2]);
}

/** Repeats along axes of size 1 and new leading axes. */
export function broadcast(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  const wider = broadcastShapes(x.shape, shape);
  require(wider !== undefined && sameShape(wider, shape), 'broadcast', `does not broadcast to ${formatShape(shape)}`, [
    x,
  ]);
  return makeValue({ kind: 'broadcast' }, x.dtype, shape, [x]);
}

function negative(dim: Dim): boolean {
  return typeof dim === 'number' && dim < 0;
}

/** Elements `start` … `end` - 1 along an axis. */
export function slice(x: Value, axis: number, start: Dim, end: Dim): Value {
  const at = normaliseAxis('slice', axis, x);
  const length = subtractDims(end, start);
  const whole = dimAt(x, at);
  require(!negative(start) &&
    !negative(length) &&
    !negative(subtractDims(whole, end)), 'slice', `${formatShape([start, end])} lies outside axis ${at}`, [x]);
  if (start === 0 && end === whole) return x;
  const shape = x.shape.map((dim, i) => (i === at ? length : dim));
  return makeValue({ kind: 'slice', axis: at, start, end }, x.dtype, shape, [x]);
}

/** Values one behind the other along an axis. @throws GraphError when types, or shapes beside the axis, differ */
export function concat(values: readonly Value[], axis: number): Value {
  const [first, ...rest] = values;
  if (first === undefined) throw new GraphError('concat', 'needs at least one value', []);
  const at = normaliseAxis('concat', axis, first);
  for (const other of rest) {
    require(other.dtype === first.dtype &&
      other.shape.length === first.shape.length &&
      other.shape.every(
        (dim, i) => i === at || dim === first.shape[i],
      ), 'concat', `shapes differ beside axis ${at}`, values);
  }
  if (rest.length === 0) return first;
  const length = values.reduce<Dim>((sum, value) => addDims(sum, dimAt(value, at)), 0);
  const shape = first.shape.map((dim, i) => (i === at ? length : dim));
  return makeValue({ kind: 'concat', axis: at }, first.dtype, shape, values);
}

/** Zeros before and after along an axis. */
export function pad(x: Value, axis: number, before: Dim, after: Dim): Value {
  const at = normaliseAxis('pad', axis, x);
  require(!negative(before) && !negative(after), 'pad', `${formatShape([before, after])} is less than nothing`, [x]);
  if (before === 0 && after === 0) return x;
  const shape = x.shape.map((dim, i) => (i === at ? addDims(addDims(before, dim), after) : dim));
  return makeValue({ kind: 'pad', axis: at, before, after }, x.dtype, shape, [x]);
}

// Reductions and normalisation

function reduce(kind: 'reduceSum' | 'reduceMax', x: Value, axes: readonly number[], keepAxes: boolean): Value {
  const numeric = kind === 'reduceSum' ? x.dtype === 'float32' || x.dtype === 'int32' : x.dtype === 'float32';
  require(numeric, kind, 'needs numbers', [x]);
  const sorted = [...new Set(axes.map((axis) => normaliseAxis(kind, axis, x)))].sort((a, b) => a - b);
  const kept = x.shape.map((dim, axis) => (sorted.includes(axis) ? 1 : dim));
  const reduced = sorted.length === 0 ? x : makeValue({ kind, axes: sorted }, x.dtype, kept, [x]);
  return keepAxes
    ? reduced
    : reshape(
        reduced,
        x.shape.filter((_, axis) => !sorted.includes(axis)),
      );
}

export interface ReduceOptions {
  /** Keep reduced axes with size 1. */
  readonly keepAxes?: boolean;
}

/** The sum over `axes`, which leave the shape unless they are kept. */
export function reduceSum(x: Value, axes: readonly number[], options: ReduceOptions = {}): Value {
  return reduce('reduceSum', x, axes, options.keepAxes ?? false);
}

/** The greatest over `axes`, which leave the shape unless they are kept. */
export function reduceMax(x: Value, axes: readonly number[], options: ReduceOptions = {}): Value {
  return reduce('reduceMax', x, axes, options.keepAxes ?? false);
}

/** The mean over `axes`, which leave the shape unless they are kept. */
export function reduceMean(x: Value, axes: readonly number[], options: ReduceOptions = {}): Value {
  const count = axes.reduce<Dim>((product, axis) => multiplyDims(product, dimAt(x, axis)), 1);
  const sum = reduceSum(x, axes, options);
  return typeof count === 'number' ? multiply(sum, 1 / count) : divide(sum, dimension(count));
}

/** Over the last axis. */
export function softmax(x: Value): Value {
  requireFloat('softmax', [x]);
  require(x.shape.length >= 1, 'softmax', 'needs an axis', [x]);
  return makeValue({ kind: 'softmax' }, 'float32', x.shape, [x]);
}

/** `scale · (x - mean) / sqrt(variance + epsilon) + shift` over the last axis; scale and shift `[width]`. */
export function layerNorm(x: Value, scale: Value, shift: Value, epsilon: number): Value {
  const inputs = [x, scale, shift];
  requireFloat('layerNorm', inputs);
  const width = [dimAt(x, -1)];
  require(sameShape(scale.shape, width) &&
    sameShape(shift.shape, width), 'layerNorm', 'scale and shift must have the last axis', inputs);
  return makeValue({ kind: 'layerNorm', epsilon }, 'float32', x.shape, inputs);
}

/** What a layer norm computed on the way: `[..., 1]`. */
export function layerNormStatistic(norm: Value, statistic: 'mean' | 'inverseDeviation'): Value {
  require(norm.operation.kind === 'layerNorm', 'layerNormStatistic', 'needs a layer norm', [norm]);
  return makeValue({ kind: 'layerNormStatistic', statistic }, 'float32', [...norm.shape.slice(0, -1), 1], [norm]);
}

// Rows

function requireIndices(kind: OperationKind, indices: Value, inputs: readonly Value[]): void {
  require(indices.dtype === 'int32' || indices.dtype === 'int64', kind, 'needs integer indices', inputs);
}

/** Rows of `table` `[rows, ...rest]` by `indices`: `[...indices, ...rest]`. */
export function gather(table: Value, indices: Value): Value {
  const inputs = [table, indices];
  requireIndices('gather', indices, inputs);
  require(table.shape.length >= 1, 'gather', 'needs a table', inputs);
  return makeValue({ kind: 'gather' }, table.dtype, [...indices.shape, ...table.shape.slice(1)], inputs);
}

/** A table `[rows, ...rest]` of zeros with `updates` `[...indices, ...rest]` added at `indices`; the adjoint of gather. */
export function scatterAdd(updates: Value, indices: Value, rows: Dim): Value {
  const inputs = [updates, indices];
  requireFloat('scatterAdd', [updates]);
  requireIndices('scatterAdd', indices, inputs);
  const leading = updates.shape.slice(0, indices.shape.length);
  require(sameShape(
    leading,
    indices.shape,
  ), 'scatterAdd', 'updates do not begin with the shape of the indices', inputs);
  const rest = updates.shape.slice(indices.shape.length);
  return makeValue({ kind: 'scatterAdd' }, 'float32', [rows, ...rest], inputs);
}

/** Rows of each example: x `[batch, sequence, width]` at `positions` `[batch, count]` gives `[batch, count, width]`. */
export function takeRows(x: Value, positions: Value): Value {
  const inputs = [x, positions];
  requireIndices('takeRows', positions, inputs);
  require(x.shape.length === 3 && positions.shape.length === 2, 'takeRows', 'needs ranks 3 and 2', inputs);
  require(x.shape[0] === positions.shape[0], 'takeRows', 'batch sizes differ', inputs);
  return makeValue({ kind: 'takeRows' }, x.dtype, [...positions.shape, dimAt(x, 2)], inputs);
}

/** Zeros `[batch, sequence, width]` with `updates` `[batch, count, width]` added at `positions`; the adjoint of takeRows. */
export function putRows(updates: Value, positions: Value, sequence: Dim): Value {
  const inputs = [updates, positions];
  requireFloat('putRows', [updates]);
  requireIndices('putRows', positions, inputs);
  require(updates.shape.length === 3 &&
    sameShape(
      updates.shape.slice(0, 2),
      positions.shape,
    ), 'putRows', 'updates do not begin with the shape of the positions', inputs);
  return makeValue({ kind: 'putRows' }, 'float32', [dimAt(updates, 0), sequence, dimAt(updates, 2)], inputs);
}

/** The input at `index`. */
export function inputAt(value: Value, index: number): Value {
  const found = value.inputs[index];
  if (found === undefined) throw new Error(`${value.operation.kind} has no input ${index}`);
  return found;
}

/** Views leading rows as `[outer, rows / outer, ...]`. @throws GraphError if `outer` does not divide the rows */
export function splitRows(x: Value, outer: Dim): Value {
  const inner = divideDims(dimAt(x, 0), outer);
  require(inner !== undefined, 'reshape', `${formatShape([outer])} does not divide the first axis`, [x]);
  return reshape(x, [outer, inner, ...x.shape.slice(1)]);
}

/**
 * The meaning of a graph in plain loops over float64, for tests: the witness that backends, shape inference and gradients are
 * held against. Clarity over speed. `int32` wraps around as the graph promises; `int64` are numbers below 2^53.
 */
import { evaluateDim, evaluateShape, type Bindings, type Dim } from '../../src/engine/graph/dims.ts';
import { inputAt } from '../../src/engine/graph/operations.ts';
import {
  describeValue,
  isUnary,
  topologicalOrder,
  type BinaryKind,
  type DType,
  type UnaryKind,
  type Value,
} from '../../src/engine/graph/value.ts';

/** What a caller hands in: row-major, booleans as 0 and 1. */
export interface Feed {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** What comes out: row-major, booleans as 0 and 1. */
export interface Tensor {
  readonly shape: number[];
  readonly data: Float64Array;
}

/**
 * Computes `outputs`. `feeds` holds inputs and parameters by name, `weights` the frozen tensors; symbols take their values from
 * the shapes of the feeds, or from `sizes` where no feed that the outputs need shows them.
 * @throws Error if a feed is missing or does not fit, if an operation's result has another shape than the graph promised, or if
 * an index or an integer is out of range
 */
export function interpret<Name extends string>(
  outputs: Readonly<Record<Name, Value>>,
  feeds: Readonly<Record<string, Feed>>,
  weights: Readonly<Record<string, Feed>> = {},
  sizes: Bindings = {},
): Record<Name, Tensor> {
  const named = Object.entries<Value>(outputs);
  const order = topologicalOrder(named.map(([, value]) => value));
  const bindings = { ...sizes, ...bindSymbols(order, feeds) };
  const results = new Map<number, Tensor>();
  const resultOf = (value: Value): Tensor => {
    const result = results.get(value.id);
    if (result === undefined) throw new Error(`${describeValue(value)} is used before it is computed`);
    return result;
  };
  for (const value of order) {
    const result = compute(value, { feeds, weights, bindings, resultOf });
    const promised = evaluateShape(value.shape, bindings);
    if (result.shape.join() !== promised.join()) {
      throw new Error(
        `${value.operation.kind} gave [${result.shape.join(', ')}] where the graph promised [${promised.join(', ')}] ` +
          `= ${describeValue(value)}; inputs ${value.inputs.map(describeValue).join(', ')}`,
      );
    }
    if (result.data.length !== product(promised)) {
      throw new Error(`${describeValue(value)}: ${result.data.length} numbers do not fill [${promised.join(', ')}]`);
    }
    checkRange(value, result);
    results.set(value.id, result);
  }
  return Object.fromEntries(named.map(([name, value]) => [name, resultOf(value)])) as Record<Name, Tensor>;
}

interface Context {
  readonly feeds: Readonly<Record<string, Feed>>;
  readonly weights: Readonly<Record<string, Feed>>;
  readonly bindings: Bindings;
  readonly resultOf: (value: Value) => Tensor;
}

function isFed(value: Value): value is Value & { operation: { kind: 'input' | 'parameter'; name: string } } {
  return value.operation.kind === 'input' || value.operation.kind === 'parameter';
}

/** The value of a symbol where `dim` is a multiple of one symbol. */
function solve(dim: Dim, size: number): [string, number] | undefined {
  if (typeof dim === 'number') return undefined;
  const [term, ...more] = dim.terms;
  const [name, ...others] = term?.symbols ?? [];
  if (term === undefined || name === undefined || more.length > 0 || others.length > 0) return undefined;
  return [name, size / term.coefficient];
}

function bindSymbols(order: readonly Value[], feeds: Readonly<Record<string, Feed>>): Bindings {
  const bindings: Record<string, number> = {};
  for (const value of order.filter(isFed)) {
    const feed = feeds[value.operation.name];
    if (feed === undefined) throw new Error(`${describeValue(value)} is not fed`);
    if (feed.shape.length !== value.shape.length) {
      throw new Error(`${describeValue(value)} is fed [${feed.shape.join(', ')}]`);
    }
    value.shape.forEach((dim, axis) => {
      const [name, size] = solve(dim, feed.shape[axis] ?? NaN) ?? [];
      if (name !== undefined && size !== undefined) bindings[name] ??= size;
    });
  }
  return bindings;
}

function checkRange(value: Value, { data }: Tensor): void {
  const fits: Record<DType, (x: number) => boolean> = {
    float32: () => true,
    int32: (x) => x === (x | 0),
    int64: Number.isSafeInteger,
    bool: (x) => x === 0 || x === 1,
  };
  const bad = value.dtype === 'float32' ? -1 : data.findIndex((x) => !fits[value.dtype](x));
  if (bad >= 0) {
    throw new Error(`${value.operation.kind} gave ${String(data[bad])}, no ${value.dtype}: ${describeValue(value)}`);
  }
}

// Layout

function product(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}

function at(list: ArrayLike<number>, index: number): number {
  const number = list[index];
  if (number === undefined) throw new Error(`index ${index} is outside 0..${list.length - 1}`);
  return number;
}

/** Row-major strides. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => product(shape.slice(axis + 1)));
}

/** The strides that read a tensor of `shape` as if it were broadcast to `wider`: 0 along repeated axes. */
function broadcastStrides(shape: readonly number[], wider: readonly number[]): number[] {
  const own = stridesOf(shape);
  const extra = wider.length - shape.length;
  return wider.map((_, axis) => (axis < extra || shape[axis - extra] === 1 ? 0 : at(own, axis - extra)));
}

/** The offset of every element of `shape`, in row-major order, in a memory with the given strides. */
function offsets(shape: readonly number[], strides: readonly number[], start = 0): Int32Array {
  const size = product(shape);
  const found = new Int32Array(size);
  const position = shape.map(() => 0);
  let offset = start;
  for (let i = 0; i < size; i++) {
    found[i] = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = at(position, axis) + 1;
      if (next < at(shape, axis)) {
        position[axis] = next;
        offset += at(strides, axis);
        break;
      }
      position[axis] = 0;
      offset -= (next - 1) * at(strides, axis);
    }
  }
  return found;
}

function broadcastShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((shape) => shape.at(i - rank) ?? 1).filter((dim) => dim !== 1);
    const dim = dims[0] ?? 1;
    if (dims.some((other) => other !== dim)) throw new Error(`${JSON.stringify(shapes)} do not broadcast`);
    return dim;
  });
}

function elementwise(inputs: readonly Tensor[], compute: (numbers: readonly number[]) => number): Tensor {
  const shape = broadcastShape(inputs.map((input) => input.shape));
  const places = inputs.map((input) => offsets(shape, broadcastStrides(input.shape, shape)));
  const data = new Float64Array(product(shape));
  const numbers = inputs.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    for (let k = 0; k < inputs.length; k++) {
      const tensor = inputs[k] as Tensor;
      numbers[k] = tensor.data[(places[k] as Int32Array)[i] as number] as number;
    }
    data[i] = compute(numbers);
  }
  return { shape, data };
}

/** The elements of `x` at `places`, as `shape`. */
function pick(x: Tensor, shape: number[], places: Int32Array): Tensor {
  return { shape, data: Float64Array.from(places, (place) => at(x.data, place)) };
}

// Elements

/** erf to double precision: 2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, whose terms all have one sign. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const UNARY: Readonly<Record<UnaryKind, (x: number) => number>> = {
  negate: (x) => -x,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  reciprocal: (x) => 1 / x,
  erf,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  relu: (x) => Math.max(x, 0),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
};

const FLOAT: Readonly<Record<BinaryKind, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
};

function nonZero(divisor: number): number {
  if (divisor === 0) throw new Error('integer division by zero');
  return divisor;
}

const INT32: Readonly<Record<BinaryKind, (a: number, b: number) => number>> = {
  add: (a, b) => (a + b) | 0,
  subtract: (a, b) => (a - b) | 0,
  multiply: Math.imul,
  divide: (a, b) => (a / nonZero(b)) | 0,
};

const INT64: Readonly<Record<BinaryKind, (a: number, b: number) => number>> = {
  ...FLOAT,
  divide: (a, b) => Math.trunc(a / nonZero(b)),
};

function arithmetic(kind: BinaryKind, dtype: DType): (a: number, b: number) => number {
  return (dtype === 'int32' ? INT32 : dtype === 'int64' ? INT64 : FLOAT)[kind];
}

function convert(dtype: DType): (x: number) => number {
  switch (dtype) {
    case 'float32':
      return (x) => x;
    case 'int32':
      return (x) => x | 0;
    case 'int64':
      return Math.trunc;
    case 'bool':
      return (x) => (x === 0 ? 0 : 1);
  }
}

// Products

function matmul(a: Tensor, b: Tensor): Tensor {
  const [rows, inner] = [at(a.shape, a.shape.length - 2), at(a.shape, a.shape.length - 1)];
  const [innerB, columns] = [at(b.shape, b.shape.length - 2), at(b.shape, b.shape.length - 1)];
  if (inner !== innerB) throw new Error(`matmul of [${a.shape.join(', ')}] and [${b.shape.join(', ')}]`);
  const leading = broadcastShape([a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  const placesA = offsets(leading, broadcastStrides(a.shape.slice(0, -2), leading));
  const placesB = offsets(leading, broadcastStrides(b.shape.slice(0, -2), leading));
  const data = new Float64Array(product(leading) * rows * columns);
  for (let block = 0; block < placesA.length; block++) {
    const startA = at(placesA, block) * rows * inner;
    const startB = at(placesB, block) * inner * columns;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) {
          sum += (a.data[startA + i * inner + k] as number) * (b.data[startB + k * columns + j] as number);
        }
        data[(block * rows + i) * columns + j] = sum;
      }
    }
  }
  return { shape: [...leading, rows, columns], data };
}

function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  const strides = stridesOf(x.shape);
  const shape = permutation.map((axis) => at(x.shape, axis));
  return pick(
    x,
    shape,
    offsets(
      shape,
      permutation.map((axis) => at(strides, axis)),
    ),
  );
}

// Reductions

/** Folds the elements of `x` along `axes`, which stay with size 1. */
function reduce(x: Tensor, axes: readonly number[], start: number, fold: (a: number, b: number) => number): Tensor {
  const shape = x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const data = new Float64Array(product(shape)).fill(start);
  const places = offsets(x.shape, broadcastStrides(shape, x.shape));
  places.forEach((place, i) => (data[place] = fold(at(data, place), at(x.data, i))));
  return { shape, data };
}

/** Replaces each row (the last axis) by what `compute` makes of it. */
function rowwise(x: Tensor, width: number, compute: (row: Float64Array) => ArrayLike<number>): Tensor {
  const length = at(x.shape, x.shape.length - 1);
  const rows = product(x.shape.slice(0, -1));
  const data = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    data.set(compute(x.data.subarray(row * length, (row + 1) * length)), row * width);
  }
  return { shape: [...x.shape.slice(0, -1), width], data };
}

function softmaxRow(row: Float64Array): Float64Array {
  const most = Math.max(...row);
  const powers = row.map((x) => Math.exp(x - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function statistics(row: Float64Array, epsilon: number): { mean: number; inverseDeviation: number } {
  const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
  return { mean, inverseDeviation: 1 / Math.sqrt(variance + epsilon) };
}

// Rows

function rowIndex(index: number, rows: number): number {
  if (!Number.isInteger(index) || index < 0 || index >= rows) throw new Error(`row ${index} is outside 0..${rows - 1}`);
  return index;
}

function gather(table: Tensor, indices: Tensor): Tensor {
  const rest = table.shape.slice(1);
  const width = product(rest);
  const data = new Float64Array(indices.data.length * width);
  indices.data.forEach((index, i) => {
    const row = rowIndex(index, at(table.shape, 0)) * width;
    data.set(table.data.subarray(row, row + width), i * width);
  });
  return { shape: [...indices.shape, ...rest], data };
}

function scatterAdd(updates: Tensor, indices: Tensor, rows: number): Tensor {
  const rest = updates.shape.slice(indices.shape.length);
  const width = product(rest);
  const data = new Float64Array(rows * width);
  indices.data.forEach((index, i) => {
    const row = rowIndex(index, rows) * width;
    for (let k = 0; k < width; k++) data[row + k] = at(data, row + k) + at(updates.data, i * width + k);
  });
  return { shape: [rows, ...rest], data };
}

/** Positions within each example as rows of the flat `[batch · sequence]` table. */
function flatPositions(positions: Tensor, sequence: number): Tensor {
  const count = at(positions.shape, 1);
  const data = positions.data.map((p, i) => Math.floor(i / count) * sequence + rowIndex(p, sequence));
  return { shape: positions.shape, data };
}

function compute(value: Value, { feeds, weights, bindings, resultOf }: Context): Tensor {
  const { operation } = value;
  const input = (index: number): Tensor => resultOf(inputAt(value, index));
  if (isUnary(operation)) {
    const x = input(0);
    return { shape: x.shape, data: x.data.map(UNARY[operation.kind]) };
  }
  switch (operation.kind) {
    case 'input':
    case 'parameter':
    case 'weight': {
      const feed = (operation.kind === 'weight' ? weights : feeds)[operation.name];
      if (feed === undefined) throw new Error(`${describeValue(value)} is not given`);
      return { shape: [...feed.shape], data: Float64Array.from(feed.data) };
    }
    case 'constant':
      return { shape: evaluateShape(value.shape, {}), data: Float64Array.from(operation.data) };
    case 'iota': {
      const shape = evaluateShape(value.shape, bindings);
      return { shape, data: Float64Array.from({ length: product(shape) }, (_, i) => i) };
    }
    case 'dimension':
      return { shape: [], data: Float64Array.of(evaluateDim(operation.dim, bindings)) };
    case 'add':
    case 'subtract':
    case 'multiply':
    case 'divide': {
      const combine = arithmetic(operation.kind, value.dtype);
      return elementwise([input(0), input(1)], ([a = NaN, b = NaN]) => combine(a, b));
    }
    case 'less':
      return elementwise([input(0), input(1)], ([a = NaN, b = NaN]) => (a < b ? 1 : 0));
    case 'equal':
      return elementwise([input(0), input(1)], ([a = NaN, b = NaN]) => (a === b ? 1 : 0));
    case 'where':
      return elementwise([input(0), input(1), input(2)], ([c, yes = NaN, no = NaN]) => (c === 0 ? no : yes));
    case 'cast': {
      const x = input(0);
      return { shape: x.shape, data: x.data.map(convert(value.dtype)) };
    }
    case 'matmul':
      return matmul(input(0), input(1));
    case 'gemm': {
      const a = operation.transposeA ? transpose(input(0), [1, 0]) : input(0);
      const b = operation.transposeB ? transpose(input(1), [1, 0]) : input(1);
      const product = matmul(a, b);
      const scaled = { shape: product.shape, data: product.data.map((x) => x * operation.scale) };
      return value.inputs.length < 3 ? scaled : elementwise([scaled, input(2)], ([x = NaN, bias = NaN]) => x + bias);
    }
    case 'reshape':
      return { shape: evaluateShape(value.shape, bindings), data: input(0).data };
    case 'transpose':
      return transpose(input(0), operation.permutation);
    case 'broadcast': {
      const x = input(0);
      const shape = broadcastShape([x.shape, evaluateShape(value.shape, bindings)]);
      return pick(x, shape, offsets(shape, broadcastStrides(x.shape, shape)));
    }
    case 'slice': {
      const x = input(0);
      const [start, end] = evaluateShape([operation.start, operation.end], bindings) as [number, number];
      if (start < 0 || end < start || end > at(x.shape, operation.axis)) {
        throw new Error(`slice ${start}..${end} of axis ${operation.axis} of [${x.shape.join(', ')}]`);
      }
      const shape = x.shape.map((dim, axis) => (axis === operation.axis ? end - start : dim));
      const strides = stridesOf(x.shape);
      return pick(x, shape, offsets(shape, strides, start * at(strides, operation.axis)));
    }
    case 'concat':
    case 'pad': {
      const { axis } = operation;
      const parts = value.inputs.map(resultOf);
      const [before, after] =
        operation.kind === 'pad'
          ? (evaluateShape([operation.before, operation.after], bindings) as [number, number])
          : [0, 0];
      if (before < 0 || after < 0) throw new Error(`pad by ${before} and ${after}`);
      const length = parts.reduce((sum, part) => sum + at(part.shape, axis), before + after);
      const shape = input(0).shape.map((dim, i) => (i === axis ? length : dim));
      const strides = stridesOf(shape);
      const data = new Float64Array(product(shape));
      let start = before;
      for (const part of parts) {
        if (part.shape.some((dim, i) => i !== axis && dim !== shape[i])) throw new Error('concat of unequal shapes');
        offsets(part.shape, strides, start * at(strides, axis)).forEach((place, i) => (data[place] = at(part.data, i)));
        start += at(part.shape, axis);
      }
      return { shape, data };
    }
    case 'reduceSum':
      return reduce(input(0), operation.axes, 0, arithmetic('add', value.dtype));
    case 'reduceMax':
      return reduce(input(0), operation.axes, -Infinity, Math.max);
    case 'softmax': {
      const x = input(0);
      return rowwise(x, at(x.shape, x.shape.length - 1), softmaxRow);
    }
    case 'layerNorm': {
      const x = input(0);
      const [scale, shift] = [input(1), input(2)];
      return rowwise(x, at(x.shape, x.shape.length - 1), (row) => {
        const { mean, inverseDeviation } = statistics(row, operation.epsilon);
        return row.map((v, i) => (v - mean) * inverseDeviation * at(scale.data, i) + at(shift.data, i));
      });
    }
    case 'layerNormStatistic': {
      const norm = inputAt(value, 0);
      if (norm.operation.kind !== 'layerNorm') throw new Error('layerNormStatistic of something else');
      const { epsilon } = norm.operation;
      return rowwise(resultOf(inputAt(norm, 0)), 1, (row) => [statistics(row, epsilon)[operation.statistic]]);
    }
    case 'gather':
      return gather(input(0), input(1));
    case 'scatterAdd':
      return scatterAdd(input(0), input(1), evaluateDim(value.shape[0] ?? NaN, bindings));
    case 'takeRows': {
      const x = input(0);
      const [batch, sequence, width] = x.shape as [number, number, number];
      return gather({ shape: [batch * sequence, width], data: x.data }, flatPositions(input(1), sequence));
    }
    case 'putRows': {
      const [batch, , width] = input(0).shape as [number, number, number];
      const sequence = evaluateDim(value.shape[1] ?? NaN, bindings);
      const { data } = scatterAdd(input(0), flatPositions(input(1), sequence), batch * sequence);
      return { shape: [batch, sequence, width], data };
    }
  }
}

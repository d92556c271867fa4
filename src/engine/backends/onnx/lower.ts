import { dimAt, inputAt } from '../../graph/operations.ts';
import {
  multiplyDims,
  sameShape,
  sizeOf,
  symbol,
  symbolsOf,
  type Dim,
  type Shape,
  type SymbolicDim,
} from '../../graph/dims.ts';
import { floatTypes, type Precision } from '../../graph/float-types.ts';
import { frozenProduct } from '../../graph/frozen-products.ts';
import { bareOperands } from '../bare-operands.ts';
import { checkWeight } from '../weight-checks.ts';
import {
  isUnary,
  topologicalOrder,
  type DType,
  type Operation,
  type OperationKind,
  type Value,
} from '../../graph/value.ts';
import type { EightBitMatrices } from './eight-bit.ts';
import { eightBitProduct } from './eight-bit-product.ts';
import { createModelWriter, elementType, type InitialiserData, type ModelWriter, type Tensor } from './model-writer.ts';
import type { ModelProto } from './onnx_pb.ts';

/** A frozen weight as the model will hold it. */
export interface PlacedWeight {
  readonly dtype: 'F32' | 'F16' | 'BF16' | 'I32';
  readonly shape: readonly number[];
  readonly data: InitialiserData;
}

/** A graph as an ONNX model. */
export interface LoweredGraph {
  readonly model: ModelProto;
  /** The inputs and parameters that must be fed. */
  readonly inputs: readonly Value[];
  /** The name in the model of each output, by the name it was asked for. */
  readonly outputNames: ReadonlyMap<string, string>;
}

const operatorNames = {
  negate: 'Neg',
  exp: 'Exp',
  log: 'Log',
  sqrt: 'Sqrt',
  reciprocal: 'Reciprocal',
  erf: 'Erf',
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  relu: 'Relu',
  gelu: 'Gelu',
  subtract: 'Sub',
  multiply: 'Mul',
  divide: 'Div',
  less: 'Less',
  equal: 'Equal',
  where: 'Where',
  reduceSum: 'ReduceSum',
  reduceMax: 'ReduceMax',
} as const satisfies Partial<Record<OperationKind, string>>;

/** Tensors that hold the sizes of dimensions, each computed once. */
interface ShapeTensors {
  /** int64 `[1]`. */
  size(dim: Dim): Tensor;
  /** int64 `[rank]`. */
  sizes(shape: Shape): Tensor;
  /** A scalar. */
  scalar(dim: Dim, dtype: DType): Tensor;
}

function createShapeTensors(writer: ModelWriter, inputs: readonly Value[]): ShapeTensors {
  const integers = (values: readonly number[]): Tensor => writer.constant('int64', [values.length], values);
  const ofSymbol = (name: string): Tensor => {
    for (const value of inputs) {
      const axis = value.shape.findIndex((dim) => typeof dim !== 'number' && dim.text === name);
      if (axis < 0 || !('name' in value.operation)) continue;
      return writer.node('Shape', [value.operation.name], { start: BigInt(axis), end: BigInt(axis + 1) });
    }
    throw new Error(`dimension ${name} is not an axis of any input of the graph`);
  };
  const ofSymbolic = (dim: SymbolicDim): Tensor => {
    const terms = dim.terms.map(({ coefficient, symbols }) => {
      const factors = symbols.map(ofSymbol);
      if (coefficient !== 1 || factors.length === 0) factors.push(integers([coefficient]));
      return factors.reduce((product, factor) => writer.node('Mul', [product, factor]));
    });
    return terms.reduce((sum, term) => writer.node('Add', [sum, term]));
  };
  const size = (dim: Dim): Tensor => (typeof dim === 'number' ? integers([dim]) : ofSymbolic(dim));
  return {
    size,
    sizes(shape) {
      if (shape.every((dim) => typeof dim === 'number')) return integers(shape);
      const pieces: Tensor[] = [];
      let run: number[] = [];
      for (const dim of shape) {
        if (typeof dim === 'number') {
          run.push(dim);
          continue;
        }
        if (run.length > 0) pieces.push(integers(run));
        run = [];
        pieces.push(size(dim));
      }
      if (run.length > 0) pieces.push(integers(run));
      const [only] = pieces;
      return pieces.length === 1 && only !== undefined ? only : writer.node('Concat', pieces, { axis: 0n });
    },
    scalar(dim, dtype) {
      if (typeof dim === 'number') return writer.constant(dtype, [], [dim]);
      const squeezed = writer.node('Squeeze', [size(dim)]);
      return dtype === 'int64' ? squeezed : writer.node('Cast', [squeezed], { to: elementType(dtype) });
    },
  };
}

/** A target for Reshape: 0 copies an axis, and -1 spares the arithmetic of the most complicated dimension. */
function reshapeTarget(from: Shape, to: Shape): Shape {
  if (to.includes(0)) return to;
  const copied = to.map((dim, axis) => (typeof dim !== 'number' && dim === from[axis] ? 0 : dim));
  const complexity = (dim: Dim): number => (typeof dim === 'number' ? 0 : dim.text.length);
  const hardest = copied.reduce<Dim>((most, dim) => (complexity(dim) > complexity(most) ? dim : most), 0);
  const at = typeof hardest === 'number' ? -1 : copied.indexOf(hardest);
  return copied.map((dim, axis) => (axis === at ? -1 : dim));
}

const storedDTypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', I32: 'int32' } as const;

interface Lowering {
  readonly writer: ModelWriter;
  readonly shapes: ShapeTensors;
  readonly weights: ReadonlyMap<string, PlacedWeight>;
  /** Weights already written: a graph may ask for one several times. */
  readonly written: Map<string, Tensor>;
  /** What floating-point numbers are read and given as. */
  readonly floatType: Precision;
  /** A value as a tensor; its floating-point numbers are of `floatType`. */
  readonly tensorOf: (value: Value) => Tensor;
  /** What the model is for: some operations are written as what a provider has. */
  readonly provider: string | undefined;
  /** By id, the `putRows` that are added where they are used. */
  readonly scattered: ReadonlySet<number>;
  readonly eightBit: EightBitMatrices;
}

/** A larger constant stands for infinity; in 16 bits this is one to which a score can be added without leaving their range. */
const MOST_IN_HALF = 2 ** 15;

function lowerConstant({ writer, floatType }: Lowering, { dtype, shape }: Value, data: readonly number[]): Tensor {
  const sizes = shape as readonly number[];
  if (dtype !== 'float32' || floatType === 'float32') return writer.constant(dtype, sizes, data);
  const held = data.map((number) => Math.min(Math.max(number, -MOST_IN_HALF), MOST_IN_HALF));
  return writer.node('Cast', [writer.constant(dtype, sizes, held)], { to: elementType(floatType) });
}

function lowerWeight({ writer, weights, written }: Lowering, value: Value, name: string): Tensor {
  const weight = weights.get(name);
  if (weight === undefined) throw new Error(`weight ${name} was not given`);
  checkWeight(value, name, weight);
  const before = written.get(name);
  if (before !== undefined) return before;
  const dtype = storedDTypes[weight.dtype];
  const stored = writer.initialiser(name, dtype, weight.shape, weight.data);
  const narrow = dtype === 'float16' || dtype === 'bfloat16';
  const tensor = narrow ? writer.node('Cast', [stored], { to: elementType('float32') }) : stored;
  written.set(name, tensor);
  return tensor;
}

function lowerGemm(lowering: Lowering, value: Value, operation: Operation & { kind: 'gemm' }): Tensor {
  const { writer, tensorOf } = lowering;
  const frozen = frozenProduct(value);
  const rounded = frozen === undefined ? undefined : lowering.eightBit.get(frozen.name)?.[frozen.reading];
  if (frozen !== undefined && rounded !== undefined) {
    const bias = value.inputs[2];
    const operands = { rows: tensorOf(inputAt(value, 0)), bias: bias === undefined ? undefined : tensorOf(bias) };
    return eightBitProduct(lowering, operands, frozen, rounded);
  }
  const tensors = value.inputs.map(tensorOf);
  const { transposeA, transposeB, scale } = operation;
  if (!transposeA && !transposeB && scale === 1 && tensors.length === 2) return writer.node('MatMul', tensors);
  return writer.node('Gemm', tensors, { transA: transposeA ? 1n : 0n, transB: transposeB ? 1n : 0n, alpha: scale });
}

function reshapeTensor({ writer, shapes }: Lowering, tensor: Tensor, from: Shape, to: Shape): Tensor {
  if (sameShape(from, to)) return tensor;
  return writer.node(
    'Reshape',
    [tensor, shapes.sizes(reshapeTarget(from, to))],
    to.includes(0) ? { allowzero: 1n } : {},
  );
}

/** The row of `[batch · sequence, width]` at which each position of each example lies: `[batch, count]`. */
function flatRows(lowering: Lowering, positions: Value, sequence: Dim): Tensor {
  const { writer, shapes, tensorOf } = lowering;
  const { dtype } = positions;
  const [zero, one] = [writer.constant(dtype, [], [0]), writer.constant(dtype, [], [1])];
  const batch = dimAt(positions, 0);
  const examples = writer.node('Range', [zero, shapes.scalar(batch, dtype), one]);
  const starts = writer.node('Mul', [examples, shapes.scalar(sequence, dtype)]);
  const column = writer.node('Unsqueeze', [starts, writer.constant('int64', [1], [1])]);
  return writer.node('Add', [column, tensorOf(positions)]);
}

/** So many places from a first one, where both are known. */
function placesOf(start: Dim, count: Dim): readonly number[] | undefined {
  if (typeof start !== 'number' || typeof count !== 'number') return undefined;
  return Array.from({ length: count }, (_, i) => start + i);
}

interface Rows {
  readonly tensor: Tensor;
  readonly shape: Shape;
}

/**
 * Adds `[...indices, ...rest]` into `onto` `[rows, ...rest]`, or into zeros. Not by ScatterND: the CPU's splits its updates among threads
 * without a lock, so that repeated indices lose additions; ScatterElements adds them one after the other.
 */
function scatterRows(lowering: Lowering, updates: Rows, indices: Rows, result: Shape, onto?: Tensor): Tensor {
  const { writer, shapes } = lowering;
  const rest = result.slice(1);
  const count = sizeOf(indices.shape);
  const each = [count, ...rest];
  const column = reshapeTensor(lowering, indices.tensor, indices.shape, [count, ...rest.map(() => 1)]);
  // Not ConstantOfShape, which WebGPU leaves to the CPU.
  const target = onto ?? writer.node('Expand', [writer.constant('float32', [], [0]), shapes.sizes(result)]);
  const places = writer.node('Expand', [column, shapes.sizes(each)]);
  const added = reshapeTensor(lowering, updates.tensor, updates.shape, each);
  return writer.node('ScatterElements', [target, places, added], { axis: 0n, reduction: 'add' });
}

/** Adds to some rows of each example: x `[batch, sequence, width]` and `putRows` of its shape. */
function lowerPutRows(lowering: Lowering, put: Value, onto?: Value): Tensor {
  const [updates, positions] = [inputAt(put, 0), inputAt(put, 1)];
  const [batch, sequence, width] = [dimAt(put, 0), dimAt(put, 1), dimAt(put, 2)];
  const flat = [multiplyDims(batch, sequence), width];
  const indices = { tensor: flatRows(lowering, positions, sequence), shape: positions.shape };
  const added = { tensor: lowering.tensorOf(updates), shape: updates.shape };
  const target = onto === undefined ? undefined : reshapeTensor(lowering, lowering.tensorOf(onto), onto.shape, flat);
  return reshapeTensor(lowering, scatterRows(lowering, added, indices, flat, target), flat, put.shape);
}

/** In a sum of a tensor and a few rows, which of the two is which. */
function sumWithRows(sum: Value): { readonly onto: Value; readonly put: Value } | undefined {
  if (sum.operation.kind !== 'add') return undefined;
  const [a, b] = [inputAt(sum, 0), inputAt(sum, 1)];
  if (a.id === b.id || !sameShape(a.shape, b.shape)) return undefined;
  if (b.operation.kind === 'putRows') return { onto: a, put: b };
  return a.operation.kind === 'putRows' ? { onto: b, put: a } : undefined;
}

/** Rows that are only ever added to a whole tensor: they are scattered into it, so that no tensor of zeros is made and summed. */
function scatteredRows(order: readonly Value[], outputs: readonly Value[]): ReadonlySet<number> {
  const scattered = new Set(order.flatMap((value) => sumWithRows(value)?.put.id ?? []));
  for (const output of outputs) scattered.delete(output.id);
  for (const value of order) {
    const put = sumWithRows(value)?.put.id;
    for (const input of value.inputs) if (input.id !== put) scattered.delete(input.id);
  }
  return scattered;
}

function lowerValue(lowering: Lowering, value: Value): Tensor {
  const { writer, shapes, tensorOf } = lowering;
  const { operation } = value;
  const tensors = (): readonly Tensor[] => value.inputs.map(tensorOf);
  const first = (): Tensor => tensorOf(inputAt(value, 0));
  const rowsAt = (index: number): Rows => {
    const input = inputAt(value, index);
    return { tensor: tensorOf(input), shape: input.shape };
  };
  const axisTensor = (axis: number): Tensor => writer.constant('int64', [1], [axis]);
  if (isUnary(operation)) return writer.node(operatorNames[operation.kind], tensors());
  switch (operation.kind) {
    case 'input':
    case 'parameter':
      return operation.name;
    case 'weight':
      return lowerWeight(lowering, value, operation.name);
    case 'constant':
      return lowerConstant(lowering, value, operation.data);
    case 'iota':
      return writer.node('Range', [
        writer.constant(value.dtype, [], [0]),
        shapes.scalar(dimAt(value, 0), value.dtype),
        writer.constant(value.dtype, [], [1]),
      ]);
    case 'dimension':
      return shapes.scalar(operation.dim, value.dtype);
    case 'add': {
      const sum = sumWithRows(value);
      if (sum !== undefined && lowering.scattered.has(sum.put.id)) return lowerPutRows(lowering, sum.put, sum.onto);
      return writer.node('Add', bareOperands(value).map(tensorOf));
    }
    case 'subtract':
    case 'multiply':
    case 'divide':
    case 'less':
    case 'equal':
    case 'where':
      return writer.node(operatorNames[operation.kind], bareOperands(value).map(tensorOf));
    case 'cast':
      return writer.node('Cast', tensors(), {
        to: elementType(value.dtype === 'float32' ? lowering.floatType : value.dtype),
      });
    case 'matmul':
      return writer.node('MatMul', tensors());
    case 'gemm':
      return lowerGemm(lowering, value, operation);
    case 'reshape':
      return reshapeTensor(lowering, first(), inputAt(value, 0).shape, value.shape);
    case 'transpose':
      return writer.node('Transpose', tensors(), { perm: operation.permutation.map(BigInt) });
    case 'broadcast':
      return writer.node('Expand', [first(), shapes.sizes(value.shape)]);
    case 'slice':
      // WebGPU slices no integers: the CPU would, and the rows would travel back.
      if (lowering.provider === 'webgpu' && value.dtype === 'int32') {
        const places = placesOf(operation.start, dimAt(value, operation.axis));
        if (places !== undefined)
          return writer.node('Gather', [first(), writer.constant('int32', [places.length], places)], {
            axis: BigInt(operation.axis),
          });
      }
      return writer.node('Slice', [
        first(),
        shapes.size(operation.start),
        shapes.size(operation.end),
        axisTensor(operation.axis),
      ]);
    case 'concat':
      return writer.node('Concat', tensors(), { axis: BigInt(operation.axis) });
    case 'pad':
      return writer.node('Pad', [
        first(),
        shapes.sizes([operation.before, operation.after]),
        '',
        axisTensor(operation.axis),
      ]);
    case 'reduceSum':
    case 'reduceMax': {
      const axes = writer.constant('int64', [operation.axes.length], operation.axes);
      return writer.node(operatorNames[operation.kind], [first(), axes], { keepdims: 1n });
    }
    case 'softmax':
      return writer.node('Softmax', tensors(), { axis: -1n });
    case 'layerNorm':
      return layerNormOutput(lowering, value, 0);
    case 'layerNormStatistic':
      return layerNormOutput(lowering, inputAt(value, 0), operation.statistic === 'mean' ? 1 : 2);
    case 'gather':
      return writer.node('Gather', tensors(), { axis: 0n });
    case 'scatterAdd':
      return scatterRows(lowering, rowsAt(0), rowsAt(1), value.shape);
    case 'takeRows': {
      const [x, positions] = [inputAt(value, 0), inputAt(value, 1)];
      const [batch, sequence, width] = [dimAt(x, 0), dimAt(x, 1), dimAt(x, 2)];
      const rows = reshapeTensor(lowering, tensorOf(x), x.shape, [multiplyDims(batch, sequence), width]);
      return writer.node('Gather', [rows, flatRows(lowering, positions, sequence)], { axis: 0n });
    }
    case 'putRows':
      return lowerPutRows(lowering, value);
  }
}

function layerNormOutput({ writer, tensorOf }: Lowering, norm: Value, index: number): Tensor {
  const { operation } = norm;
  if (operation.kind !== 'layerNorm') throw new Error('a statistic of something that is no layer norm');
  const attributes = { axis: -1n, epsilon: operation.epsilon };
  const tensor = writer.nodes('LayerNormalization', norm.inputs.map(tensorOf), attributes, 3)[index];
  if (tensor === undefined) throw new Error(`a layer norm has no output ${index}`);
  return tensor;
}

/** Tensors by the ids of their values, for each type that floating-point numbers are wanted in. */
type Tensors = Readonly<Record<Precision, Map<number, Tensor>>>;

/**
 * Lowers the values of a graph in their order, each with its operands in the type that it reads them in, and gives what finds a value's
 * tensor in either type: in the one that it has not it is converted, once.
 */
function lowerAll(
  common: Omit<Lowering, 'floatType' | 'tensorOf'>,
  order: readonly Value[],
  { precision = 'float32', wide = [] }: Pick<LoweringOptions, 'precision' | 'wide'>,
): (value: Value, wanted: Precision) => Tensor {
  const { writer } = common;
  const types = precision === 'float16' ? floatTypes(order, wide) : new Map<number, never>();
  const tensors: Tensors = { float32: new Map(), float16: new Map() };
  const lowerings: Readonly<Record<Precision, Lowering>> = {
    float32: { ...common, floatType: 'float32', tensorOf: (value) => tensorAs(value, 'float32') },
    float16: { ...common, floatType: 'float16', tensorOf: (value) => tensorAs(value, 'float16') },
  };
  const keep = (value: Value, type: Precision, tensor: Tensor): Tensor => {
    tensors[type].set(value.id, tensor);
    return tensor;
  };
  function tensorAs(value: Value, wanted: Precision): Tensor {
    const type = value.dtype === 'float32' ? wanted : 'float32';
    const known = tensors[type].get(value.id);
    if (known !== undefined) return known;
    if (types.get(value.id) === 'either') return keep(value, type, lowerValue(lowerings[type], value));
    const other = tensors[type === 'float32' ? 'float16' : 'float32'].get(value.id);
    if (other === undefined) throw new Error(`${value.operation.kind} is used before it is computed`);
    return keep(value, type, writer.node('Cast', [other], { to: elementType(type) }));
  }
  for (const value of order) {
    if (common.scattered.has(value.id)) continue;
    const type = types.get(value.id) ?? 'float32';
    if (value.dtype !== 'float32')
      keep(value, 'float32', lowerValue(lowerings[type === 'either' ? 'float32' : type], value));
    else if (type !== 'either') keep(value, type, lowerValue(lowerings[type], value));
  }
  return tensorAs;
}

export interface LoweringOptions {
  /** What the model is for; without it, for any provider. */
  readonly provider?: string;
  /** Frozen matrices whose products are computed with 8-bit integers. */
  readonly eightBit?: EightBitMatrices;
  /** What the products over all tokens are computed in; float32 when absent. */
  readonly precision?: Precision | undefined;
  /** Values that are computed in float32 whatever the precision. */
  readonly wide?: readonly Value[] | undefined;
}

/**
 * Writes a graph as an ONNX model: equal computations once, dead ones never, names that depend on the graph alone.
 * @param outputs the values to compute, by name
 * @param weights the frozen tensors, by the names of the graph's `weight` values
 * @throws Error if a weight is missing or of another shape, a symbol is no axis of an input, or two leaves share a name
 */
export function lower(
  outputs: Readonly<Record<string, Value>>,
  weights: ReadonlyMap<string, PlacedWeight>,
  { provider, eightBit = new Map(), precision, wide }: LoweringOptions = {},
): LoweredGraph {
  const writer = createModelWriter();
  const order = topologicalOrder(Object.values(outputs));
  const inputs = order.filter(({ operation }) => operation.kind === 'input' || operation.kind === 'parameter');
  for (const { operation, dtype, shape } of inputs) {
    if ('name' in operation) writer.input(operation.name, dtype, shape);
  }
  const shapes = createShapeTensors(writer, inputs);
  for (const name of new Set(inputs.flatMap(({ shape }) => shape.flatMap(symbolsOf)))) shapes.size(symbol(name));
  const common = {
    writer,
    shapes,
    weights,
    written: new Map<string, Tensor>(),
    provider,
    scattered: scatteredRows(order, Object.values(outputs)),
    eightBit,
  };
  const tensorAs = lowerAll(common, order, { precision, wide });
  const outputNames = new Map(
    Object.entries(outputs).map(([name, value]) => [
      name,
      writer.output(name, tensorAs(value, 'float32'), value.dtype, value.shape),
    ]),
  );
  return { model: writer.finish(), inputs, outputNames };
}

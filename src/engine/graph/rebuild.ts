import {
  add,
  broadcast,
  cast,
  concat,
  divide,
  equal,
  erf,
  exp,
  gather,
  gelu,
  gemm,
  layerNorm,
  less,
  log,
  matmul,
  multiply,
  negate,
  pad,
  putRows,
  reciprocal,
  reduceMax,
  reduceSum,
  relu,
  reshape,
  scatterAdd,
  sigmoid,
  slice,
  softmax,
  sqrt,
  subtract,
  takeRows,
  tanh,
  transpose,
  where,
  dimAt,
} from './operations.ts';
import {
  GraphError,
  isPairwise,
  isUnary,
  type BinaryKind,
  type ComparisonKind,
  type UnaryKind,
  type Value,
} from './value.ts';

export const unaryOperations: Readonly<Record<UnaryKind, (x: Value) => Value>> = {
  negate,
  exp,
  log,
  sqrt,
  reciprocal,
  erf,
  tanh,
  sigmoid,
  relu,
  gelu,
};

export const binaryOperations: Readonly<Record<BinaryKind | ComparisonKind, (a: Value, b: Value) => Value>> = {
  add,
  subtract,
  multiply,
  divide,
  less,
  equal,
};

/** The same operation on other inputs of the same shapes. @throws GraphError on leaves, which have no inputs to replace */
export function rebuild(node: Value, inputs: readonly Value[]): Value {
  const { operation, shape } = node;
  const at = (index: number): Value => {
    const found = inputs[index];
    if (found === undefined) throw new GraphError(operation.kind, `has no input ${index}`, inputs);
    return found;
  };
  if (isUnary(operation)) return unaryOperations[operation.kind](at(0));
  if (isPairwise(operation)) return binaryOperations[operation.kind](at(0), at(1));
  switch (operation.kind) {
    case 'input':
    case 'parameter':
    case 'weight':
    case 'constant':
    case 'iota':
    case 'dimension':
    case 'layerNormStatistic':
      throw new GraphError(operation.kind, 'cannot be rebuilt on other inputs', inputs);
    case 'where':
      return where(at(0), at(1), at(2));
    case 'cast':
      return cast(at(0), node.dtype);
    case 'matmul':
      return matmul(at(0), at(1));
    case 'gemm':
      return gemm(at(0), at(1), { ...operation, bias: inputs[2] });
    case 'reshape':
      return reshape(at(0), shape);
    case 'transpose':
      return transpose(at(0), operation.permutation);
    case 'broadcast':
      return broadcast(at(0), shape);
    case 'slice':
      return slice(at(0), operation.axis, operation.start, operation.end);
    case 'concat':
      return concat(inputs, operation.axis);
    case 'pad':
      return pad(at(0), operation.axis, operation.before, operation.after);
    case 'reduceSum':
      return reduceSum(at(0), operation.axes, { keepAxes: true });
    case 'reduceMax':
      return reduceMax(at(0), operation.axes, { keepAxes: true });
    case 'softmax':
      return softmax(at(0));
    case 'layerNorm':
      return layerNorm(at(0), at(1), at(2), operation.epsilon);
    case 'gather':
      return gather(at(0), at(1));
    case 'scatterAdd':
      return scatterAdd(at(0), at(1), dimAt(node, 0));
    case 'takeRows':
      return takeRows(at(0), at(1));
    case 'putRows':
      return putRows(at(0), at(1), dimAt(node, 1));
  }
}

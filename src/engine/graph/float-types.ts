import { sizeOf, type Shape } from './dims.ts';
import type { Value } from './value.ts';

/** What a value's floating-point numbers are held as; `either` is whatever its reader wants, and is computed once for each. */
export type FloatType = 'float32' | 'float16' | 'either';

/** How many symbols the number of a shape's elements grows with: 0 for a matrix of weights, 2 for a row at each token of each example. */
function degree(shape: Shape): number {
  const size = sizeOf(shape);
  return typeof size === 'number' ? 0 : Math.max(...size.terms.map(({ symbols }) => symbols.length));
}

/** Products with a row at each token are what a step's time goes to; those with fewer rows, the head's and sums over a batch, are not. */
const ROWS_AT_TOKENS = 2;

/** The type of the largest of the inputs that have one; where the largest differ, the wider. */
function followed({ inputs }: Value, typeOf: (value: Value) => FloatType): FloatType {
  const typed = inputs
    .filter((value) => value.dtype === 'float32' && typeOf(value) !== 'either')
    .map((value) => ({ type: typeOf(value), degree: degree(value.shape) }));
  if (typed.length === 0) return 'either';
  const most = Math.max(...typed.map((input) => input.degree));
  return typed.some((input) => input.degree === most && input.type === 'float32') ? 'float32' : 'float16';
}

function typeFor(value: Value, typeOf: (value: Value) => FloatType): FloatType {
  switch (value.operation.kind) {
    case 'matmul':
    case 'gemm':
      return degree(value.shape) >= ROWS_AT_TOKENS ? 'float16' : 'float32';
    case 'constant':
      return 'either';
    case 'cast':
      return value.dtype === 'float32' ? 'either' : 'float32';
    case 'negate':
    case 'exp':
    case 'erf':
    case 'tanh':
    case 'sigmoid':
    case 'relu':
    case 'gelu':
    case 'add':
    case 'subtract':
    case 'multiply':
    case 'less':
    case 'equal':
    case 'where':
    case 'reshape':
    case 'transpose':
    case 'broadcast':
    case 'slice':
    case 'concat':
    case 'pad':
    case 'softmax':
    case 'takeRows':
      return followed(value, typeOf);
    default:
      return 'float32';
  }
}

/**
 * In which type each value of a graph reads its operands, and gives its result where that is floating-point, when products are computed in 16
 * bits. Products with a row at each token are, forward and backward, and so is what is done element by element to what they give. The rest stays
 * float32: sums and what is divided by them, norms, losses, everything trained, the gradients of matrices (each a sum over all tokens), the
 * head, and the residual stream, which is a sum with the output of a norm.
 * @param order of the graph, inputs before users
 */
export function floatTypes(order: readonly Value[]): ReadonlyMap<number, FloatType> {
  const types = new Map<number, FloatType>();
  const typeOf = (value: Value): FloatType => types.get(value.id) ?? 'float32';
  for (const value of order) types.set(value.id, typeFor(value, typeOf));
  return types;
}

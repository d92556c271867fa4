import { sizeOf, type Shape } from './dims.ts';
import { dimAt, inputAt } from './operations.ts';
import type { Value } from './value.ts';

/** What a graph's products over all tokens are computed in, and their results held as. */
export type Precision = 'float32' | 'float16';

/** What a value's floating-point numbers are held as; `either` is whatever its reader wants, and is computed once for each. */
export type FloatType = Precision | 'either';

/** How many symbols the number of a shape's elements grows with: 0 for a matrix of weights, 2 for a row at each token of each example. */
function degree(shape: Shape): number {
  const size = sizeOf(shape);
  return typeof size === 'number' ? 0 : Math.max(...size.terms.map(({ symbols }) => symbols.length));
}

/** Products with a row at each token are what a step's time goes to; those with a row an example, and sums over a batch, are not. */
const ROWS_AT_TOKENS = 2;

/**
 * Terms of a product's sums beyond which it is computed in float32: WebGPU adds them up in 16 bits, where what comes late is lost. The
 * widest layers of encoders have as many; a map onto the vocabulary has more.
 */
const MOST_TERMS = 4096;

function typeOfProduct(product: Value): Precision {
  const { operation } = product;
  const terms = dimAt(inputAt(product, 0), operation.kind === 'gemm' && operation.transposeA ? 0 : -1);
  if (typeof terms === 'number' && terms > MOST_TERMS) return 'float32';
  return degree(product.shape) >= ROWS_AT_TOKENS ? 'float16' : 'float32';
}

/** Some values, and the products that they are views of. */
function withProducts(values: readonly Value[]): ReadonlySet<number> {
  const ids = new Set<number>();
  for (let value of values) {
    ids.add(value.id);
    while (value.operation.kind === 'reshape') {
      value = inputAt(value, 0);
      ids.add(value.id);
    }
  }
  return ids;
}

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
      return typeOfProduct(value);
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
 * float32: reductions and what is divided by them, norms, everything trained, the gradients of matrices (each a sum over all tokens),
 * and the residual stream, to which a norm's output is added.
 * @param order of the graph, inputs before users
 * @param wide values that stay float32, as does what follows from them
 */
export function floatTypes(order: readonly Value[], wide: readonly Value[] = []): ReadonlyMap<number, FloatType> {
  const kept = withProducts(wide);
  const types = new Map<number, FloatType>();
  const typeOf = (value: Value): FloatType => types.get(value.id) ?? 'float32';
  for (const value of order) types.set(value.id, kept.has(value.id) ? 'float32' : typeFor(value, typeOf));
  return types;
}

import type * as tfjs from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { evaluateDim, evaluateShape, type Bindings } from '../../graph/dims.ts';
import { dimAt, inputAt } from '../../graph/operations.ts';
import type { DType, Value } from '../../graph/value.ts';
import { normOf } from './plan.ts';

/** What is used of TensorFlow.js, whichever of its packages it comes from. */
export type Tfjs = typeof tfjs;

/** How a library computes. */
export interface Arithmetic {
  readonly tf: Tfjs;
  /** Whether products of 32-bit integers wrap around as they are; where they pass through floating point, they lose their low bits. */
  readonly wrapsProducts: boolean;
}

/** The library's dtypes for ours: it has no 64-bit integers, which are held in 32 bits. */
export const tfjsDTypes = {
  float32: 'float32',
  int32: 'int32',
  int64: 'int32',
  bool: 'bool',
} as const satisfies Record<DType, string>;

const SHIFT = 2 ** 16;

/** a · b modulo 2³² by the halves of b: no product on the way is beyond 2⁴⁷, so that floating point has it exactly. */
function wrappingProduct({ tf, wrapsProducts }: Arithmetic, a: Tensor, b: Tensor): Tensor {
  if (wrapsProducts) return tf.mul(a, b);
  const shift = tf.scalar(SHIFT, 'int32');
  const high = tf.floorDiv(b, shift);
  const low = tf.sub(b, tf.mul(high, shift));
  return tf.add(tf.mul(a, low), tf.mul(tf.mul(a, shift), high));
}

/** Integers, truncated towards zero; the library's own quotient is the next lower integer. */
function truncatedQuotient({ tf }: Arithmetic, a: Tensor, b: Tensor): Tensor {
  const lower = tf.floorDiv(a, b);
  const isExact = tf.equal(tf.mul(lower, b), a);
  const isPositive = tf.equal(tf.less(a, 0), tf.less(b, 0));
  return tf.where(tf.logicalOr(isExact, isPositive), lower, tf.add(lower, tf.scalar(1, 'int32')));
}

/** The row of `[batch · sequence, width]` at which each position of each example lies: `[batch, count]`. */
function flatRows(tf: Tfjs, positions: Tensor, sequence: number): Tensor {
  const [batch = 0] = positions.shape;
  const starts = tf.range(0, batch * sequence, sequence, 'int32');
  return tf.add(tf.reshape(starts, [batch, 1]), positions);
}

/** Adds `[...indices, ...rest]` into zeros `[rows, ...rest]`. */
function scatterRows(tf: Tfjs, updates: Tensor, indices: Tensor, shape: readonly number[]): Tensor {
  const [, ...rest] = shape;
  if (updates.size === 0) return tf.zeros([...shape]);
  return tf.scatterND(tf.reshape(indices, [indices.size, 1]), tf.reshape(updates, [indices.size, ...rest]), [...shape]);
}

function apply(arithmetic: Arithmetic, value: Value, operands: readonly Tensor[], sizes: Bindings): Tensor {
  const { tf } = arithmetic;
  const { operation } = value;
  const dtype = tfjsDTypes[value.dtype];
  const shape = evaluateShape(value.shape, sizes);
  const at = (index: number): Tensor => {
    const operand = operands[index];
    if (operand === undefined) throw new Error(`${operation.kind} has no operand ${index}`);
    return operand;
  };
  switch (operation.kind) {
    case 'input':
    case 'parameter':
    case 'weight':
    case 'constant':
    case 'layerNorm':
      throw new Error(`${operation.kind} is not computed`);
    case 'iota':
      return tf.range(0, shape[0] ?? 0, 1, 'int32');
    case 'dimension':
      return tf.scalar(evaluateDim(operation.dim, sizes), value.dtype === 'float32' ? 'float32' : 'int32');
    case 'negate':
      return tf.neg(at(0));
    case 'exp':
      return tf.exp(at(0));
    case 'log':
      return tf.log(at(0));
    case 'sqrt':
      return tf.sqrt(at(0));
    case 'reciprocal':
      return tf.reciprocal(at(0));
    case 'erf':
      return tf.erf(at(0));
    case 'tanh':
      return tf.tanh(at(0));
    case 'sigmoid':
      return tf.sigmoid(at(0));
    case 'relu':
      return tf.relu(at(0));
    case 'gelu':
      return tf.mul(tf.mul(at(0), 0.5), tf.add(tf.erf(tf.mul(at(0), Math.SQRT1_2)), 1));
    case 'add':
      return tf.add(at(0), at(1));
    case 'subtract':
      return tf.sub(at(0), at(1));
    case 'multiply':
      return dtype === 'int32' ? wrappingProduct(arithmetic, at(0), at(1)) : tf.mul(at(0), at(1));
    case 'divide':
      return dtype === 'int32' ? truncatedQuotient(arithmetic, at(0), at(1)) : tf.div(at(0), at(1));
    case 'less':
      return tf.less(at(0), at(1));
    case 'equal':
      return tf.equal(at(0), at(1));
    case 'where':
      return tf.where(at(0), at(1), at(2));
    case 'cast':
      return tf.cast(at(0), dtype);
    case 'matmul':
      return tf.matMul(at(0), at(1));
    case 'gemm': {
      const { transposeA, transposeB, scale } = operation;
      const product = tf.matMul(at(0), at(1), transposeA, transposeB);
      const scaled = scale === 1 ? product : tf.mul(product, scale);
      return operands.length === 2 ? scaled : tf.add(scaled, at(2));
    }
    case 'reshape':
      return tf.reshape(at(0), shape);
    case 'transpose':
      return tf.transpose(at(0), [...operation.permutation]);
    case 'broadcast':
      return tf.broadcastTo(at(0), shape);
    case 'slice': {
      const begin = shape.map((_, axis) => (axis === operation.axis ? evaluateDim(operation.start, sizes) : 0));
      return tf.slice(at(0), begin, shape);
    }
    case 'concat':
      return tf.concat([...operands], operation.axis);
    case 'pad': {
      const [before, after] = [evaluateDim(operation.before, sizes), evaluateDim(operation.after, sizes)];
      return tf.pad(
        at(0),
        shape.map((_, axis): [number, number] => (axis === operation.axis ? [before, after] : [0, 0])),
      );
    }
    case 'reduceSum':
      return tf.sum(at(0), [...operation.axes], true);
    case 'reduceMax':
      return tf.max(at(0), [...operation.axes], true);
    case 'softmax':
      return tf.softmax(at(0));
    case 'layerNormStatistic': {
      if (operation.statistic === 'mean') return tf.mean(at(0), -1, true);
      const variance = tf.mean(tf.square(at(0)), -1, true);
      return tf.reciprocal(tf.sqrt(tf.add(variance, normOf(value).operation.epsilon)));
    }
    case 'gather':
      return tf.gather(at(0), at(1));
    case 'scatterAdd':
      return scatterRows(tf, at(0), at(1), shape);
    case 'takeRows': {
      const [batch, sequence, width] = evaluateShape(inputAt(value, 0).shape, sizes) as [number, number, number];
      return tf.gather(tf.reshape(at(0), [batch * sequence, width]), flatRows(tf, at(1), sequence));
    }
    case 'putRows': {
      const sequence = evaluateDim(dimAt(value, 1), sizes);
      const [batch = 0, , width = 0] = shape;
      const rows = scatterRows(tf, at(0), flatRows(tf, at(1), sequence), [batch * sequence, width]);
      return tf.reshape(rows, shape);
    }
  }
}

/**
 * Computes one operation, and leaves nothing behind but its result, which is a tensor of its own.
 * @param operands of the operation as it is planned
 */
export function compute(arithmetic: Arithmetic, value: Value, operands: readonly Tensor[], sizes: Bindings): Tensor {
  const { tf } = arithmetic;
  return tf.tidy(() => {
    const result = apply(arithmetic, value, operands, sizes);
    return operands.includes(result) ? result.clone() : result;
  });
}

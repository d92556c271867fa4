import { addDims, multiplyDims, sizeOf, type Dim, type Shape } from './dims.ts';
import {
  add,
  cast,
  constant,
  dimAt,
  dimension,
  equal,
  gemm,
  less,
  matmul,
  multiply,
  reduceSum,
  reshape,
  scatterAdd,
  sqrt,
  swapLastAxes,
  where,
} from './operations.ts';
import type { Value } from './value.ts';

/**
 * The gradient of every example's own loss with respect to one parameter, in the form that costs least:
 * - `materialised`: value `[batch, ...shape]`;
 * - `pair`: for a matrix used in products, gradient of example b = Σ_t left[b,t]ᵀ right[b,t]; left `[batch, rows, p]`, right `[batch, rows, q]`;
 * - `rows`: for an embedding table, the rows `errors` `[batch, n, width]` added at `indices` `[batch, n]`.
 */
export type PerExampleGradient =
  | { readonly form: 'materialised'; readonly value: Value }
  | { readonly form: 'pair'; readonly left: Value; readonly right: Value }
  | { readonly form: 'rows'; readonly indices: Value; readonly errors: Value; readonly rows: number };

/** The gradient as one tensor `[batch, ...shape]`. */
export function materialise(gradient: PerExampleGradient, shape: Shape): Value {
  switch (gradient.form) {
    case 'materialised':
      return gradient.value;
    case 'pair':
      return reshape(matmul(swapLastAxes(gradient.left), gradient.right), [dimAt(gradient.left, 0), ...shape]);
    case 'rows': {
      const { indices, errors, rows } = gradient;
      const [batch, count] = [dimAt(indices, 0), dimAt(indices, 1)];
      const numbers = reshape(iotaOf(rows, indices), [1, rows, 1]);
      const hits = cast(equal(numbers, reshape(indices, [batch, 1, count])), 'float32');
      return reshape(matmul(hits, errors), [batch, ...shape]);
    }
  }
}

function iotaOf(length: number, like: Value): Value {
  return constant(
    Array.from({ length }, (_, i) => i),
    [length],
    like.dtype,
  );
}

/** Up to this many numbers an example, a pair is multiplied out rather than measured through its Gram matrices. */
const MULTIPLY_OUT = 1 << 16;

/**
 * The gradient multiplied out where that takes little memory: the norm and the sum then share one product, which costs what an ordinary
 * gradient's does.
 */
export function multipliedOut(gradient: PerExampleGradient, shape: Shape): PerExampleGradient {
  const size = sizeOf(shape);
  return gradient.form === 'pair' && typeof size === 'number' && size <= MULTIPLY_OUT
    ? { form: 'materialised', value: materialise(gradient, shape) }
    : gradient;
}

/** The largest relative error of one operation in float32, rounded to nearest. */
const UNIT_ROUNDOFF = 2 ** -24;

/** A squared norm of each example as computed, and by how much more the true one may be; each `[batch]`. */
export interface SquaredNorm {
  readonly value: Value;
  /** Undefined where a sum of squares is measured directly: it loses nothing to cancellation. */
  readonly slack: Value | undefined;
}

/**
 * The squared norm of each example's gradient. A pair is measured without forming it (Goodfellow 2015; Li et al. 2022):
 * ‖Σ_t l_tᵀ r_t‖² = Σ_{t,t'} (l_t · l_t') (r_t · r_t'), and the rows of a table likewise. Where the tokens' parts of a gradient cancel, so
 * do these terms, but their rounding does not: of inner products over p and q numbers and sums over n tokens twice it is at most
 * (p + q + 2n + 3) u (Σ_t ‖l_t‖ ‖r_t‖)² (Higham 2002, section 3.1), whatever the order of summation.
 */
export function squaredNorm(gradient: PerExampleGradient): SquaredNorm {
  switch (gradient.form) {
    case 'materialised':
      return { value: sumPerExample(multiply(gradient.value, gradient.value)), slack: undefined };
    case 'pair': {
      const { left, right } = gradient;
      const [p, q] = [dimAt(left, -1), dimAt(right, -1)];
      const size = multiplyDims(p, q);
      if (typeof size === 'number' && size <= MULTIPLY_OUT) {
        const value = matmul(swapLastAxes(left), right);
        return { value: sumPerExample(multiply(value, value)), slack: undefined };
      }
      const products = multiply(matmul(left, swapLastAxes(left)), matmul(right, swapLastAxes(right)));
      const sizes = sqrt(multiply(squares(left), squares(right)));
      const all = reduceSum(sizes, [1]);
      return { value: sumPerExample(products), slack: rounding(multiply(all, all), addDims(p, q), sizes) };
    }
    case 'rows': {
      const { indices, errors } = gradient;
      const [batch, count] = [dimAt(indices, 0), dimAt(indices, 1)];
      const together = equal(reshape(indices, [batch, count, 1]), reshape(indices, [batch, 1, count]));
      const sizes = sqrt(squares(errors));
      const outer = multiply(reshape(sizes, [batch, count, 1]), reshape(sizes, [batch, 1, count]));
      return {
        value: sumPerExample(where(together, matmul(errors, swapLastAxes(errors)), 0)),
        slack: rounding(sumPerExample(where(together, outer, 0)), dimAt(errors, -1), sizes),
      };
    }
  }
}

/** The squared length of every row of `[batch, rows, width]`: `[batch, rows]`. */
function squares(x: Value): Value {
  return reduceSum(multiply(x, x), [2]);
}

/**
 * Bounds the rounding of a double sum over an example's tokens of products over `inner` numbers.
 * @param magnitudes the sum of the terms' magnitudes, `[batch]`
 * @param sizes of each token's part, `[batch, rows]`; padding has none, so that an example's bound does not depend on those beside it
 */
function rounding(magnitudes: Value, inner: Dim, sizes: Value): Value {
  const tokens = reduceSum(cast(less(0, sizes), 'float32'), [1]);
  const operations = add(multiply(tokens, 2), add(dimension(inner), 3));
  // The magnitudes are rounded themselves, and terms of second order are left out of the count: a hundredth covers both.
  return multiply(magnitudes, multiply(operations, 1.01 * UNIT_ROUNDOFF));
}

/** Σ over all but the first axis, one axis after another: the errors of the single sums add up, not those of all terms. */
function sumPerExample(x: Value): Value {
  return x.shape.slice(1).reduce<Value>((sum) => reduceSum(sum, [sum.shape.length - 1]), x);
}

/** Σ_b weights[b] · gradient of example b, of the parameter's shape; weights `[batch]`. */
export function weightedSum(gradient: PerExampleGradient, weights: Value, shape: Shape): Value {
  const batch = dimAt(weights, 0);
  switch (gradient.form) {
    case 'materialised': {
      const flat = reshape(gradient.value, [batch, sizeOf(shape)]);
      return reshape(gemm(reshape(weights, [1, batch]), flat), shape);
    }
    case 'pair': {
      const left = multiply(gradient.left, reshape(weights, [batch, 1, 1]));
      const rows = multiplyDims(batch, dimAt(left, 1));
      const flat = (x: Value): Value => reshape(x, [rows, dimAt(x, 2)]);
      return reshape(gemm(flat(left), flat(gradient.right), { transposeA: true }), shape);
    }
    case 'rows': {
      const errors = multiply(gradient.errors, reshape(weights, [batch, 1, 1]));
      return reshape(scatterAdd(errors, gradient.indices, gradient.rows), shape);
    }
  }
}

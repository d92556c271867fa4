import { divideDims, sizeOf } from './dims.ts';
import {
  add,
  dimAt,
  equal,
  exp,
  gemm,
  iota,
  log,
  multiply,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  subtract,
  tanh,
  where,
} from './operations.ts';
import { GraphError, type Value } from './value.ts';

/** Views `[..., width]` as a matrix of rows. */
export function asRows(x: Value): Value {
  const width = dimAt(x, -1);
  const rows = divideDims(sizeOf(x.shape), width);
  if (rows === undefined) throw new GraphError('reshape', 'cannot be viewed as rows', [x]);
  return reshape(x, [rows, width]);
}

/** `x Wᵀ + bias` over the last axis; W `[out, in]` as torch stores it. Runs as one matrix product on a view. */
export function linear(x: Value, weight: Value, bias?: Value): Value {
  const product = gemm(asRows(x), weight, { transposeB: true, bias });
  return reshape(product, [...x.shape.slice(0, -1), dimAt(weight, 0)]);
}

/** `x W + bias` over the last axis; W `[in, out]`, as the papers write their own matrices. */
export function multiplyLast(x: Value, matrix: Value, bias?: Value): Value {
  return reshape(gemm(asRows(x), matrix, { bias }), [...x.shape.slice(0, -1), dimAt(matrix, 1)]);
}

/** The tanh form of gelu (`gelu_new`): ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). */
export function geluTanh(x: Value): Value {
  const inner = multiply(add(x, multiply(multiply(multiply(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return multiply(multiply(x, 0.5), add(tanh(inner), 1));
}

/** log Σ exp over the last axis, that axis kept with size 1; shifted by the maximum, so it never overflows. */
export function logSumExp(x: Value): Value {
  const most = reduceMax(x, [-1], { keepAxes: true });
  return add(log(reduceSum(exp(subtract(x, most)), [-1], { keepAxes: true })), most);
}

/** Cross-entropy of each row: logits `[rows, classes]`, labels int `[rows]`; gives `[rows]`. */
export function crossEntropy(logits: Value, labels: Value): Value {
  const classes = dimAt(logits, -1);
  const chosen = equal(
    reshape(labels, [...labels.shape, 1]),
    iota(classes, labels.dtype === 'int64' ? 'int64' : 'int32'),
  );
  const logit = reduceSum(where(chosen, logits, 0), [-1]);
  return subtract(reshape(logSumExp(logits), labels.shape), logit);
}

/** Squared error of each row: predictions and targets `[rows]`. */
export function squaredError(predictions: Value, targets: Value): Value {
  const difference = subtract(predictions, targets);
  return multiply(difference, difference);
}

/** The mean of all elements, a scalar. */
export function mean(x: Value): Value {
  return reduceMean(
    x,
    x.shape.map((_, axis) => axis),
  );
}

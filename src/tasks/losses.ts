import { crossEntropy, squaredError } from '../engine/graph/functions.ts';
import {
  add,
  cast,
  divide,
  equal,
  multiply,
  reduceSum,
  reshape,
  subtract,
  where,
  dimAt,
} from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import { splitSpan } from './heads.ts';

/** The label of a token that is not scored, as Hugging Face marks it. */
export const IGNORED_LABEL = -100;

/** Cross-entropy of each example: logits `[batch, labels]`, labels int `[batch]`; gives `[batch]`. */
export function classificationLosses(logits: Value, labels: Value): Value {
  return crossEntropy(logits, labels);
}

/** Squared error of each example: logits `[batch, 1]`, targets float `[batch]`; gives `[batch]`. */
export function regressionLosses(logits: Value, targets: Value): Value {
  return squaredError(reshape(logits, [dimAt(logits, 0)]), targets);
}

export interface TokenLosses {
  /** The sum over each example's scored tokens, `[batch]`. */
  readonly sums: Value;
  /** The mean over each example's own scored tokens, `[batch]`. */
  readonly perExample: Value;
}

/** Cross-entropy of scored tokens: logits `[batch, sequence, labels]`, labels int `[batch, sequence]` with −100 where none is scored. */
export function tokenLosses(logits: Value, labels: Value): TokenLosses {
  const ignored = equal(labels, IGNORED_LABEL);
  const losses = crossEntropy(logits, where(ignored, 0, labels));
  const scored = subtract(1, cast(ignored, 'float32'));
  const sums = reduceSum(multiply(losses, scored), [1]);
  const counts = reduceSum(scored, [1]);
  // An example without a scored token has no loss rather than none that is a number.
  return { sums, perExample: divide(sums, where(equal(counts, 0), 1, counts)) };
}

/** The mean of the cross-entropies of start and end over the positions of the text: logits `[batch, sequence, 2]`; gives `[batch]`. */
export function spanLosses(logits: Value, starts: Value, ends: Value): Value {
  const { start, end } = splitSpan(logits);
  return multiply(add(crossEntropy(start, starts), crossEntropy(end, ends)), 0.5);
}

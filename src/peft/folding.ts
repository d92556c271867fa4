import type { Value } from '../engine/graph/value.ts';
import type { EncoderTensor } from './method.ts';

/** One of the encoder's tensors with a trained method put into it; the tensor itself where the method leaves it alone. */
export type FoldTensor = (value: Value, tensor: EncoderTensor) => Value;

/** What is left of a method that does not vanish into the encoder: a simpler method that computes the same. */
export interface Remainder {
  readonly method: { readonly id: string; readonly options: Readonly<Record<string, unknown>> };
  /** Every trained tensor of the simpler method, by its name there. */
  readonly tensors: () => ReadonlyMap<string, Value>;
}

/**
 * How a trained method is worked into the encoder once, for inference. What it becomes is written as values of a graph over the encoder's
 * tensors and the method's own; whoever folds evaluates them, and runs an ordinary model afterwards.
 */
export type Folding =
  | {
      readonly kind: 'folds';
      /** Puts what acts on a result, or anywhere but before a linear map, into the tensor. */
      readonly tensor?: FoldTensor;
      /** Puts what acts on the input of a linear map into its weight; comes after `tensor`. */
      readonly inputs?: FoldTensor;
      /** Nothing but the head where absent. */
      readonly remainder?: Remainder;
    }
  /** It depends on the example, or is no linear map. */
  | { readonly kind: 'stays'; readonly reason: string };

export function stays(reason: string): Folding {
  return { kind: 'stays', reason };
}

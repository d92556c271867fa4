import type { Value } from '../engine/graph/value.ts';
import type { EncoderTensor, Projection } from './method.ts';

/** One of the encoder's tensors with a trained method put into it; the tensor itself where the method leaves it alone. */
export type FoldTensor = (value: Value, tensor: EncoderTensor) => Value;

/** What is left of a method that does not vanish into the encoder: a simpler method that computes the same. */
export interface Remainder {
  readonly method: { readonly id: string; readonly options: Readonly<Record<string, unknown>> };
  /** Every trained tensor of the simpler method, by its name there. */
  readonly tensors: () => ReadonlyMap<string, Value>;
  /** Why it is left, as said of what stays. */
  readonly reason: string;
}

/**
 * What a trained method becomes a part of, in the order in which parts of a union are put into the encoder. What scales a map's input comes
 * last: a result that is put into the map's weight was computed from the scaled input.
 */
export const foldSteps = ['tensors', 'results', 'blocks', 'inputs'] as const;

/**
 * `tensors`: the encoder's own tensors; `results`: those of linear maps; `blocks`: the output of a block or of the norm after it; `inputs`:
 * those of linear maps.
 */
export type FoldStep = (typeof foldSteps)[number];

/** Something that a hook does where other parts of a union may act too. */
export interface Act {
  /** In the order of the forward pass: a linear map's input or result, the block's output behind it, or the output of the block's norm. */
  readonly on: 'input' | 'result' | 'block' | 'norm';
  readonly map: Projection;
  readonly does: 'adds' | 'scales';
  /** What it depends on: what it acts on, the map's input, or the block's norm of what it acts on. */
  readonly reads: readonly ('itself' | 'input' | 'norm')[];
}

/**
 * How a trained method is worked into the encoder once, for inference. What it becomes is written as values of a graph over the encoder's
 * tensors and the method's own; whoever folds evaluates them, and runs an ordinary model afterwards.
 */
export type Folding =
  | {
      readonly kind: 'folds';
      readonly steps?: Partial<Readonly<Record<FoldStep, FoldTensor>>>;
      /** Nothing but the head where absent. */
      readonly remainder?: Remainder;
    }
  /** It depends on the example, or is no linear map. The reason goes on after the method's name: "has …". */
  | { readonly kind: 'stays'; readonly reason: string };

/** A method, or part of one, that cannot be folded into the encoder's weights, and why. */
export function stays(reason: string): Folding {
  return { kind: 'stays', reason };
}

import type { Value } from './value.ts';

/** The start values of a tensor. Random ones are drawn from the run's seed under the tensor's name, so they can be made again. */
export type Initialiser =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'ones' }
  /** N(0, deviation²). */
  | { readonly kind: 'normal'; readonly deviation: number }
  /** N(0, deviation²), drawn again where it lies beyond two deviations. */
  | { readonly kind: 'truncatedNormal'; readonly deviation: number }
  /** U(-bound, bound). */
  | { readonly kind: 'uniform'; readonly bound: number }
  /** -1 or 1, as likely. */
  | { readonly kind: 'signs' }
  /** The identity matrix. */
  | { readonly kind: 'identity' }
  /** The checkpoint's tensor of this name. */
  | { readonly kind: 'checkpoint'; readonly tensor: string }
  /** Rows of the checkpoint's word embeddings: drawn without repetition as far as there are enough, or the mask token's in every row. */
  | { readonly kind: 'wordEmbeddings'; readonly of: 'drawn' | 'mask' };

/** How a frozen tensor starts: as a trained one may, or as 0, 1, … in a random order, which makes it int32. */
export type FixedInitialiser = Initialiser | { readonly kind: 'permutation' };

/** What a trained tensor is counted as. */
export type Part = 'method' | 'head';

/** A tensor that a method or a head declares. */
export interface DeclaredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initialiser: Initialiser;
  readonly value: Value;
}

/** A frozen tensor that is no part of the checkpoint. */
export interface FixedTensor extends Omit<DeclaredTensor, 'initialiser'> {
  readonly initialiser: FixedInitialiser;
}

export interface TrainedTensor extends DeclaredTensor {
  readonly part: Part;
}

/** How methods and heads declare their tensors and use randomness while a graph is built. */
export interface ParameterScope {
  /** A trained tensor of this name. */
  trained(name: string, shape: readonly number[], initialiser: Initialiser): Value;
  /** A frozen tensor that is no part of the checkpoint, such as a random projection; int32 where it is a permutation. */
  fixed(name: string, shape: readonly number[], initialiser: FixedInitialiser): Value;
  /**
   * Dropout at a new site while training; the value itself otherwise. A given rate is kept whatever the rest of the model has; without one it
   * is that of the encoder's hidden states.
   */
  dropout(x: Value, rate?: number): Value;
}

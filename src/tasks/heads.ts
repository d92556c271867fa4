import { linear } from '../engine/graph/functions.ts';
import { dimAt, gelu, relu, reshape, slice, tanh } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';

/** The heads that read the encoder. The first four are the families' own sequence classifiers, as Hugging Face builds them. */
export type HeadLayout =
  /** BERT: the encoder's pooler (dense, tanh) on the first token, dropout, linear. */
  | 'bert'
  /** RoBERTa, or any family that is asked for two layers: dropout, dense, tanh, dropout, linear on the first token. */
  | 'roberta'
  /** ELECTRA: as RoBERTa with gelu. */
  | 'electra'
  /** DistilBERT: dense, relu, dropout, linear on the first token. */
  | 'distilbert'
  /** One linear map on the chosen token, without dropout: what SLaSh's authors read at the mask token. */
  | 'linear'
  /** Dropout and a linear map on every token: labels of words. */
  | 'token'
  /** A linear map on every token to a start and an end score, in DistilBERT after dropout: answers in a text. */
  | 'span'
  /** The checkpoint's own map of every token onto the vocabulary, its weight tied to the word embeddings: masked words. */
  | 'words';

/** What a head needs beside its own tensors. */
export interface HeadInputs {
  /** `[batch, 1, hidden]` for sequence heads, `[batch, sequence, hidden]` for `token` and `span`. */
  readonly hidden: Value;
  /** The encoder's pooler on one token, for the `bert` layout. */
  readonly pool: (x: Value) => Value;
  /** The checkpoint's scores of all words, for the `words` layout. */
  readonly scoreWords: (x: Value) => Value;
  /** None where undefined, whatever rate is asked for elsewhere. */
  readonly dropoutRate: number | undefined;
}

/** One of a head's tensors: the final map's, or those of the dense layer before it. */
export interface HeadMap {
  readonly name: string;
  readonly final: boolean;
}

/** The linear maps of a layout, by their names in a checkpoint. */
export const headMaps: Readonly<Record<HeadLayout, readonly HeadMap[]>> = {
  bert: [{ name: 'classifier', final: true }],
  roberta: [
    { name: 'classifier.dense', final: false },
    { name: 'classifier.out_proj', final: true },
  ],
  electra: [
    { name: 'classifier.dense', final: false },
    { name: 'classifier.out_proj', final: true },
  ],
  distilbert: [
    { name: 'pre_classifier', final: false },
    { name: 'classifier', final: true },
  ],
  linear: [{ name: 'classifier', final: true }],
  token: [{ name: 'classifier', final: true }],
  span: [{ name: 'qa_outputs', final: true }],
  words: [],
};

/** Declares a linear map of the head: weight `[outputs, inputs]` from N(0, 0.02²), bias zero (Hugging Face's initialisation). */
export type DeclareMap = (
  map: HeadMap,
  outputs: number,
  inputs: number,
) => { readonly weight: Value; readonly bias: Value };

/**
 * The head's outputs: logits `[batch, labels]` (`[batch, 1]` for regression), `[batch, sequence, labels]` for `token`,
 * `[batch, sequence, 2]` for `span`, and `[batch, sequence, vocabulary]` for `words`.
 */
export function buildHead(
  layout: HeadLayout,
  labels: number,
  { hidden, pool, scoreWords, dropoutRate }: HeadInputs,
  declare: DeclareMap,
  dropout: (x: Value, rate: number) => Value,
): Value {
  const width = dimAt(hidden, -1);
  if (typeof width !== 'number') throw new Error('the hidden size must be fixed');
  const apply = (x: Value, index: number, outputs: number): Value => {
    const map = headMaps[layout][index];
    if (map === undefined) throw new Error(`${layout} has no map ${index}`);
    const { weight, bias } = declare(map, outputs, width);
    return linear(x, weight, bias);
  };
  const drop = (x: Value): Value => (dropoutRate === undefined ? x : dropout(x, dropoutRate));
  const sequenceLogits = (logits: Value): Value => reshape(logits, [dimAt(logits, 0), labels]);
  switch (layout) {
    case 'bert':
      return sequenceLogits(apply(drop(pool(hidden)), 0, labels));
    case 'roberta':
      return sequenceLogits(apply(drop(tanh(apply(drop(hidden), 0, width))), 1, labels));
    case 'electra':
      return sequenceLogits(apply(drop(gelu(apply(drop(hidden), 0, width))), 1, labels));
    case 'distilbert':
      return sequenceLogits(apply(drop(relu(apply(hidden, 0, width))), 1, labels));
    case 'linear':
      return sequenceLogits(apply(hidden, 0, labels));
    case 'token':
      return apply(drop(hidden), 0, labels);
    case 'span':
      return apply(drop(hidden), 0, 2);
    case 'words':
      return scoreWords(hidden);
  }
}

/** Start and end scores `[batch, sequence]` of span logits `[batch, sequence, 2]`. */
export function splitSpan(logits: Value): { readonly start: Value; readonly end: Value } {
  const column = (index: number): Value =>
    reshape(slice(logits, 2, index, index + 1), [dimAt(logits, 0), dimAt(logits, 1)]);
  return { start: column(0), end: column(1) };
}

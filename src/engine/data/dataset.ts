import { mix32 } from '../../base/random.ts';
import { IGNORED_LABEL } from '../../tasks/losses.ts';
import type { Example, Task } from '../../tasks/task.ts';

/** A tokenised text or pair, special tokens included. */
export interface Encoded {
  readonly ids: ArrayLike<number>;
  /** 0 for tokens of the first text, 1 for the second, as the tokenizer sets them. */
  readonly typeIds: ArrayLike<number>;
  /** 1 on tokens that the tokenizer put around the texts, READ_MASK on the mask token that the head reads; none is when absent. */
  readonly special?: ArrayLike<number>;
}

/** An example given as words; `wordOf` tells for each token the word it is part of, -1 for tokens that are part of none. */
export interface EncodedWords extends Encoded {
  readonly wordOf: ArrayLike<number>;
}

/** Tokenises an example that is given as words, cut to at most `maxLength` tokens. */
export type EncodeWords = (words: readonly string[], pair: string | undefined, maxLength: number) => EncodedWords;

/** Tokenises one example, cut to at most `maxLength` tokens. */
export type EncodeFast = (text: string, pair: string | undefined, maxLength: number) => Encoded;

/**
 * A tokenised split, all tokens in one array: example i holds the tokens [offsets[i], offsets[i + 1]). About 6 bytes a token.
 */
export interface Dataset {
  readonly count: number;
  readonly kind: Task['kind'];
  readonly ids: Int32Array;
  readonly typeIds: Uint8Array;
  /** 1 on tokens that the tokenizer put around the texts, READ_MASK on the mask token that the head reads. */
  readonly special: Uint8Array;
  readonly offsets: Uint32Array;
  /** Class indices or gold scores; `unlabelled` (-1) where there is none. */
  readonly labels: Float64Array;
  /** Where words are labelled: the label of each token that begins a word, {@link IGNORED_LABEL} at all others. */
  readonly tokenLabels?: Int32Array;
}

/** One tokenised example, as views into the data set. */
export interface TokenisedExample {
  readonly ids: Int32Array;
  readonly typeIds: Uint8Array;
  readonly special: Uint8Array;
  readonly label: number;
  readonly tokenLabels: Int32Array | undefined;
}

/**
 * Tokenises examples into a {@link Dataset}.
 * @throws RangeError when the tokenizer breaks its word: no token, more than `maxLength`, or as many type ids as ids
 */
export function encodeDataset(
  examples: readonly Example[],
  kind: Task['kind'],
  encode: EncodeFast,
  maxLength: number,
): Dataset {
  const count = examples.length;
  const offsets = new Uint32Array(count + 1);
  const labels = new Float64Array(count);
  let ids = new Int32Array(Math.max(1, count) * 16);
  let typeIds = new Uint8Array(ids.length);
  let special = new Uint8Array(ids.length);
  let used = 0;
  for (const [index, { text, pair, label }] of examples.entries()) {
    const encoded = encode(text, pair, maxLength);
    const { length } = encoded.ids;
    const marks = encoded.special?.length ?? length;
    if (length === 0 || length > maxLength || encoded.typeIds.length !== length || marks !== length)
      throw new RangeError(
        `example ${index} was tokenised to ${length} ids, ${encoded.typeIds.length} type ids and ${marks} marks; 1 to ${maxLength} of each were expected`,
      );
    if (used + length > ids.length) {
      const capacity = Math.max(used + length, ids.length * 2);
      ids = grown(ids, new Int32Array(capacity));
      typeIds = grown(typeIds, new Uint8Array(capacity));
      special = grown(special, new Uint8Array(capacity));
    }
    ids.set(encoded.ids, used);
    typeIds.set(encoded.typeIds, used);
    if (encoded.special !== undefined) special.set(encoded.special, used);
    used += length;
    offsets[index + 1] = used;
    labels[index] = label;
  }
  const cut = { ids: ids.slice(0, used), typeIds: typeIds.slice(0, used), special: special.slice(0, used) };
  return { count, kind, ...cut, offsets, labels };
}

/**
 * Tokenises examples whose words are labelled: a word's label stands at its first token, the others are not scored (Devlin et al. 2019,
 * section 5.3).
 * @throws RangeError as {@link encodeDataset}
 */
export function encodeWordDataset(examples: readonly Example[], encode: EncodeWords, maxLength: number): Dataset {
  const tokenLabels: number[] = [];
  const places = examples.values();
  const dataset = encodeDataset(
    examples,
    'words',
    (_, pair, most) => {
      const { words } = places.next().value ?? {};
      if (words === undefined) throw new RangeError('an example has no words');
      const encoded = encode(words.texts, pair, most);
      let last = -1;
      for (let at = 0; at < encoded.ids.length; at++) {
        const word = encoded.wordOf[at] ?? -1;
        tokenLabels.push(word < 0 || word === last ? IGNORED_LABEL : (words.labels[word] ?? IGNORED_LABEL));
        last = word;
      }
      return encoded;
    },
    maxLength,
  );
  return { ...dataset, tokenLabels: Int32Array.from(tokenLabels) };
}

function grown<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** The number of tokens of each example. */
export function lengthsOf({ count, offsets }: Pick<Dataset, 'count' | 'offsets'>): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (offsets[i + 1] as number) - (offsets[i] as number));
}

/** Example `index` as views into the data set. */
export function exampleAt(dataset: Dataset, index: number): TokenisedExample {
  if (!Number.isInteger(index) || index < 0 || index >= dataset.count)
    throw new RangeError(`example ${index} of ${dataset.count}`);
  const start = dataset.offsets[index];
  const end = dataset.offsets[index + 1];
  return {
    ids: dataset.ids.subarray(start, end),
    typeIds: dataset.typeIds.subarray(start, end),
    special: dataset.special.subarray(start, end),
    label: dataset.labels[index] as number,
    tokenLabels: dataset.tokenLabels?.subarray(start, end),
  };
}

/**
 * A 32-bit word for each of these examples that follows from its tokens alone: from no other example, nor from how many stand before it, as
 * an index does. Equal texts have equal ones.
 */
export function contentKeys(dataset: Dataset, indices: Uint32Array): Uint32Array {
  return indices.map((index) => {
    const { ids, typeIds } = exampleAt(dataset, index);
    let key = ids.length;
    for (let t = 0; t < ids.length; t++) key = mix32(key, ids[t] as number, typeIds[t] as number);
    return key;
  });
}

/**
 * Tokenisation as the Rust `tokenizers` library does it, to the offset. The subword models come from `@huggingface/tokenizers`;
 * it knows no offsets and normalises differently in places, so normalising, cutting into words and aligning are done here.
 */
import { alignedText, slice, textOf } from './aligned-text.ts';
import type { AlignedText } from './aligned-text.ts';
import { addedTokenFinder } from './added-tokens.ts';
import type { AddedToken } from './added-tokens.ts';
import { addedCount, assemble, keptLengths, roomFor } from './encoding.ts';
import type { Encoding, Template, TokenSequence, Truncation } from './encoding.ts';
import { normalize, normalizeText } from './normalizer.ts';
import type { Normalizer } from './normalizer.ts';
import type { WordModel, WordTokens } from './words.ts';

export interface SpecialToken {
  readonly id: number;
  readonly text: string;
}

/** The tokens with a role. RoBERTa calls `cls` bos and `sep` eos. */
export interface SpecialTokens {
  readonly cls: SpecialToken;
  readonly sep: SpecialToken;
  readonly pad: SpecialToken;
  readonly unk: SpecialToken;
  readonly mask: SpecialToken | undefined;
}

export interface EncodeOptions {
  /** In tokens, special ones included. Undefined: nothing is cut. */
  readonly maxLength?: number;
  /** What is cut when two texts are too long together; default `longest_first`. */
  readonly truncation?: Truncation;
  /** How many tokens neighbouring windows share; default 0. */
  readonly stride?: number;
  /** Every window is padded on the right to this length. */
  readonly padTo?: number;
  /** Default true. */
  readonly addSpecialTokens?: boolean;
  /** Default true; without them `offsets` is empty. */
  readonly returnOffsets?: boolean;
  /**
   * Read no more of a text that may be cut than `maxLength` tokens, as versions 0.23.1 and 0.23.2 of the Rust library did by mistake:
   * what follows is in no window, and the longer of two long texts is not known. Only to compare with those. Default false.
   */
  readonly stopAtLimit?: boolean;
}

export interface Tokenizer {
  readonly family: 'wordpiece' | 'byte-level-bpe';
  /** How many tokens there are, added ones included. */
  readonly vocabularySize: number;
  /** The greatest id that it can give; a model needs more embedding rows than that. */
  readonly greatestId: number;
  readonly specialTokens: SpecialTokens;
  /** The longest input that the model was made for, if its files say so. */
  readonly maxLength: number | undefined;
  /**
   * Tokens, offsets, words and windows of a text or a pair.
   * @throws UserError if `maxLength`, `stride` and `truncation` cannot all be kept to
   */
  encode(text: string, pair?: string, options?: EncodeOptions): Encoding;
  /**
   * Ids, types and special tokens of `encode(text, pair, { maxLength })`, fast: the tokens of words seen before are remembered. For whole
   * data sets.
   */
  encodeFast(text: string, pair: string | undefined, maxLength: number): FastEncoding;
  /**
   * As {@link encodeFast}, for a text that is given as its words: each is tokenised by itself (as transformers does with
   * `is_split_into_words`), and `wordOf` tells which word each token is part of, -1 for all others.
   */
  readonly encodeWords: (
    words: readonly string[],
    pair: string | undefined,
    maxLength: number,
  ) => FastEncoding & { readonly wordOf: Int32Array };
  /** The text that ids stand for, without special tokens unless asked for. */
  decode(ids: Iterable<number>, options?: { readonly keepSpecialTokens?: boolean }): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
}

/** What a model is fed of one text or pair. */
export interface FastEncoding {
  readonly ids: Int32Array;
  readonly typeIds: Int32Array;
  /** 1 on tokens that the template put in, not the text. */
  readonly special: Uint8Array;
}

/** Everything that a tokeniser is made of, as read from its files. */
export interface TokenizerParts {
  readonly family: Tokenizer['family'];
  readonly normalizer: Normalizer;
  readonly model: WordModel;
  readonly addedTokens: readonly AddedToken[];
  readonly template: Template;
  readonly specialTokens: SpecialTokens;
  readonly maxLength: number | undefined;
  /** Joins tokens into text. */
  readonly join: (tokens: string[]) => string;
}

/** White space that every normaliser and pre-tokeniser for WordPiece ends a word at, so what lies between can be cut out first. */
const safeBoundary = /[ \t\n\r]+/u;
/** Words longer than this are rare; remembering them would only cost memory. */
const longestRemembered = 128;
const mostRemembered = 500_000;

/**
 * A tokenizer from the parts of a `tokenizer.json`: added tokens are found first, then text is normalised, split and cut into pieces, and
 * the template joins one or two texts.
 */
export function createTokenizer(parts: TokenizerParts): Tokenizer {
  const { normalizer, model, addedTokens, template, specialTokens } = parts;
  const written = addedTokenFinder(
    addedTokens.filter((token) => !token.normalized).map((token) => [token.content, token]),
  );
  const normalized = addedTokenFinder(
    addedTokens.filter((token) => token.normalized).map((token) => [normalizeText(token.content, normalizer), token]),
  );
  const vocabulary = new Map([...model.vocabulary, ...addedTokens.map((token) => [token.content, token.id] as const)]);
  const texts = new Map(
    [...model.vocabulary, ...addedTokens.map((token) => [token.content, token.id] as const)].map(([text, id]) => [
      id,
      text,
    ]),
  );
  const special = new Set(addedTokens.filter((token) => token.special).map((token) => token.content));

  const words = remembering<WordTokens>((word) => model.tokenize(word));

  /** The tokens of a section in which no added token is written. */
  function appendNormalized(section: AlignedText, sequence: TokenSequence, firstWord: number, limit: number): number {
    const text = normalize(section, normalizer);
    let word = firstWord;
    for (const part of sections(text, normalized)) {
      if (sequence.ids.length >= limit) return word;
      if (part.token !== undefined) {
        appendAdded(part.token, part.text, sequence, word++);
        continue;
      }
      for (const { text: spelled, origins } of model.words(part.text)) {
        if (sequence.ids.length >= limit) return word;
        const { ids, tokens, starts, ends } = words(spelled);
        for (let i = 0; i < ids.length; i++) {
          sequence.ids.push(ids[i] ?? 0);
          sequence.tokens.push(tokens[i] ?? '');
          sequence.starts.push(origins[starts[i] ?? 0] ?? 0);
          sequence.ends.push((origins[(ends[i] ?? 0) - 1] ?? 0) + 1);
          sequence.words.push(word);
        }
        word++;
      }
    }
    return word;
  }

  function sequenceOf(text: string, limit = Infinity): TokenSequence {
    const sequence: TokenSequence = { ids: [], tokens: [], starts: [], ends: [], words: [] };
    let word = 0;
    for (const part of sections(alignedText(text), written)) {
      if (sequence.ids.length >= limit) break;
      if (part.token === undefined) word = appendNormalized(part.text, sequence, word, limit);
      else appendAdded(part.token, part.text, sequence, word++);
    }
    return sequence;
  }

  /** The ids of a piece of text that stands for itself: between two safe boundaries, or one word of the byte-level pattern. */
  const pieceIds = remembering<readonly number[]>((piece) => {
    const sequence: TokenSequence = { ids: [], tokens: [], starts: [], ends: [], words: [] };
    appendNormalized(alignedText(piece), sequence, 0, Infinity);
    return sequence.ids;
  });

  function idsOf(text: string): readonly number[] {
    if (!normalized.empty || (parts.family === 'byte-level-bpe' && normalizer !== undefined))
      return sequenceOf(text).ids;
    const ids: number[] = [];
    const wellFormed = text.toWellFormed();
    for (const { start, end, token } of written.find(wellFormed)) {
      const section = wellFormed.slice(start, end);
      if (token !== undefined) ids.push(token.id);
      else if (parts.family === 'wordpiece') {
        for (const piece of section.split(safeBoundary))
          if (piece !== '') for (const id of pieceIds(piece)) ids.push(id);
      } else for (const word of model.cut(section)) for (const id of words(word).ids) ids.push(id);
    }
    return ids;
  }

  /** Puts the special tokens around one or two sequences, cut to `maxLength`; `first` is where what is kept of the first one stands. */
  function arrange(
    sequences: readonly (readonly number[])[],
    maxLength: number,
  ): { readonly encoding: FastEncoding; readonly first: { readonly start: number; readonly count: number } } {
    const layout = sequences.length === 1 ? template.single : template.pair;
    const added = addedCount(layout);
    const kept = keptLengths(
      sequences[0]?.length ?? 0,
      sequences[1]?.length,
      roomFor(maxLength, added),
      'longest_first',
    );
    const ids = new Int32Array(added + kept[0] + kept[1]);
    const typeIds = new Int32Array(ids.length);
    const special = new Uint8Array(ids.length);
    let first = { start: 0, count: 0 };
    let at = 0;
    for (const part of layout) {
      const from = part.kind === 'special' ? part.ids : (sequences[part.index] ?? []);
      const count = part.kind === 'special' ? part.ids.length : kept[part.index];
      if (part.kind === 'sequence' && part.index === 0) first = { start: at, count };
      if (part.typeId !== 0) typeIds.fill(part.typeId, at, at + count);
      if (part.kind === 'special') special.fill(1, at, at + count);
      for (let i = 0; i < count; i++) ids[at++] = from[i] ?? 0;
    }
    return { encoding: { ids, typeIds, special }, first };
  }

  return {
    family: parts.family,
    vocabularySize: vocabulary.size,
    greatestId: Math.max(...texts.keys()),
    specialTokens,
    maxLength: parts.maxLength,
    encode(text, pair, options = {}) {
      const truncation = options.truncation ?? 'longest_first';
      const limit = options.stopAtLimit === true ? options.maxLength : undefined;
      const first = sequenceOf(text, truncation === 'only_second' ? undefined : limit);
      return assemble(first, pair === undefined ? undefined : sequenceOf(pair, limit), template, {
        truncation,
        stride: options.stride ?? 0,
        addSpecialTokens: options.addSpecialTokens ?? true,
        returnOffsets: options.returnOffsets ?? true,
        padding: { id: specialTokens.pad.id, token: specialTokens.pad.text },
        ...(options.maxLength === undefined ? {} : { maxLength: options.maxLength }),
        ...(options.padTo === undefined ? {} : { padTo: options.padTo }),
      });
    },
    encodeFast: (text, pair, maxLength) =>
      arrange(pair === undefined ? [idsOf(text)] : [idsOf(text), idsOf(pair)], maxLength).encoding,
    encodeWords(words, pair, maxLength) {
      // Byte-level words carry the blank before them.
      const before = parts.family === 'byte-level-bpe' ? ' ' : '';
      const pieces = words.map((word) => idsOf(before + word));
      const { encoding, first } = arrange([pieces.flat(), ...(pair === undefined ? [] : [idsOf(pair)])], maxLength);
      const owners = pieces.flatMap((ids, word) => ids.map(() => word));
      const { start, count } = first;
      const wordOf = Int32Array.from(encoding.ids, (_, at) =>
        at < start || at >= start + count ? -1 : (owners[at - start] ?? -1),
      );
      return { ...encoding, wordOf };
    },
    decode(ids, options = {}) {
      const tokens: string[] = [];
      for (const id of ids) {
        const token = texts.get(id);
        if (token !== undefined && (options.keepSpecialTokens === true || !special.has(token))) tokens.push(token);
      }
      return parts.join(tokens);
    },
    tokenToId: (token) => vocabulary.get(token),
    idToToken: (id) => texts.get(id),
  };
}

function appendAdded(token: AddedToken, { codes, origins }: AlignedText, sequence: TokenSequence, word: number): void {
  sequence.ids.push(token.id);
  sequence.tokens.push(textOf(codes));
  sequence.starts.push(origins[0] ?? 0);
  sequence.ends.push((origins.at(-1) ?? 0) + 1);
  sequence.words.push(word);
}

/** Cuts aligned text at the added tokens in it. */
function sections(
  text: AlignedText,
  finder: ReturnType<typeof addedTokenFinder>,
): readonly { readonly text: AlignedText; readonly token: AddedToken | undefined }[] {
  if (text.codes.length === 0) return [];
  if (finder.empty) return [{ text, token: undefined }];
  const found = finder.find(textOf(text.codes));
  if (found.length === 1 && found[0]?.token === undefined) return [{ text, token: undefined }];
  let unit = 0;
  let index = 0;
  const indexOf = (position: number): number => {
    while (unit < position) unit += (text.codes[index++] ?? 0) > 0xffff ? 2 : 1;
    return index;
  };
  return found.map(({ start, end, token }) => ({ text: slice(text, indexOf(start), indexOf(end)), token }));
}

/** A pure function of a short string that remembers what it gave. */
function remembering<T>(compute: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    const seen = known.get(key);
    if (seen !== undefined) return seen;
    const value = compute(key);
    if (key.length <= longestRemembered) {
      if (known.size >= mostRemembered) known.clear();
      known.set(key, value);
    }
    return value;
  };
}

import { UserError } from '../../base/errors.ts';
import { alignedText } from './aligned-text.ts';
import { normalize, type BertNormalizer } from './normalizer.ts';
import { wordPieceModel } from './words.ts';

/**
 * A WordPiece vocabulary learnt from text: byte-pair merging over words (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) with the
 * pieces inside a word marked by `##`, which is how the vocabularies of BERT-like models are learnt in practice.
 */

/** The tokens that stand first in every vocabulary, in this order. */
export const specialPieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;

/** How text is normalised before it is cut: lower case, no accents. */
const uncasedNormalizer: BertNormalizer = {
  cleanText: true,
  handleChineseCharacters: true,
  stripAccents: undefined,
  lowerCase: true,
};

export interface WordCounter {
  /** Counts the words of a text. */
  add(text: string): void;
  /** Every word with how often it occurred. */
  counts(): ReadonlyMap<string, number>;
}

/** Counts words as the tokenizer will cut them; text between blanks is normalised once, however often it occurs. */
export function createWordCounter(normalizer: BertNormalizer = uncasedNormalizer): WordCounter {
  const chunks = new Map<string, number>();
  const model = wordPieceModel({
    vocabulary: { '[UNK]': 0 },
    unknown: '[UNK]',
    continuation: '##',
    maxCharactersPerWord: 100,
  });
  return {
    add(text) {
      for (const chunk of text.split(/[ \t\r\n]+/u)) if (chunk !== '') chunks.set(chunk, (chunks.get(chunk) ?? 0) + 1);
    },
    counts() {
      const counts = new Map<string, number>();
      for (const [chunk, count] of chunks)
        for (const { text } of model.words(normalize(alignedText(chunk), normalizer)))
          counts.set(text, (counts.get(text) ?? 0) + count);
      return counts;
    },
  };
}

export interface VocabularyOptions {
  /** How many pieces, the special ones included. */
  readonly size: number;
  /** Characters seen less often become unknown. */
  readonly leastCharacterCount?: number;
  /** Words seen less often are not merged. */
  readonly leastWordCount?: number;
}

interface Spelling {
  readonly count: number;
  pieces: number[];
}

/** A heap of pairs by count, the greatest first, equal counts in the order of their texts; entries may be out of date. */
function pairHeap(textOfPair: (pair: number) => string) {
  const pairs: number[] = [];
  const counts: number[] = [];
  const above = (a: number, b: number): boolean => {
    const [x, y] = [counts[a] as number, counts[b] as number];
    return x !== y ? x > y : textOfPair(pairs[a] as number) < textOfPair(pairs[b] as number);
  };
  const swap = (a: number, b: number): void => {
    [pairs[a], pairs[b]] = [pairs[b] as number, pairs[a] as number];
    [counts[a], counts[b]] = [counts[b] as number, counts[a] as number];
  };
  return {
    push(pair: number, count: number): void {
      let at = pairs.push(pair) - 1;
      counts.push(count);
      for (let parent = (at - 1) >> 1; at > 0 && above(at, parent); at = parent, parent = (at - 1) >> 1)
        swap(at, parent);
    },
    pop(): { readonly pair: number; readonly count: number } | undefined {
      const [pair, count] = [pairs[0], counts[0]];
      if (pair === undefined || count === undefined) return undefined;
      swap(0, pairs.length - 1);
      pairs.pop();
      counts.pop();
      for (let at = 0; ;) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let best = at;
        if (left < pairs.length && above(left, best)) best = left;
        if (right < pairs.length && above(right, best)) best = right;
        if (best === at) return { pair, count };
        swap(at, best);
        at = best;
      }
    },
  };
}

const base = 0x200000;

/**
 * Learns a vocabulary: the special pieces, every frequent character at the start of and inside a word, then merges of the most frequent
 * neighbours until the size is reached. A pure function of the counts; ties are broken by the pieces' texts.
 * @param counts words, as the tokenizer cuts them, with how often each occurs
 * @throws UserError when the size has no room for the characters
 */
export function learnWordPieces(counts: ReadonlyMap<string, number>, options: VocabularyOptions): readonly string[] {
  const { size, leastCharacterCount = 20, leastWordCount = 2 } = options;
  const byCharacter = new Map<string, number>();
  for (const [word, count] of counts)
    for (const character of word) byCharacter.set(character, (byCharacter.get(character) ?? 0) + count);
  const alphabet = [...byCharacter]
    .filter(([, count]) => count >= leastCharacterCount)
    .map(([character]) => character)
    .sort();
  const vocabulary: string[] = [...specialPieces, ...alphabet, ...alphabet.map((character) => `##${character}`)];
  if (vocabulary.length > size)
    throw new UserError(
      `a vocabulary of ${size} pieces has no room for the ${alphabet.length} characters of the text, each at the start of and inside a word`,
      `Ask for more than ${vocabulary.length} pieces.`,
    );

  const ids = new Map(vocabulary.map((piece, id) => [piece, id]));
  const known = new Set(alphabet);
  const words: Spelling[] = [...counts]
    .filter(([word, count]) => count >= leastWordCount && Array.from(word).every((character) => known.has(character)))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([word, count]) => ({
      count,
      pieces: Array.from(word, (character, i) => ids.get(i === 0 ? character : `##${character}`) as number),
    }));

  const pairCounts = new Map<number, number>();
  const occursIn = new Map<number, Set<number>>();
  const heap = pairHeap((pair) => `${vocabulary[Math.floor(pair / base)]} ${vocabulary[pair % base]}`);
  const change = (pair: number, by: number, word: number): void => {
    pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + by);
    if (by <= 0) return;
    const places = occursIn.get(pair);
    if (places === undefined) occursIn.set(pair, new Set([word]));
    else places.add(word);
  };
  const pairsOf = (pieces: readonly number[]): readonly number[] =>
    pieces.slice(1).map((piece, i) => (pieces[i] as number) * base + piece);
  for (const [index, { pieces, count }] of words.entries())
    for (const pair of pairsOf(pieces)) change(pair, count, index);
  for (const [pair, count] of pairCounts) heap.push(pair, count);

  while (vocabulary.length < size) {
    const top = heap.pop();
    if (top === undefined) break;
    const { pair } = top;
    const now = pairCounts.get(pair) ?? 0;
    if (now !== top.count) {
      // What was pushed is no longer so; the present count waits its turn.
      if (now > 0 && now < top.count) heap.push(pair, now);
      continue;
    }
    if (now < leastWordCount) break;
    const [left, right] = [Math.floor(pair / base), pair % base];
    const merged = `${vocabulary[left] ?? ''}${(vocabulary[right] ?? '').replace(/^##/u, '')}`;
    let id = ids.get(merged);
    if (id === undefined) {
      id = vocabulary.push(merged) - 1;
      ids.set(merged, id);
    }
    const touched = new Set<number>();
    for (const index of occursIn.get(pair) ?? []) {
      const word = words[index] as Spelling;
      const next: number[] = [];
      for (let i = 0; i < word.pieces.length; i++) {
        if (word.pieces[i] === left && word.pieces[i + 1] === right) {
          next.push(id);
          i++;
        } else next.push(word.pieces[i] as number);
      }
      if (next.length === word.pieces.length) continue;
      for (const old of pairsOf(word.pieces)) {
        change(old, -word.count, index);
        touched.add(old);
      }
      for (const fresh of pairsOf(next)) {
        change(fresh, word.count, index);
        touched.add(fresh);
      }
      word.pieces = next;
    }
    occursIn.delete(pair);
    pairCounts.delete(pair);
    for (const changed of touched) {
      const count = pairCounts.get(changed) ?? 0;
      if (changed !== pair && count > 0) heap.push(changed, count);
    }
  }
  return vocabulary;
}

/** What a tokenizer's files hold, by file name: those of an uncased BERT, as our own loader and Hugging Face's read them. */
export function tokenizerFiles(vocabulary: readonly string[], maxLength: number): Readonly<Record<string, string>> {
  const id = (piece: string): number => vocabulary.indexOf(piece);
  const special = (content: string): object => ({ id: content, type_id: 0 });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialPieces.map((content) => ({
      id: id(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: special('[CLS]') },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: special('[SEP]') },
      ],
      pair: [
        { SpecialToken: special('[CLS]') },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: special('[SEP]') },
        { Sequence: { id: 'B', type_id: 1 } },
        { SpecialToken: { id: '[SEP]', type_id: 1 } },
      ],
      special_tokens: Object.fromEntries(
        ['[CLS]', '[SEP]'].map((content) => [content, { id: content, ids: [id(content)], tokens: [content] }]),
      ),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((piece, index) => [piece, index])),
    },
  };
  const config = {
    tokenizer_class: 'BertTokenizer',
    do_lower_case: true,
    strip_accents: null,
    tokenize_chinese_chars: true,
    model_max_length: maxLength,
    pad_token: '[PAD]',
    unk_token: '[UNK]',
    cls_token: '[CLS]',
    sep_token: '[SEP]',
    mask_token: '[MASK]',
  };
  return {
    'vocab.txt': vocabulary.map((piece) => `${piece}\n`).join(''),
    'tokenizer.json': `${JSON.stringify(tokenizer)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, undefined, 2)}\n`,
  };
}

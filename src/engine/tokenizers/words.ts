/** Cutting normalised text into words (pre-tokenisation), and cutting words into tokens. */
import { BPE, WordPiece } from '@huggingface/tokenizers';
import { alignedText, textOf, withLeadingSpace } from './aligned-text.ts';
import type { AlignedText } from './aligned-text.ts';
import { byteLevelWords, characterClasses, isPunctuation, isWhiteSpace } from './unicode.ts';

/** A word cut into tokens: `ends[i]` is the position in the word, in code points, where token i ends (it starts where i - 1 ends). */
export interface WordTokens {
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export interface Word {
  readonly text: string;
  /** The original index of each of its code points. */
  readonly origins: readonly number[];
}

/** The two families of subword models, each with its way of cutting words. */
export interface WordModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Cuts a section of normalised text into words. */
  words(section: AlignedText): readonly Word[];
  /** The same without alignment. */
  cut(section: string): readonly string[];
  /** Cuts a word into tokens; a pure function of the word. */
  tokenize(word: string): WordTokens;
}

export interface WordPieceSettings {
  readonly vocabulary: Readonly<Record<string, number>>;
  readonly unknown: string;
  readonly continuation: string;
  readonly maxCharactersPerWord: number;
}

/** BERT: words end at white space, punctuation stands alone; a word is covered greedily from the left by the longest pieces. */
export function wordPieceModel(settings: WordPieceSettings): WordModel {
  const engine = new WordPiece({
    type: 'WordPiece',
    vocab: { ...settings.vocabulary },
    unk_token: settings.unknown,
    continuing_subword_prefix: settings.continuation,
    max_input_chars_per_word: settings.maxCharactersPerWord,
  });
  const vocabulary = engine.tokens_to_ids;
  function words({ codes, origins }: AlignedText): readonly Word[] {
    const classes = characterClasses();
    const found: Word[] = [];
    let start = 0;
    const cut = (from: number, to: number) => {
      if (to > from) found.push({ text: textOf(codes, from, to), origins: origins.slice(from, to) });
    };
    for (let i = 0; i < codes.length; i++) {
      const bits = classes[codes[i] ?? 0] ?? 0;
      if ((bits & (isWhiteSpace | isPunctuation)) === 0) continue;
      cut(start, i);
      if ((bits & isWhiteSpace) === 0) cut(i, i + 1);
      start = i + 1;
    }
    cut(start, codes.length);
    return found;
  }
  return {
    vocabulary,
    words,
    cut: (section) => words(alignedText(section)).map((word) => word.text),
    tokenize(word) {
      const tokens = engine.encode([word]);
      const ids = tokens.map((token) => vocabulary.get(token) ?? 0);
      const whole = codePointCount(word);
      // One token covers the word whether it is a piece or stands for the unknown.
      if (tokens.length === 1) return { ids, tokens, starts: [0], ends: [whole] };
      const starts: number[] = [];
      const ends: number[] = [];
      let at = 0;
      tokens.forEach((token, i) => {
        starts.push(at);
        at += codePointCount(token) - (i === 0 ? 0 : codePointCount(settings.continuation));
        ends.push(at);
      });
      return { ids, tokens, starts, ends };
    },
  };
}

export interface ByteLevelSettings {
  readonly vocabulary: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
  readonly unknown: string | undefined;
  readonly addPrefixSpace: boolean;
  /** Cut into words by GPT-2's pattern; otherwise a section is one word. */
  readonly usePattern: boolean;
  readonly ignoreMerges: boolean;
}

/** RoBERTa, GPT-2: words are turned into bytes, each written as a printable character, which merge by rank. */
export function byteLevelModel(settings: ByteLevelSettings): WordModel {
  const engine = new BPE({
    type: 'BPE',
    vocab: { ...settings.vocabulary },
    merges: settings.merges.map(([left, right]) => [left, right]),
    unk_token: settings.unknown ?? null,
    ignore_merges: settings.ignoreMerges,
  });
  const vocabulary = engine.tokens_to_ids;
  const pattern = byteLevelWords();
  const characters = byteCharacters();
  const encoder = new TextEncoder();
  const cutPrefixed = (text: string): readonly string[] => (settings.usePattern ? (text.match(pattern) ?? []) : [text]);
  return {
    vocabulary,
    cut: (section) =>
      cutPrefixed(settings.addPrefixSpace && section !== '' && !section.startsWith(' ') ? ` ${section}` : section),
    words(section) {
      const prefixed = settings.addPrefixSpace && section.codes[0] !== 0x20 ? withLeadingSpace(section) : section;
      const text = textOf(prefixed.codes);
      const words: Word[] = [];
      let at = 0;
      for (const word of cutPrefixed(text)) {
        const end = at + codePointCount(word);
        if (end > at) words.push({ text: word, origins: prefixed.origins.slice(at, end) });
        at = end;
      }
      return words;
    },
    tokenize(word) {
      let symbols: string[] = [];
      let owners: number[] = [];
      let index = 0;
      for (const character of word) {
        for (const byte of encoder.encode(character)) {
          symbols.push(characters[byte] ?? '');
          owners.push(index);
        }
        index++;
      }
      // Without an unknown token, bytes outside the vocabulary vanish before merging, so their neighbours meet.
      if (settings.unknown === undefined && symbols.some((symbol) => !vocabulary.has(symbol))) {
        owners = owners.filter((_, i) => vocabulary.has(symbols[i] ?? ''));
        symbols = symbols.filter((symbol) => vocabulary.has(symbol));
      }
      const spelled = symbols.join('');
      const pieces = settings.ignoreMerges && vocabulary.has(spelled) ? [spelled] : engine.bpe(spelled);
      const ids: number[] = [];
      const tokens: string[] = [];
      const starts: number[] = [];
      const ends: number[] = [];
      let at = 0;
      for (const piece of pieces) {
        const known = vocabulary.get(piece);
        const token = known === undefined ? (settings.unknown ?? '') : piece;
        ids.push(known ?? vocabulary.get(token) ?? 0);
        tokens.push(token);
        starts.push(owners[at] ?? 0);
        at += piece.length;
        ends.push((owners[at - 1] ?? 0) + 1);
      }
      return { ids, tokens, starts, ends };
    },
  };
}

/** The printable character that stands for each byte (GPT-2): itself where it prints, else the next from U+0100 on. */
function byteCharacters(): readonly string[] {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    characters.push(String.fromCharCode(prints ? byte : next++));
  }
  return characters;
}

function codePointCount(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; count++) i += (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

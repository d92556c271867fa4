/** What is done to a text before it is cut into words. */
import { alignedText, decompose, lowerCase, mapCharacters, textOf } from './aligned-text.ts';
import type { AlignedText } from './aligned-text.ts';
import { characterClasses, isControl, isIdeograph, isNonspacingMark, isWhiteSpace } from './unicode.ts';

/** BERT's normaliser, as `tokenizer.json` configures it. */
export interface BertNormalizer {
  /** Drop control characters; turn every kind of white space into a space. */
  readonly cleanText: boolean;
  /** Put spaces around ideographs, so that each becomes a word. */
  readonly handleChineseCharacters: boolean;
  /** Decompose and drop accents; undefined: as `lowerCase`. */
  readonly stripAccents: boolean | undefined;
  readonly lowerCase: boolean;
}

/** Undefined: text is taken as it is (byte-level BPE). */
export type Normalizer = BertNormalizer | undefined;

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;

/** Normalises in the order of the Rust library: clean, space out ideographs, strip accents, lower-case. */
export function normalize(text: AlignedText, normalizer: Normalizer): AlignedText {
  if (normalizer === undefined) return text;
  const classes = characterClasses();
  let result = text;
  if (normalizer.cleanText)
    result = mapCharacters(result, (code) => {
      if (code === tab || code === lineFeed || code === carriageReturn) return space;
      const bits = classes[code] ?? 0;
      return (bits & isControl) !== 0 ? undefined : (bits & isWhiteSpace) !== 0 ? space : code;
    });
  if (normalizer.handleChineseCharacters)
    result = mapCharacters(result, (code) =>
      ((classes[code] ?? 0) & isIdeograph) !== 0 ? [space, code, space] : code,
    );
  if (normalizer.stripAccents ?? normalizer.lowerCase)
    result = mapCharacters(decompose(result), (code) =>
      ((classes[code] ?? 0) & isNonspacingMark) !== 0 ? undefined : code,
    );
  return normalizer.lowerCase ? lowerCase(result) : result;
}

/** A string normalised, without its alignment. */
export function normalizeText(text: string, normalizer: Normalizer): string {
  return textOf(normalize(alignedText(text), normalizer).codes);
}

/**
 * Text that remembers where it came from. Normalising a text replaces, drops and inserts characters; offsets of tokens are
 * offsets into the text as it was written, so every character of the normalised text carries the index of the character it
 * stands for. All positions here are Unicode code points.
 */
import { characterClasses, isInert } from './unicode.ts';

export interface AlignedText {
  /** The code points of the text as it now is. */
  readonly codes: readonly number[];
  /** For each of them, the index in the original text of the one code point it stands for. */
  readonly origins: readonly number[];
}

/** The text as written; lone surrogates become U+FFFD, which keeps every index. */
export function alignedText(text: string): AlignedText {
  const codes: number[] = [];
  const origins: number[] = [];
  for (const character of text.toWellFormed()) {
    origins.push(codes.length);
    codes.push(character.codePointAt(0) ?? 0);
  }
  return { codes, origins };
}

/** The characters from `start` up to `end`, still pointing into the whole original text. */
export function slice(text: AlignedText, start: number, end: number): AlignedText {
  return { codes: text.codes.slice(start, end), origins: text.origins.slice(start, end) };
}

/** The characters from `start` up to `end` as a string. */
export function textOf(codes: readonly number[], start = 0, end = codes.length): string {
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCodePoint(codes[i] ?? 0);
  return text;
}

/** Each character becomes what `change` gives for it: nothing, one or several, all standing for the same original character. */
export function mapCharacters(
  text: AlignedText,
  change: (code: number) => readonly number[] | number | undefined,
): AlignedText {
  const codes: number[] = [];
  const origins: number[] = [];
  for (let i = 0; i < text.codes.length; i++) {
    const origin = text.origins[i] ?? 0;
    const changed = change(text.codes[i] ?? 0);
    if (changed === undefined) continue;
    if (typeof changed === 'number') {
      codes.push(changed);
      origins.push(origin);
    } else
      for (const code of changed) {
        codes.push(code);
        origins.push(origin);
      }
  }
  return { codes, origins };
}

/** A space in front, which stands for the first character, as do both in the Rust library. */
export function withLeadingSpace(text: AlignedText): AlignedText {
  const first = text.origins[0];
  return first === undefined ? text : { codes: [0x20, ...text.codes], origins: [first, ...text.origins] };
}

function codePoints(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0);
}

const lowered = new Map<number, readonly number[]>();

/** Lower case, character by character: there is no final sigma, just as in the Rust library. */
export function lowerCase(text: AlignedText): AlignedText {
  return mapCharacters(text, (code) => {
    if (code < 0x80) return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
    let lower = lowered.get(code);
    if (lower === undefined) lowered.set(code, (lower = codePoints(String.fromCodePoint(code).toLowerCase())));
    return lower;
  });
}

interface Decomposition {
  readonly codes: readonly number[];
  /** Whether each of them may trade places with its neighbours (its canonical combining class is not 0). */
  readonly combining: readonly boolean[];
}

const decompositions = new Map<number, Decomposition>();

/** U+0345 has the highest combining class of all, so whatever combines and is not U+0345 moves in front of it. */
function combines(character: string): boolean {
  return character === '\u0345' || `\u0345${character}`.normalize('NFD') !== `\u0345${character}`;
}

function decomposition(code: number): Decomposition {
  let found = decompositions.get(code);
  if (found === undefined) {
    const inert = ((characterClasses()[code] ?? 0) & isInert) !== 0;
    const character = String.fromCodePoint(code);
    const parts = inert ? [character] : Array.from(character.normalize('NFD'));
    found = {
      codes: parts.map((part) => part.codePointAt(0) ?? 0),
      combining: parts.map((part) => !inert && combines(part)),
    };
    decompositions.set(code, found);
  }
  return found;
}

/**
 * Canonical decomposition (NFD). Where combining marks change places, the Rust library aligns by position and not by mark: the
 * n-th character that is not an addition stands for the n-th of the old text. Kept, since offsets must agree.
 */
export function decompose(text: AlignedText): AlignedText {
  if (text.codes.every((code) => code < 0xc0)) return text;
  const codes: number[] = [];
  const added: boolean[] = [];
  const combining: boolean[] = [];
  for (const code of text.codes) {
    const parts = decomposition(code);
    parts.codes.forEach((part, i) => {
      codes.push(part);
      added.push(i > 0);
      combining.push(parts.combining[i] ?? false);
    });
  }
  for (let start = 0; start < codes.length; start++) {
    if (combining[start] !== true) continue;
    let end = start + 1;
    while (combining[end] === true) end++;
    if (end - start > 1) reorder(codes, added, start, end);
    start = end;
  }
  const origins: number[] = [];
  let next = 0;
  for (const isAdded of added) origins.push(text.origins[isAdded ? next - 1 : next++] ?? 0);
  return { codes, origins };
}

/** Puts a run of combining marks into canonical order (stable, so equal marks keep theirs), their flags with them. */
function reorder(codes: number[], added: boolean[], start: number, end: number): void {
  const waiting = new Map<number, boolean[]>();
  for (let i = start; i < end; i++) {
    const code = codes[i] ?? 0;
    const flags = waiting.get(code);
    if (flags === undefined) waiting.set(code, [added[i] ?? false]);
    else flags.push(added[i] ?? false);
  }
  const taken = new Map<number, number>();
  codePoints(textOf(codes, start, end).normalize('NFD')).forEach((code, i) => {
    const count = taken.get(code) ?? 0;
    taken.set(code, count + 1);
    codes[start + i] = code;
    added[start + i] = waiting.get(code)?.[count] ?? false;
  });
}

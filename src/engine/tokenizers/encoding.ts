/** From the tokens of one or two texts to the rows a model reads: truncation, windows, special tokens, offsets, padding. */
import { UserError } from '../../base/errors.ts';

/** What a tokeniser says of a text or a pair of texts. All arrays have one entry a token. */
export interface Encoding {
  readonly ids: Int32Array;
  readonly typeIds: Int32Array;
  /** 1, and 0 on padding. */
  readonly attentionMask: Int32Array;
  /** 1 on tokens that the template or the padding put in, not the text. */
  readonly specialTokensMask: Uint8Array;
  readonly tokens: readonly string[];
  /** [start, end) in the text of the token's sequence, in Unicode code points; [0, 0] on special tokens. Empty if not asked for. */
  readonly offsets: readonly (readonly [number, number])[];
  /** The word of the sequence that the token is a part of, counted from 0. */
  readonly wordIds: readonly (number | null)[];
  readonly sequenceIds: readonly (0 | 1 | null)[];
  /** The windows after this one, when the text was cut. */
  readonly overflowing: readonly Encoding[];
}

export type Truncation = 'longest_first' | 'only_first' | 'only_second';

/** The tokens of one text. */
export interface TokenSequence {
  readonly ids: number[];
  readonly tokens: string[];
  readonly starts: number[];
  readonly ends: number[];
  readonly words: number[];
}

export type TemplatePart =
  | {
      readonly kind: 'special';
      readonly ids: readonly number[];
      readonly tokens: readonly string[];
      readonly typeId: number;
    }
  | { readonly kind: 'sequence'; readonly index: 0 | 1; readonly typeId: number };

/** How one text, and how two, are put together. */
export interface Template {
  readonly single: readonly TemplatePart[];
  readonly pair: readonly TemplatePart[];
  /** Whether offsets leave out the white space that byte-level tokens carry, and whether a space was put before the text. */
  readonly trimOffsets: { readonly addPrefixSpace: boolean } | undefined;
}

/** The number of special tokens that a template adds. */
export function addedCount(parts: readonly TemplatePart[]): number {
  return parts.reduce((sum, part) => sum + (part.kind === 'special' ? part.ids.length : 0), 0);
}

/**
 * How many tokens of each text stay, so that both fit into `room`.
 *
 * `longest_first` splits evenly between two texts that are both too long (the odd one goes to the longer) and otherwise cuts
 * only the longer.
 * @throws UserError if the text that may be cut is shorter than what must go
 */
export function keptLengths(
  first: number,
  second: number | undefined,
  room: number,
  truncation: Truncation,
): readonly [number, number] {
  if (first + (second ?? 0) <= room || room === 0) return [Math.min(first, room), Math.min(second ?? 0, room)];
  const excess = first + (second ?? 0) - room;
  if (truncation === 'longest_first') {
    if (second === undefined) return [room, 0];
    const shorter = Math.min(first, second);
    const half = Math.floor(room / 2);
    const [small, large] =
      shorter + Math.max(shorter, room - shorter) > room ? [half, room - half] : [shorter, room - shorter];
    return first > second ? [large, small] : [small, large];
  }
  const [name, length] = truncation === 'only_first' ? ['first', first] : ['second', second ?? 0];
  if (length <= excess)
    throw new UserError(
      `${excess} tokens are too many, but the ${name} text, the only one that may be cut, has ${length}`,
      'Raise the maximum length or cut the longest text first.',
    );
  return truncation === 'only_first' ? [first - excess, second ?? 0] : [first, length - excess];
}

/** The windows [start, end) over `length` tokens, each of at most `kept`, neighbours sharing `stride`. The first is the one kept. */
function windows(length: number, kept: number, stride: number): readonly (readonly [number, number])[] {
  if (kept >= length) return [[0, length]];
  if (kept === 0)
    return [
      [0, 0],
      [0, length],
    ];
  if (stride >= kept)
    throw new UserError(
      `a stride of ${stride} tokens needs windows longer than that, but only ${kept} tokens of the text fit into one`,
      'Use a smaller stride or a greater maximum length.',
    );
  const all: (readonly [number, number])[] = [];
  for (let start = 0; ; start += kept - stride) {
    const end = Math.min(start + kept, length);
    all.push([start, end]);
    if (end === length) return all;
  }
}

export interface AssemblyOptions {
  readonly maxLength?: number;
  readonly truncation: Truncation;
  readonly stride: number;
  readonly padTo?: number;
  readonly addSpecialTokens: boolean;
  readonly returnOffsets: boolean;
  readonly padding: { readonly id: number; readonly token: string };
}

/** The tokens that fit beside the special ones. @throws UserError if not even those fit */
export function roomFor(maxLength: number, special: number): number {
  if (maxLength < special)
    throw new UserError(
      `a maximum length of ${maxLength} tokens leaves no room for the ${special} special tokens`,
      'Raise the maximum length.',
    );
  return maxLength - special;
}

/** Puts the tokens of one or two texts together. Windows are ordered as in the Rust library: by the first text, then the second. */
export function assemble(
  first: TokenSequence,
  second: TokenSequence | undefined,
  template: Template,
  options: AssemblyOptions,
): Encoding {
  const parts = (second === undefined ? template.single : template.pair).filter(
    (part) => options.addSpecialTokens || part.kind === 'sequence',
  );
  const sequences = second === undefined ? [first] : [first, second];
  let kept: readonly [number, number] = [first.ids.length, second?.ids.length ?? 0];
  if (options.maxLength !== undefined)
    kept = keptLengths(kept[0], second?.ids.length, roomFor(options.maxLength, addedCount(parts)), options.truncation);
  const [firstWindows, secondWindows] = [first, second].map((sequence, i) =>
    sequence === undefined ? [] : windows(sequence.ids.length, kept[i] ?? 0, options.stride),
  );
  const choices: (readonly (readonly [number, number])[])[] = [];
  const [mainFirst, ...laterFirst] = firstWindows ?? [];
  const [mainSecond, ...laterSecond] = secondWindows ?? [];
  if (mainFirst === undefined) throw new Error('a text has at least one window');
  if (mainSecond === undefined) choices.push([mainFirst], ...laterFirst.map((window) => [window]));
  else
    choices.push(
      [mainFirst, mainSecond],
      ...laterFirst.flatMap((window) => [mainSecond, ...laterSecond].map((other) => [window, other])),
      ...laterSecond.map((other) => [mainFirst, other]),
    );
  const [main, ...overflowing] = choices.map((ranges) => row(sequences, ranges, parts, template.trimOffsets, options));
  if (main === undefined) throw new Error('there is at least one window');
  return { ...main, overflowing };
}

function row(
  sequences: readonly TokenSequence[],
  ranges: readonly (readonly [number, number])[],
  parts: readonly TemplatePart[],
  trim: Template['trimOffsets'],
  options: AssemblyOptions,
): Encoding {
  const ids: number[] = [];
  const typeIds: number[] = [];
  const special: number[] = [];
  const tokens: string[] = [];
  const offsets: (readonly [number, number])[] = [];
  const wordIds: (number | null)[] = [];
  const sequenceIds: (0 | 1 | null)[] = [];
  const put = (id: number, token: string, typeId: number) => {
    ids.push(id);
    typeIds.push(typeId);
    special.push(1);
    tokens.push(token);
    offsets.push([0, 0]);
    wordIds.push(null);
    sequenceIds.push(null);
  };
  for (const part of parts) {
    if (part.kind === 'special') {
      part.ids.forEach((id, i) => put(id, part.tokens[i] ?? '', part.typeId));
      continue;
    }
    const sequence = sequences[part.index];
    const [start, end] = ranges[part.index] ?? [0, 0];
    for (let i = start; sequence !== undefined && i < end; i++) {
      const token = sequence.tokens[i] ?? '';
      const span = [sequence.starts[i] ?? 0, sequence.ends[i] ?? 0] as const;
      ids.push(sequence.ids[i] ?? 0);
      typeIds.push(part.typeId);
      special.push(0);
      tokens.push(token);
      offsets.push(
        trim === undefined ? span : trimmed(token, span, trim.addPrefixSpace && (i === start || span[0] === 0)),
      );
      wordIds.push(sequence.words[i] ?? null);
      sequenceIds.push(part.index);
    }
  }
  const length = ids.length;
  while (ids.length < (options.padTo ?? 0)) put(options.padding.id, options.padding.token, 0);
  return {
    ids: Int32Array.from(ids),
    typeIds: Int32Array.from(typeIds),
    attentionMask: new Int32Array(ids.length).fill(1, 0, length),
    specialTokensMask: Uint8Array.from(special),
    tokens,
    offsets: options.returnOffsets ? offsets : [],
    wordIds,
    sequenceIds,
    overflowing: [],
  };
}

/** Ġ is how byte-level tokens write a space. */
const leading = /^[\u0120\p{White_Space}]*/u;
const trailing = /[\u0120\p{White_Space}]*$/u;

/** An offset without the white space at the token's ends; a single space that was put before the text is left alone. */
function trimmed(
  token: string,
  [start, end]: readonly [number, number],
  mayBePrefixed: boolean,
): readonly [number, number] {
  const before = leading.exec(token)?.[0].length ?? 0;
  const after = trailing.exec(token)?.[0].length ?? 0;
  const from = Math.min(start + (mayBePrefixed && before === 1 ? 0 : before), end);
  return [from, after > 0 && end >= after ? Math.max(end - after, from) : end];
}

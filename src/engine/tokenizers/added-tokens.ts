/** Tokens that are found in the text itself, before it is cut into words: `[MASK]`, `<mask>` and those a user added. */
import { wordCharacter } from './unicode.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Only where no word character touches it. */
  readonly singleWord: boolean;
  /** Takes the white space on its left (right) with it. */
  readonly leftStrip: boolean;
  readonly rightStrip: boolean;
  /** Found in the normalised text (and written there as its own normalised form) instead of in the text as written. */
  readonly normalized: boolean;
  /** Left out when ids are turned back into text. */
  readonly special: boolean;
}

/** A part of a text, in UTF-16 units: an added token, or what lies between two. */
export interface Section {
  readonly start: number;
  readonly end: number;
  readonly token: AddedToken | undefined;
}

export interface AddedTokenFinder {
  readonly empty: boolean;
  find(text: string): readonly Section[];
}

const endsWithWord = new RegExp(`${wordCharacter()}$`, 'v');
const startsWithWord = new RegExp(`^${wordCharacter()}`, 'v');
const whiteSpace = /\p{White_Space}/u;

/** @param spelled each token with the text that it is written as */
export function addedTokenFinder(spelled: readonly (readonly [string, AddedToken])[]): AddedTokenFinder {
  const bySpelling = new Map(spelled.filter(([text]) => text !== ''));
  if (bySpelling.size === 0) return { empty: true, find: (text) => [{ start: 0, end: text.length, token: undefined }] };
  // Of several that match at a place the longest counts.
  const alternatives = [...bySpelling.keys()].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const pattern = new RegExp(
    alternatives.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')).join('|'),
    'gu',
  );
  return {
    empty: false,
    find(text) {
      const sections: Section[] = [];
      let done = 0;
      for (const match of text.matchAll(pattern)) {
        const token = bySpelling.get(match[0]);
        if (token === undefined) continue;
        let start = match.index;
        let end = start + match[0].length;
        if (token.singleWord && (endsWithWord.test(text.slice(0, start)) || startsWithWord.test(text.slice(end))))
          continue;
        if (token.leftStrip) while (start > done && whiteSpace.test(text[start - 1] ?? '')) start--;
        if (token.rightStrip) while (end < text.length && whiteSpace.test(text[end] ?? '')) end++;
        if (done < start) sections.push({ start: done, end: start, token: undefined });
        sections.push({ start, end, token });
        done = end;
      }
      if (done < text.length) sections.push({ start: done, end: text.length, token: undefined });
      return sections;
    },
  };
}

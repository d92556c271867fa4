import { gunzipSync } from 'node:zlib';

/** Readers of the formats in which packages hold texts; each gives a document's paragraphs, blanks joined. */

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  ndash: '–',
  mdash: '—',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  hellip: '…',
  eacute: 'é',
  ouml: 'ö',
  uuml: 'ü',
  auml: 'ä',
};

function decodeEntities(text: string): string {
  return text
    .replaceAll(/&#(\d+);/gu, (_, code: string) => characterOf(Number(code)))
    .replaceAll(/&#x([0-9a-f]+);/giu, (_, code: string) => characterOf(Number.parseInt(code, 16)))
    .replaceAll(/&(\w+);/gu, (whole, name: string) => entities[name] ?? whole);
}

function characterOf(code: number): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : ' ';
}

function joined(text: string): string {
  return text.replaceAll(/\s+/gu, ' ').trim();
}

/** Paragraphs and list items of a page, without code, tables of contents and scripts. */
export function paragraphsOfHtml(html: string): readonly string[] {
  const body = html
    .replaceAll(/<!--[\s\S]*?-->/gu, ' ')
    .replaceAll(
      /<(script|style|pre|nav|head|svg|table|h[1-6]|programlisting|screen|title|info)\b[\s\S]*?<\/\1>/giu,
      '\n\n',
    )
    .replaceAll(
      /<\/?(?:p|para|li|dd|dt|div|ul|ol|dl|br|section|article|blockquote|listitem|item|note|tr|td|th)\b[^>]*>/giu,
      '\n\n',
    )
    .replaceAll(/<[^>]*>/gu, '');
  return decodeEntities(body)
    .split(/\n\s*\n/u)
    .map(joined);
}

/** Paragraphs of plain old documentation, formatting codes taken off, indented code left out. */
export function paragraphsOfPod(pod: string): readonly string[] {
  return pod
    .split(/\n\s*\n/u)
    .filter((part) => !/^[\s=]/u.test(part))
    .map((part) => {
      let text = part;
      for (let before = ''; before !== text;) {
        before = text;
        text = text
          .replaceAll(/L<(?:[^<>|]*\|)?([^<>]*)>/gu, '$1')
          .replaceAll(/E<(\w+)>/gu, (_, name: string) => ({ lt: '<', gt: '>', sol: '/', verbar: '|' })[name] ?? ' ')
          .replaceAll(/[BICFSXZ]<<?\s*([^<>]*?)\s*>?>/gu, '$1');
      }
      return joined(text);
    });
}

/** Sentences of a text whose paragraphs are lost. */
export function sentencesOf(text: string): readonly string[] {
  return joined(text).split(/(?<=[.!?]["']?) (?=["']?[A-Z])/u);
}

/** Texts to translate in Wesnoth's markup language: what characters say and what is told. */
export function wmlTexts(wml: string): readonly string[] {
  return [...wml.matchAll(/_\s*"((?:[^"]|"")*)"/gu)].map((match) =>
    joined((match[1] ?? '').replaceAll('""', '"').replaceAll(/<[^>]*>/gu, '')),
  );
}

/** Paragraphs of help files: lines that begin at the margin, marks of links and tags taken off. */
export function paragraphsOfPlain(text: string): readonly string[] {
  return text
    .split(/\n\s*\n/u)
    .map((part) => joined(part.replaceAll(/[|*`]([\w:-]+)[|*`]/gu, '$1')))
    .filter((part) => !/^(?:==|--|~)/u.test(part));
}

const base64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function fromBase64(digits: string): number {
  return Array.from(digits).reduce((value, digit) => value * 64 + base64.indexOf(digit), 0);
}

/** The entries of a dictd dictionary, each as its senses: heads, pronunciations, etymologies and sources taken off. */
export function dictionaryEntries(index: string, compressed: Uint8Array): readonly (readonly string[])[] {
  const bytes = gunzipSync(compressed);
  const places = new Map<number, number>();
  for (const line of index.split('\n')) {
    const [word = '', offset, length] = line.split('\t');
    if (offset !== undefined && length !== undefined && !word.startsWith('00'))
      places.set(fromBase64(offset), fromBase64(length));
  }
  return [...places]
    .sort(([a], [b]) => a - b)
    .map(([offset, length]) => sensesOf(bytes.toString('utf8', offset, offset + length)));
}

function sensesOf(entry: string): readonly string[] {
  const lines = entry.split('\n');
  const body = lines.slice(lines.findIndex((line) => /^\s/u.test(line))).join('\n');
  return (
    body
      .split(/\n\s*\n|\n\s+(?:\d+|\([a-z]\))\.? /u)
      // Definitions of WordNet come from WordNet itself, which is a source of its own.
      .filter((sense) => !/\[WordNet/u.test(sense))
      .map((sense) =>
        joined(
          sense
            .replaceAll(/\[[^\][]*\]/gu, ' ')
            .replaceAll(/[{}]/gu, '')
            .replaceAll(/--[A-Z][\w.' ]{1,30}\.?(?=\s|$)/gu, ' ')
            .replaceAll(/\\[^\\\n]*\\/gu, ' '),
        ),
      )
  );
}

const common = new Set(
  'the of to a an is in and that it for as or with be are by on this which from not was have has can you'.split(' '),
);

/** Whether a paragraph is English prose rather than a list, code, or another language. */
export function isProse(paragraph: string): boolean {
  const words = paragraph.split(' ');
  if (words.length < 6 || paragraph.length > 20_000) return false;
  let letters = 0;
  let accented = 0;
  for (const character of paragraph) {
    if (/[a-z ]/iu.test(character)) letters++;
    else if (character > '\u024f') accented++;
  }
  if (letters / paragraph.length < 0.85 || accented / paragraph.length > 0.03) return false;
  const frequent = words.filter((word) => common.has(word.toLowerCase())).length;
  return frequent / words.length >= 0.12 && frequent >= 2;
}

import { createScanner, parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser';
import type { KeyPath, Problem } from './configuration-problems.ts';

/** JSON as people write it, with comments and trailing commas: its value, where each part of it stands, and what is wrong with the text. */

/** A problem with its place in the text, in UTF-16 units. */
export interface PlacedProblem extends Problem {
  readonly offset: number;
  readonly length: number;
}

export interface JsonText {
  /** The tree of the text; none where it is malformed. */
  readonly root: Node | undefined;
  readonly value: unknown;
  /** Of a text that is malformed how; of another the keys that are written twice. */
  readonly problems: readonly PlacedProblem[];
}

/** Deeper than anyone writes by hand, and far from what exhausts the stack. */
const mostNested = 100;

const syntaxProblems: Readonly<Record<string, string>> = {
  InvalidSymbol: 'this is no JSON value',
  InvalidNumberFormat: 'this is no JSON number',
  PropertyNameExpected: 'expected a key in double quotes',
  ValueExpected: 'expected a value',
  ColonExpected: 'expected a colon after the key',
  CommaExpected: 'expected a comma',
  CloseBraceExpected: 'expected a closing brace }',
  CloseBracketExpected: 'expected a closing bracket ]',
  EndOfFileExpected: 'expected the end of the file',
  UnexpectedEndOfComment: 'this comment does not end',
  UnexpectedEndOfString: 'this text does not end on its line',
  UnexpectedEndOfNumber: 'this number breaks off',
  InvalidUnicode: 'malformed \\u escape',
  InvalidEscapeCharacter: 'malformed escape; a backslash is written \\\\',
  InvalidCharacter: 'a control character in a text',
};

/** The bracket that opens one level too many. Token by token: the parser calls itself for each level. */
function tooDeep(text: string): PlacedProblem | undefined {
  // The numbers are jsonc-parser's SyntaxKind, a const enum that cannot be imported here.
  const [openBrace, closeBrace, openBracket, closeBracket, endOfFile] = [1, 2, 3, 4, 17];
  const scanner = createScanner(text, true);
  let depth = 0;
  for (let token: number = scanner.scan(); token !== endOfFile; token = scanner.scan()) {
    if (token === closeBrace || token === closeBracket) depth -= 1;
    if (token === openBrace || token === openBracket) depth += 1;
    if (depth > mostNested) {
      const place = { offset: scanner.getTokenOffset(), length: scanner.getTokenLength() };
      return { path: [], at: 'value', message: `more than ${mostNested} brackets within one another`, ...place };
    }
  }
  return undefined;
}

/** The value of a node. Unlike the parser's own, it keeps a key `__proto__` a key and reports keys that are written twice. */
function valueOf(node: Node, path: KeyPath, repeated: (key: Node, path: KeyPath) => void): unknown {
  if (node.type === 'array')
    return (node.children ?? []).map((child, index) => valueOf(child, [...path, index], repeated));
  if (node.type !== 'object') return node.value;
  const entries = new Map<string, unknown>();
  for (const { children: [key, value] = [] } of node.children ?? []) {
    if (key === undefined || value === undefined) continue;
    const name = String(key.value);
    const here = [...path, name];
    if (entries.has(name)) repeated(key, here);
    entries.set(name, valueOf(value, here, repeated));
  }
  return Object.fromEntries(entries);
}

/** Reads JSON with comments, trailing commas and perhaps a byte order mark. Never throws for what the text holds. */
export function parseJsonText(written: string): JsonText {
  // A byte order mark becomes a space, so that offsets stay true.
  const text = written.replace(/^\uFEFF/, ' ');
  const deep = tooDeep(text);
  if (deep !== undefined) return { root: undefined, value: undefined, problems: [deep] };
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  const problems: PlacedProblem[] = errors.map(({ error, offset, length }) => ({
    path: [],
    at: 'value',
    message: syntaxProblems[printParseErrorCode(error)] ?? 'malformed JSON',
    offset,
    length,
  }));
  if (root === undefined && problems.length === 0)
    problems.push({ path: [], at: 'value', message: 'the file is empty', offset: 0, length: 0 });
  if (root === undefined || problems.length > 0) return { root: undefined, value: undefined, problems };
  const value = valueOf(root, [], ({ offset, length }, path) =>
    problems.push({ path, at: 'key', message: 'this key is written twice', offset, length }),
  );
  return { root, value, problems };
}

/** Where an offset is, lines and columns from 1. */
export function lineAndColumn(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset);
  const start = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: offset - start + 1 };
}

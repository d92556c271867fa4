import { stripVTControlCharacters } from 'node:util';
import { cut, widthOf } from '../base/format.ts';

/** Where a command writes: results to `out`, progress and warnings to `err`. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether `err` is a terminal that a progress line can be redrawn on. */
  readonly interactive: boolean;
  /** The width of `err`. */
  readonly columns: number;
  /** The width that tables have to fit into; none where `out` is a file or a pipe. */
  readonly width: number | undefined;
}

/** What terminals were given before they could say how wide they are. */
const usualWidth = 80;

/** The width of a stream's terminal; one in a container or an editor may call itself 0 wide. */
function widthOfTerminal(stream: NodeJS.WriteStream): number {
  return stream.columns > 0 ? stream.columns : usualWidth;
}

export const processTerminal: Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  // One that calls itself dumb can't move its cursor.
  interactive: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
  columns: widthOfTerminal(process.stderr),
  width: process.stdout.isTTY ? widthOfTerminal(process.stdout) : undefined,
};

/** What must not reach a terminal: characters that move its cursor, begin a command or turn the direction of text around. */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const acting = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** JSON in which all that would act on a terminal is escaped; its values stay what they are. */
export function safeJson(json: string): string {
  // Within texts a line break is escaped already; one between them is layout.
  return json.replace(acting, (character) => (character === '\n' ? character : escaped(character)));
}

/** A value as JSON and a line break, see {@link safeJson}. */
export function jsonText(value: unknown, indent?: number): string {
  return `${safeJson(JSON.stringify(value, undefined, indent))}\n`;
}

/** A value as JSON, the one machine-readable form of every command. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(jsonText(value, 2));
}

/**
 * Text that came from files or people, made safe for a terminal: escape sequences and control characters can neither move the cursor
 * nor forge a line.
 */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(acting, ' ');
}

/** As {@link plain}, but lines stay lines. */
export function plainLines(text: string): string {
  return text.split(/\r?\n/u).map(plain).join('\n');
}

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  readonly align?: 'right';
  /** The narrowest that the column may be made on a terminal that is too narrow for all of it. */
  readonly shrinks?: number;
  /** Left out on a terminal that is too narrow even so; the highest first. */
  readonly drops?: number;
}

const gap = '  ';

interface Sized<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

function total(sized: readonly Sized<never>[]): number {
  return sized.reduce((sum, { width }) => sum + width, 0) + gap.length * (sized.length - 1);
}

/** Columns made narrower, the widest first, then left out, until they fit. */
function fitted<Row>(sized: readonly Sized<Row>[], width: number): readonly Sized<Row>[] {
  const excess = total(sized) - width;
  if (excess <= 0) return sized;
  const give = sized.map(({ column, width: own }) =>
    column.shrinks === undefined ? 0 : Math.max(0, own - Math.max(column.shrinks, widthOf(column.title))),
  );
  if (give.reduce((a, b) => a + b, 0) >= excess) {
    let rest = excess;
    const widths = sized.map((each) => each.width);
    while (rest > 0) {
      const most = give.indexOf(Math.max(...give));
      give[most] = (give[most] ?? 0) - 1;
      widths[most] = (widths[most] ?? 0) - 1;
      rest -= 1;
    }
    return sized.map((each, index) => ({ ...each, width: widths[index] ?? each.width }));
  }
  const order = sized.map(({ column }) => column.drops ?? 0);
  const most = Math.max(...order);
  if (most === 0) return sized;
  return fitted(
    sized.filter((_, index) => index !== order.lastIndexOf(most)),
    width,
  );
}

/**
 * Columns under titles, separated by two spaces, without rules.
 * @param width the cells that a line may take; columns are shortened and left out as they allow
 */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width?: number): string {
  const sized = columns.map((each): Sized<Row> => {
    // A title may be the name of a metric, and so come from a file.
    const column = { ...each, title: plain(each.title) };
    const cells = rows.map((row) => plain(column.cell(row)));
    return { column, cells, width: Math.max(widthOf(column.title), ...cells.map(widthOf)) };
  });
  // A column that says nothing of any run is noise.
  const telling = sized.filter(({ cells, column }) => column.drops === undefined || cells.some((cell) => cell !== ''));
  const shown = width === undefined ? telling : fitted(telling, width);
  const line = (texts: readonly string[]): string =>
    `${shown
      .map(({ column, width: own }, index) => {
        const text = cut(texts[index] ?? '', own);
        const padding = ' '.repeat(Math.max(0, own - widthOf(text)));
        return column.align === 'right' ? padding + text : text + padding;
      })
      .join(gap)
      .trimEnd()}\n`;
  return [
    line(shown.map(({ column }) => column.title)),
    ...rows.map((_, row) => line(shown.map(({ cells }) => cells[row] ?? ''))),
  ].join('');
}

/** Names and values in two columns, `values` of several lines indented below their first; those without a value are left out. */
export function facts(entries: readonly (readonly [name: string, value: string | undefined])[], indent = ''): string {
  const known = entries.filter(
    (entry): entry is readonly [string, string] => entry[1] !== undefined && entry[1] !== '',
  );
  const width = Math.max(0, ...known.map(([name]) => widthOf(name)));
  return known
    .map(([name, value]) => {
      const [first = '', ...rest] = value.split('\n').map(plain);
      const padding = ' '.repeat(width - widthOf(name));
      return `${indent}${name}${padding}  ${[first, ...rest.map((line) => `${indent}${' '.repeat(width)}  ${line}`)].join('\n')}\n`;
    })
    .join('');
}

import { stripVTControlCharacters } from 'node:util';

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

export const processTerminal: Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  interactive: process.stderr.isTTY,
  columns: process.stderr.columns,
  width: process.stdout.isTTY ? process.stdout.columns : undefined,
};

/** A value as JSON, the one machine-readable form of every command. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, undefined, 2)}\n`);
}

/**
 * Text that came from files or people, made safe for a terminal: escape sequences and control characters can neither move the cursor
 * nor forge a line.
 */
export function plain(text: string): string {
  return (
    stripVTControlCharacters(text)
      // eslint-disable-next-line no-control-regex -- these are what must not reach a terminal
      .replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g, ' ')
  );
}

/** As {@link plain}, but lines stay lines. */
export function plainLines(text: string): string {
  return text.split(/\r?\n/u).map(plain).join('\n');
}

const segmenter = new Intl.Segmenter();
const wide =
  /^(\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6])/u;
const simple = /^[ -~]*$/;

function cellsOf(character: string): number {
  if (/^\p{Mn}/u.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

/** How many cells a text takes on a terminal. */
export function widthOf(text: string): number {
  if (simple.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += cellsOf(segment);
  return width;
}

/** A text cut to a width, with an ellipsis where something is missing. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  let used = 1;
  for (const { segment } of segmenter.segment(text)) {
    used += cellsOf(segment);
    if (used > width) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
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
    column.shrinks === undefined ? 0 : Math.max(0, own - Math.max(column.shrinks, column.title.length)),
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
  const sized = columns.map((column): Sized<Row> => {
    const cells = rows.map((row) => plain(column.cell(row)));
    return { column, cells, width: Math.max(column.title.length, ...cells.map(widthOf)) };
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

/** `1,024`. */
export function grouped(count: number): string {
  return count.toLocaleString('en');
}

/** `1 run`, `2 runs`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** A score between -1 and 1 with four digits, or a dash. */
export function score(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : value.toFixed(4);
}

/** `2 h 05 min`, `3 min 20 s`, `12 s`, `0.4 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 9950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** How long ago, in one unit: `5 s`, `12 min`, `3 h`, `9 d`. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A moment in local time, `2026-11-21 05:10:14`. */
export function moment(time: number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '-';
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `1.8 GB`. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power] ?? ''}`;
}

/** A share as `0.27 %`, with enough digits to tell small ones from nothing. */
export function percent(part: number, whole: number): string {
  const value = (100 * part) / whole;
  if (!Number.isFinite(value)) return '-';
  return `${value === 0 || value >= 0.01 ? value.toFixed(2) : value.toPrecision(2)} %`;
}

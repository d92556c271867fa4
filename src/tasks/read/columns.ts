import { FileError } from '../../base/errors.ts';
import type { ColumnNames, Task } from '../task.ts';

/** A row before its values are checked: the cells as the format gave them, or why there are none. */
export type Row =
  | {
      readonly kind: 'row';
      readonly line: number;
      readonly text: unknown;
      readonly pair: unknown;
      readonly label: unknown;
    }
  | { readonly kind: 'malformed'; readonly line: number; readonly problem: string };

/** Where the task's columns stand in a table; `label` is absent when the table has none. */
export interface Positions {
  readonly text: number;
  readonly pair?: number;
  readonly label?: number;
}

/** A table's layout, told from its first row. */
export interface Layout {
  readonly positions: Positions;
  readonly cells: readonly [least: number, most: number];
  /** Whether the first row names the columns. */
  readonly header: boolean;
}

/** Where a table names its columns. */
interface Header {
  readonly file: string;
  readonly line: number | undefined;
  readonly names: readonly string[];
}

/** @throws FileError where two columns have the name: which of them is meant, nobody can tell */
function indexOfColumn({ file, line, names }: Header, wanted: ColumnNames): number | undefined {
  const lowered = names.map((name) => name.trim().toLowerCase());
  for (const name of wanted) {
    const index = lowered.indexOf(name.toLowerCase());
    if (index < 0) continue;
    if (lowered.lastIndexOf(name.toLowerCase()) !== index)
      throw new FileError(
        file,
        line,
        `two columns are named ${name}, case aside`,
        'Rename the one that is not meant, or take it out.',
      );
    return index;
  }
  return undefined;
}

/**
 * Finds the task's columns by name, without regard to case or outer blanks; nothing when a text column is missing.
 * @throws FileError where one of them is there twice
 */
export function matchColumns(task: Task, header: Header): Positions | undefined {
  const text = indexOfColumn(header, task.columns.text);
  const pair = task.columns.pair === undefined ? undefined : indexOfColumn(header, task.columns.pair);
  const label = indexOfColumn(header, task.columns.label);
  if (text === undefined || (task.columns.pair !== undefined && pair === undefined)) return undefined;
  return { text, ...(pair === undefined ? {} : { pair }), ...(label === undefined ? {} : { label }) };
}

function wantedColumns(task: Task): string {
  const { text, pair, label } = task.columns;
  return [text, ...(pair === undefined ? [] : [pair]), label].map((names) => names.join(' or ')).join(', ');
}

/** The error for a table in which the task's text columns can't be found. */
export function columnsError(task: Task, file: string, line: number | undefined, found: readonly string[]): FileError {
  const { headerless } = task;
  const shown = found.map((name) => (name.length > 40 ? `${name.slice(0, 40)}…` : name)).join(', ');
  const bare =
    headerless === undefined
      ? ''
      : `, or no header and ${[...new Set(headerless.cells)].join(' to ')} columns as in the official files`;
  return new FileError(
    file,
    line,
    `the columns of ${task.title} were not found; the file has: ${shown}`,
    `Expected columns named ${wantedColumns(task)}${bare}.`,
  );
}

/** The error for a table without labels where the split needs them. */
export function missingLabelError(task: Task, file: string, line: number | undefined): FileError {
  return new FileError(
    file,
    line,
    'there is no label column',
    `Expected a column named ${task.columns.label.join(' or ')}; only a test split may lack it.`,
  );
}

/**
 * The layout of a table of text cells, told from its first row: a header that names the task's columns, or else the layout
 * that the task's official files have without one.
 * @throws FileError when it is neither
 */
export function layoutOf(task: Task, file: string, firstRow: readonly string[]): Layout {
  const named = matchColumns(task, { file, line: 1, names: firstRow });
  if (named !== undefined) return { positions: named, cells: [firstRow.length, firstRow.length], header: true };
  const { headerless } = task;
  if (headerless !== undefined && firstRow.length >= headerless.cells[0] && firstRow.length <= headerless.cells[1]) {
    const { text, pair, label, cells } = headerless;
    return { positions: { text, label, ...(pair === undefined ? {} : { pair }) }, cells, header: false };
  }
  throw columnsError(task, file, 1, firstRow);
}

/** What is wrong with a row of `count` cells, if anything. */
export function cellCountProblem({ cells: [least, most] }: Layout, count: number): string | undefined {
  if (count >= least && count <= most) return undefined;
  const expected = least === most ? `${least}` : `${least} to ${most}`;
  return `the row has ${count} ${count === 1 ? 'column' : 'columns'} where ${expected} are expected`;
}

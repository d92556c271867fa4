import { basename } from 'node:path';
import { FileError } from '../../base/errors.ts';
import type { Example, SplitName, Task } from '../task.ts';
import { unlabelled } from '../task.ts';
import type { Row } from './columns.ts';
import { toExample } from './example.ts';
import { readJsonl } from './jsonl.ts';
import type { DataSource } from './source.ts';
import { dataExtensions, requireSplitFiles } from './source.ts';
import { readTsv } from './tsv.ts';

export interface LoadOptions {
  /** What a malformed row does: end the reading with an error (the default), or be left out and counted. */
  readonly malformedRows?: 'error' | 'skip';
}

/** A row that was left out, by file and line (in parquet: row), with the reason. */
export interface SkippedRow {
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

export interface LoadedSplit {
  readonly examples: readonly Example[];
  /** Whether the examples carry gold labels; without them (a public test set) every label is `unlabelled`. */
  readonly labelled: boolean;
  readonly files: readonly string[];
  readonly skipped: readonly SkippedRow[];
}

/** The readers that bring libraries along are loaded where there is such a file. */
async function readRows(task: Task, file: string, needsLabel: boolean): Promise<AsyncGenerator<readonly Row[]>> {
  const name = file.replace(/\.gz$/, '');
  if (name.endsWith('.tsv') || name.endsWith('.txt')) return readTsv(task, file, needsLabel);
  if (name.endsWith('.jsonl') || name.endsWith('.json')) return readJsonl(task, file, needsLabel);
  if (name.endsWith('.csv')) return (await import('./csv.ts')).readCsv(task, file, needsLabel);
  if (file.endsWith('.parquet')) return (await import('./parquet.ts')).readParquet(task, file, needsLabel);
  throw new FileError(
    file,
    undefined,
    'the name does not tell the format',
    `It should end in ${dataExtensions.map((extension) => `.${extension}`).join(', ')}.`,
  );
}

/**
 * Reads a split of a task's data, file by file and block by block.
 * @param source a data folder or files, see {@link DataSource}
 * @throws FileError with file and line for a malformed row (wrong number of columns, a text missing or empty, a label outside the
 * task's), and when the split is missing or empty. A test split may be unlabelled as a whole, but not in part.
 */
export async function loadSplit(
  task: Task,
  source: DataSource,
  split: SplitName,
  options: LoadOptions = {},
): Promise<LoadedSplit> {
  const files = await requireSplitFiles(task, source, split);
  const needsLabel = split !== 'test' && split !== 'test-mismatched';
  const what = `the ${split} split of ${task.title}`;
  const mend = 'Mend the row, or set task.malformedRows to "skip" to leave such rows out.';
  return readFiles(task, files, { needsLabel, what, mend, skip: options.malformedRows === 'skip' });
}

/**
 * Reads examples of a task from one file, with labels or without.
 * @throws FileError as {@link loadSplit}
 */
export async function loadFile(task: Task, file: string): Promise<LoadedSplit> {
  return readFiles(task, [file], { needsLabel: false, what: basename(file), mend: 'Mend the row.', skip: false });
}

interface ReadOptions {
  readonly needsLabel: boolean;
  /** What the files together are called. */
  readonly what: string;
  /** What to do about a malformed row. */
  readonly mend: string;
  /** Leave malformed rows out. */
  readonly skip: boolean;
}

async function readFiles(
  task: Task,
  files: readonly string[],
  { needsLabel, what, mend, skip }: ReadOptions,
): Promise<LoadedSplit> {
  const examples: Example[] = [];
  const skipped: SkippedRow[] = [];

  function refuse(file: string, line: number, problem: string): void {
    if (!skip) {
      const hint = [task.knownFault, mend];
      throw new FileError(file, line, problem, hint.filter((part) => part !== undefined).join(' '));
    }
    skipped.push({ file, line, problem });
  }

  for (const file of files) {
    for await (const rows of await readRows(task, file, needsLabel)) {
      for (const row of rows) {
        const example = row.kind === 'malformed' ? row.problem : toExample(task, row, needsLabel);
        if (typeof example === 'string') {
          refuse(file, row.line, example);
          continue;
        }
        const [first] = examples;
        if (first !== undefined && (first.label === unlabelled) !== (example.label === unlabelled))
          refuse(file, row.line, 'some rows of the split are labelled and some are not');
        else examples.push(example);
      }
    }
  }
  const [first] = examples;
  if (first === undefined) {
    const reason = skipped.length > 0 ? `all ${skipped.length} rows are malformed` : 'there is no row';
    throw new FileError(files.join(', '), undefined, `${what} is empty: ${reason}`);
  }
  return { examples, labelled: first.label !== unlabelled, files, skipped };
}

/** A warning for the rows that were left out, with the first few; nothing when there are none. */
export function skippedWarning({ skipped, examples }: LoadedSplit): string | undefined {
  if (skipped.length === 0) return undefined;
  const first = skipped
    .slice(0, 3)
    .map(({ file, line, problem }) => `${file}:${line}: ${problem}`)
    .join('; ');
  const rest = skipped.length > 3 ? '; …' : '';
  return `left out ${skipped.length} malformed rows of ${skipped.length + examples.length}: ${first}${rest}`;
}

import { pipeline, Readable } from 'node:stream';
import type { Info } from 'csv-parse';
import { CsvError, parse } from 'csv-parse';
import { FileError } from '../../base/errors.ts';
import type { Task } from '../task.ts';
import type { Layout, Row } from './columns.ts';
import { cellCountProblem, layoutOf, missingLabelError } from './columns.ts';
import { lineBlocks } from './lines.ts';

const rowsPerBlock = 1024;
const longestRecord = 1 << 20;

async function* bytesOf(file: string): AsyncGenerator<Buffer> {
  for await (const block of lineBlocks(file)) yield block.bytes;
}

/** What the parser gives for a record; `info.lines` is the line on which the record ends. */
interface CsvRecord {
  readonly record: readonly string[];
  readonly info: Info;
}

function lineBreaks(cells: readonly string[]): number {
  let count = 0;
  for (const cell of cells) for (let at = cell.indexOf('\n'); at >= 0; at = cell.indexOf('\n', at + 1)) count++;
  return count;
}

/** What the parser says, but for its own count of lines where it means the end of the file. */
function csvProblem({ code, message }: CsvError): string {
  return code === 'CSV_QUOTE_NOT_CLOSED'
    ? 'a quote that opens in this row is not closed before the file ends'
    : message;
}

/**
 * Rows of a comma-separated file (RFC 4180: quoted cells may hold commas, quotes and line breaks). A row's line is the one on
 * which it begins.
 * @throws FileError when a quote is never closed or misplaced, when the columns can't be told from the first record, or labels
 * are needed and absent
 */
export async function* readCsv(task: Task, file: string, needsLabel: boolean): AsyncGenerator<readonly Row[]> {
  let parsedLines = 0;
  const parser = pipeline(
    Readable.from(bytesOf(file)),
    parse({
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: longestRecord,
      on_record: (cells, { lines }) => {
        parsedLines = lines;
        return cells;
      },
    }),
    // Empty because an error of either stream also ends the iteration over the last one.
    () => undefined,
  );
  let layout: Layout | undefined;
  let rows: Row[] = [];
  try {
    for await (const { record: cells, info } of parser as AsyncIterable<CsvRecord>) {
      const line = info.lines - lineBreaks(cells);
      if (layout === undefined) {
        layout = layoutOf(task, file, cells);
        if (needsLabel && layout.positions.label === undefined) throw missingLabelError(task, file, line);
        if (layout.header) continue;
      }
      const problem = cellCountProblem(layout, cells.length);
      const { text, pair, label } = layout.positions;
      rows.push(
        problem === undefined
          ? {
              kind: 'row',
              line,
              text: cells[text],
              pair: pair === undefined ? undefined : cells[pair],
              label: label === undefined ? undefined : cells[label],
            }
          : { kind: 'malformed', line, problem },
      );
      if (rows.length >= rowsPerBlock) {
        yield rows;
        rows = [];
      }
    }
  } catch (thrown) {
    if (!(thrown instanceof CsvError)) throw thrown;
    // The record that can't be parsed begins after the last one that could.
    throw new FileError(file, parsedLines + 1, `not valid CSV: ${csvProblem(thrown)}`, undefined, { cause: thrown });
  }
  yield rows;
}

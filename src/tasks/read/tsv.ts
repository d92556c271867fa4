import type { Task } from '../task.ts';
import type { Layout, Row } from './columns.ts';
import { cellCountProblem, layoutOf, missingLabelError } from './columns.ts';
import { eachLine, lineBlocks } from './lines.ts';

const tab = 0x09;

/**
 * Rows of a tab-separated file as GLUE distributes them: cells are split at tabs only and a double quote is an ordinary
 * character. Only the wanted cells become strings, so a wide file costs no more memory than a narrow one.
 * @throws FileError when the columns can't be told from the first line, or labels are needed and absent
 */
export async function* readTsv(task: Task, file: string, needsLabel: boolean): AsyncGenerator<readonly Row[]> {
  let layout: Layout | undefined;
  let blankLine: number | undefined;
  /** Cell k of the current line is bytes[starts[k], starts[k + 1] - 1). */
  const starts: number[] = [];

  for await (const block of lineBlocks(file)) {
    const { bytes } = block;
    const rows: Row[] = [];

    const cell = (index: number | undefined): string | undefined => {
      const start = index === undefined ? undefined : starts[index];
      const next = index === undefined ? undefined : starts[index + 1];
      return start === undefined || next === undefined ? undefined : bytes.toString('utf8', start, next - 1);
    };

    eachLine(block, (start, end, line) => {
      if (start === end) {
        blankLine ??= line;
        return;
      }
      if (blankLine !== undefined) {
        // Blank lines at the end of a file are harmless; anywhere else a row is missing or torn.
        rows.push({ kind: 'malformed', line: blankLine, problem: 'the line is empty' });
        blankLine = undefined;
      }
      starts.length = 0;
      starts.push(start);
      for (let at = start; at < end; at++) if (bytes[at] === tab) starts.push(at + 1);
      starts.push(end + 1);
      const count = starts.length - 1;

      if (layout === undefined) {
        layout = layoutOf(
          task,
          file,
          Array.from({ length: count }, (_, index) => cell(index) ?? ''),
        );
        if (needsLabel && layout.positions.label === undefined) throw missingLabelError(task, file, line);
        if (layout.header) return;
      }
      const problem = cellCountProblem(layout, count);
      const { text, pair, label } = layout.positions;
      rows.push(
        problem === undefined
          ? { kind: 'row', line, text: cell(text), pair: cell(pair), label: cell(label) }
          : { kind: 'malformed', line, problem },
      );
    });
    yield rows;
  }
}

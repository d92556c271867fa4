import { messageOf } from '../../base/errors.ts';
import type { Task } from '../task.ts';
import type { Row } from './columns.ts';
import { columnsError, matchColumns, missingLabelError } from './columns.ts';
import { eachLine, lineBlocks } from './lines.ts';

function parseObject(text: string): Readonly<Record<string, unknown>> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    return `the line is not JSON: ${messageOf(thrown)}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'the line is not a JSON object; one object a line is expected';
  return value as Readonly<Record<string, unknown>>;
}

/**
 * Rows of a file with one JSON object a line; blank lines are passed over. The first object's keys tell the columns.
 * @throws FileError when the first object lacks the task's columns, or labels are needed and absent
 */
export async function* readJsonl(task: Task, file: string, needsLabel: boolean): AsyncGenerator<readonly Row[]> {
  let keys: { readonly text: string; readonly pair?: string; readonly label?: string } | undefined;

  function keysOf(object: object, line: number): NonNullable<typeof keys> {
    const names = Object.keys(object);
    const positions = matchColumns(task, names);
    const text = positions === undefined ? undefined : names[positions.text];
    if (positions === undefined || text === undefined) throw columnsError(task, file, line, names);
    const pair = positions.pair === undefined ? undefined : names[positions.pair];
    const label = positions.label === undefined ? undefined : names[positions.label];
    if (needsLabel && label === undefined) throw missingLabelError(task, file, line);
    return { text, ...(pair === undefined ? {} : { pair }), ...(label === undefined ? {} : { label }) };
  }

  for await (const block of lineBlocks(file)) {
    const rows: Row[] = [];
    eachLine(block, (start, end, line) => {
      const source = block.bytes.toString('utf8', start, end);
      if (source.trim() === '') return;
      const object = parseObject(source);
      if (typeof object === 'string') {
        rows.push({ kind: 'malformed', line, problem: object });
        return;
      }
      keys ??= keysOf(object, line);
      const { text, pair, label } = keys;
      rows.push({
        kind: 'row',
        line,
        text: object[text],
        pair: pair === undefined ? undefined : object[pair],
        label: label === undefined ? undefined : object[label],
      });
    });
    yield rows;
  }
}

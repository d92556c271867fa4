import { FileError, messageOf } from '../../base/errors.ts';
import { isRecord } from '../../base/is-record.ts';
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
  return isRecord(value) ? value : 'the line is not a JSON object; one object a line is expected';
}

/** What a `.json` file lists that is one list, as pandas and `json.dump` write it; nothing for one with an object a line. */
async function listIn(file: string): Promise<readonly unknown[] | undefined> {
  if (!/\.json(\.gz)?$/.test(file)) return undefined;
  const texts: string[] = [];
  for await (const { bytes } of lineBlocks(file)) {
    const text = bytes.toString('utf8');
    if (texts.length === 0 && !text.trimStart().startsWith('[')) return undefined;
    texts.push(text);
  }
  if (texts.length === 0) return undefined;
  try {
    return JSON.parse(texts.join('')) as readonly unknown[];
  } catch (cause) {
    throw new FileError(
      file,
      undefined,
      `not a JSON list: ${messageOf(cause)}`,
      'Expected is one list of objects, or one object a line.',
      { cause },
    );
  }
}

/**
 * Rows of a file with one JSON object a line; blank lines are passed over. A `.json` file may also be one list of objects, where a row's
 * `line` is its number from 1. The first object's keys tell the columns.
 * @throws FileError when a list is not JSON, the first object lacks the task's columns, or labels are needed and absent
 */
export async function* readJsonl(task: Task, file: string, needsLabel: boolean): AsyncGenerator<readonly Row[]> {
  let keys: { readonly text: string; readonly pair?: string; readonly label?: string } | undefined;

  function keysOf(object: object, line: number): NonNullable<typeof keys> {
    const names = Object.keys(object);
    const positions = matchColumns(task, { file, line, names });
    const text = positions === undefined ? undefined : names[positions.text];
    if (positions === undefined || text === undefined) throw columnsError(task, file, line, names);
    const pair = positions.pair === undefined ? undefined : names[positions.pair];
    const label = positions.label === undefined ? undefined : names[positions.label];
    if (needsLabel && label === undefined) throw missingLabelError(task, file, line);
    return { text, ...(pair === undefined ? {} : { pair }), ...(label === undefined ? {} : { label }) };
  }

  function rowOf(object: Readonly<Record<string, unknown>>, line: number): Row {
    keys ??= keysOf(object, line);
    const { text, pair, label } = keys;
    return {
      kind: 'row',
      line,
      text: object[text],
      pair: pair === undefined ? undefined : object[pair],
      label: label === undefined ? undefined : object[label],
    };
  }

  const list = await listIn(file);
  if (list !== undefined) {
    yield list.map((value, index) => {
      const line = index + 1;
      return isRecord(value) ? rowOf(value, line) : { kind: 'malformed', line, problem: 'this is not a JSON object' };
    });
    return;
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
      rows.push(rowOf(object, line));
    });
    yield rows;
  }
}

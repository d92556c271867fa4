import { open } from 'node:fs/promises';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet';
import { parquetMetadataAsync, parquetRead } from 'hyparquet';
import { FileError, messageOf } from '../../base/errors.ts';
import { isRecord } from '../../base/is-record.ts';
import type { Task } from '../task.ts';
import type { Row } from './columns.ts';
import { columnsError, matchColumns, missingLabelError } from './columns.ts';
import { readingError } from './lines.ts';

/** Codecs beside snappy, which the parquet library has itself. */
const compressors: Compressors = {
  GZIP: (input) => gunzipSync(input),
  BROTLI: (input) => brotliDecompressSync(input),
  ZSTD: (input) => zstdDecompressSync(input),
};

function topLevelColumns(metadata: FileMetaData): string[] {
  const [root, ...elements] = metadata.schema;
  const names: string[] = [];
  let index = 0;
  const skip = (): void => {
    const children = elements[index++]?.num_children ?? 0;
    for (let child = 0; child < children && index < elements.length; child++) skip();
  };
  for (let column = 0; column < (root?.num_children ?? 0) && index < elements.length; column++) {
    names.push(elements[index]?.name ?? '');
    skip();
  }
  return names;
}

/** The class names that the `datasets` library stores beside a column of class indices, if the file has them. */
function classNames(metadata: FileMetaData, column: string): readonly string[] | undefined {
  const stored = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (stored === undefined) return undefined;
  let names: unknown;
  try {
    names = JSON.parse(stored);
  } catch {
    return undefined;
  }
  for (const key of ['info', 'features', column, 'names']) {
    if (!isRecord(names) || !Object.hasOwn(names, key)) return undefined;
    names = names[key];
  }
  return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined;
}

/** A class index by its stored name, so that a file whose classes stand in another order is read rightly; -1 stays. */
function named(label: unknown, names: readonly string[] | undefined): unknown {
  if (names === undefined || (typeof label !== 'number' && typeof label !== 'bigint')) return label;
  return names[Number(label)] ?? label;
}

/**
 * Rows of a parquet file as the hub has them, one row group at a time; a row's `line` is its number from 1.
 * @throws FileError when the file is truncated or uses what the parquet library can't read, when the task's columns are absent,
 * or labels are needed and absent
 */
export async function* readParquet(task: Task, file: string, needsLabel: boolean): AsyncGenerator<readonly Row[]> {
  const handle = await open(file).catch((thrown: unknown) => {
    throw readingError(file, thrown);
  });
  try {
    const { size } = await handle.stat();
    const readBytes = async (start: number, end: number): Promise<ArrayBuffer> => {
      if (!(start >= 0 && start <= end && end <= size)) throw new Error(`bytes ${start} to ${end} of ${size}`);
      const bytes = new Uint8Array(new ArrayBuffer(end - start));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
      if (bytesRead < bytes.length) throw new Error('the file ends too early');
      return bytes.buffer;
    };
    const buffer: AsyncBuffer = {
      byteLength: size,
      slice: (start, end = size) => {
        const bytes = readBytes(start, end);
        // The library starts several reads at once and leaves the others unwatched when one fails.
        bytes.catch(() => undefined);
        return bytes;
      },
    };
    const metadata = await parquetMetadataAsync(buffer);
    const names = topLevelColumns(metadata);
    const positions = matchColumns(task, { file, line: undefined, names });
    if (positions === undefined) throw columnsError(task, file, undefined, names);
    const nameAt = (index: number | undefined): string | undefined => (index === undefined ? undefined : names[index]);
    const text = nameAt(positions.text);
    const pair = nameAt(positions.pair);
    const label = nameAt(positions.label);
    if (needsLabel && label === undefined) throw missingLabelError(task, file, undefined);
    const columns = [text, pair, label].filter((name) => name !== undefined);
    const labelNames = label === undefined ? undefined : classNames(metadata, label);

    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const rows: Row[] = [];
      await parquetRead({
        file: buffer,
        metadata,
        compressors,
        columns,
        rowStart,
        rowEnd,
        rowFormat: 'object',
        onComplete: (objects) => {
          for (const [index, object] of (objects as readonly Readonly<Record<string, unknown>>[]).entries())
            rows.push({
              kind: 'row',
              line: rowStart + index + 1,
              text: text === undefined ? undefined : object[text],
              pair: pair === undefined ? undefined : object[pair],
              label: label === undefined ? undefined : named(object[label], labelNames),
            });
        },
      });
      rowStart = rowEnd;
      yield rows;
    }
  } catch (thrown) {
    if (thrown instanceof FileError) throw thrown;
    throw new FileError(file, undefined, `not a readable parquet file: ${messageOf(thrown)}`, undefined, {
      cause: thrown,
    });
  } finally {
    await handle.close();
  }
}

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hashText } from '../../base/random.ts';
import { FileError } from '../../base/errors.ts';
import type { Task } from '../task.ts';
import { eachLine, lineBlocks, readingError } from './lines.ts';
import { loadSplit } from './load.ts';
import type { DataSource } from './source.ts';

/** Texts to learn from, and texts held out to see how well it goes. */
export interface Documents {
  readonly train: readonly string[];
  readonly heldOut: readonly string[];
  readonly files: readonly string[];
}

/** Where nothing is held out already, about one document in so many is. */
const oneIn = 100;

/**
 * Texts for masked words, from plain text (`.txt`, `.txt.gz`) with one document a line, blank lines passed over: a file, of which a
 * hundredth is held out by the documents' own letters; or a folder with `train.txt` and `dev.txt` or `heldout.txt`; or both by name. With
 * a task, its own training and development texts, without their labels.
 * @throws FileError when there is no text to learn from or to hold out
 */
export async function readDocuments(source: DataSource, task: Task | undefined): Promise<Documents> {
  if (task !== undefined) return textsOfTask(task, source);
  if (typeof source !== 'string') {
    const { train, dev } = source;
    if (train === undefined || dev === undefined)
      throw new FileError('task.data', undefined, 'train and dev must both be named');
    return checked({ train: await documentsOf(train), heldOut: await documentsOf(dev), files: [train, dev] });
  }
  if (await isFolder(source)) {
    const train = await firstOf(source, ['train.txt', 'train.txt.gz']);
    const dev = await firstOf(source, ['dev.txt', 'heldout.txt', 'dev.txt.gz', 'heldout.txt.gz']);
    return checked({ train: await documentsOf(train), heldOut: await documentsOf(dev), files: [train, dev] });
  }
  const all = await documentsOf(source);
  if (all.length === 1)
    throw new FileError(
      source,
      undefined,
      'holds one document, and one is held out to evaluate on',
      'One document a line is expected; give at least two.',
    );
  const isHeldOut = (text: string): boolean => hashText(text) % oneIn === 0;
  const heldOut = all.filter(isHeldOut);
  // A text of few documents has none by chance: then the last one is held out.
  if (heldOut.length === 0) return checked({ train: all.slice(0, -1), heldOut: all.slice(-1), files: [source] });
  return checked({ train: all.filter((text) => !isHeldOut(text)), heldOut, files: [source] });
}

function checked(documents: Documents): Documents {
  const [file = ''] = documents.files;
  if (documents.train.length === 0)
    throw new FileError(file, undefined, 'holds no text to learn from', 'One document a line is expected.');
  if (documents.heldOut.length === 0)
    throw new FileError(documents.files.at(-1) ?? '', undefined, 'holds no text to evaluate on');
  return documents;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (thrown) {
    throw readingError(path, thrown);
  }
}

async function firstOf(folder: string, names: readonly string[]): Promise<string> {
  for (const name of names) {
    const file = join(folder, name);
    if (
      await stat(file).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  throw new FileError(
    folder,
    undefined,
    `has none of ${names.join(', ')}`,
    'Name the files under task.data.train and task.data.dev.',
  );
}

/** Formats whose lines are not the text that they hold. */
const structured = /\.(jsonl?|csv|tsv|parquet)(\.gz)?$/iu;

async function documentsOf(file: string): Promise<readonly string[]> {
  if (structured.test(file))
    throw new FileError(
      file,
      undefined,
      'is not plain text',
      'Write its texts alone into a .txt file, one document a line, or give a *.peft.json whose task has such data.',
    );
  const documents: string[] = [];
  for await (const block of lineBlocks(file))
    eachLine(block, (start, end) => {
      const text = block.bytes.toString('utf8', start, end).trim();
      if (text !== '') documents.push(text);
    });
  return documents;
}

async function textsOfTask(task: Task, source: DataSource): Promise<Documents> {
  const [train, dev] = [await loadSplit(task, source, 'train'), await loadSplit(task, source, 'dev')];
  const texts = ({ examples }: typeof train): readonly string[] =>
    examples.flatMap(({ text, pair }) => [text, pair ?? '']).filter((text) => text.trim() !== '');
  return checked({ train: texts(train), heldOut: texts(dev), files: [...train.files, ...dev.files] });
}

import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileError, UserError } from '../../base/errors.ts';
import type { SplitName, Task } from '../task.ts';
import { readingError } from './lines.ts';

/** Files given one by one, as a configuration's `task.data` names them. */
export interface DataFiles {
  readonly train?: string | undefined;
  readonly dev?: string | undefined;
  readonly devMismatched?: string | undefined;
  readonly test?: string | undefined;
  readonly testMismatched?: string | undefined;
}

/** A data folder, or files. Paths are absolute or relative to the working directory. */
export type DataSource = string | DataFiles;

const fileKey = {
  train: 'train',
  dev: 'dev',
  'dev-mismatched': 'devMismatched',
  test: 'test',
  'test-mismatched': 'testMismatched',
} as const satisfies Record<SplitName, keyof DataFiles>;

/** File endings in order of preference. */
export const dataExtensions = [
  'tsv',
  'tsv.gz',
  'jsonl',
  'jsonl.gz',
  'json',
  'json.gz',
  'csv',
  'csv.gz',
  'parquet',
] as const;

function stemsOf(task: Task, split: SplitName): readonly string[] {
  const twoParts = task.splits['dev-mismatched'] !== undefined;
  switch (split) {
    case 'train':
      return ['train'];
    case 'dev':
      return twoParts ? ['dev_matched', 'validation_matched', 'dev', 'validation'] : ['dev', 'validation'];
    case 'dev-mismatched':
      return ['dev_mismatched', 'validation_mismatched'];
    case 'test':
      return twoParts ? ['test_matched', 'test-labeled', 'test'] : ['test-labeled', 'test'];
    case 'test-mismatched':
      return ['test_mismatched'];
  }
}

async function listFiles(folder: string): Promise<readonly string[] | 'missing' | 'no folder'> {
  try {
    return await readdir(folder);
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
    if (code === 'ENOENT') return 'missing';
    if (code === 'ENOTDIR') return 'no folder';
    throw readingError(folder, thrown);
  }
}

/** The error for a data folder that is none. */
function folderError(folder: string, found: 'missing' | 'no folder'): FileError {
  if (found === 'missing') return new FileError(folder, undefined, 'there is no such folder');
  return new FileError(
    folder,
    undefined,
    'this is a file, not a folder',
    'Give the folder of the splits, or each split\'s file: { "train": "a.csv", "dev": "b.csv" }.',
  );
}

/** The parts `stem-00000-of-00003.parquet` and so on, in order, when there are any; older exports of the hub end in 16 digits more. */
function shardsOf(folder: string, names: readonly string[], stem: string): readonly string[] | undefined {
  const shards = names
    .map((name) => ({ name, match: /^(.+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?\.(.+)$/.exec(name) }))
    .filter(({ match }) => match?.[1] === stem && (dataExtensions as readonly string[]).includes(match[4] ?? ''))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (shards.length === 0) return undefined;
  const expected = Number(shards[0]?.match?.[3]);
  if (shards.length !== expected)
    throw new FileError(folder, undefined, `${shards.length} of the ${expected} parts of ${stem} are there`);
  return shards.map(({ name }) => join(folder, name));
}

function pick(folder: string, names: readonly string[], stems: readonly string[]): readonly string[] | undefined {
  const present = new Set(names);
  for (const stem of stems) {
    for (const extension of dataExtensions)
      if (present.has(`${stem}.${extension}`)) return [join(folder, `${stem}.${extension}`)];
    const shards = shardsOf(folder, names, stem);
    if (shards !== undefined) return shards;
  }
  return undefined;
}

/** Every file of a folder that bears the name of a split, parts included. */
function namesakes(names: readonly string[], stems: readonly string[]): readonly string[] {
  const endings = dataExtensions.map((extension) => extension.replaceAll('.', '\\.')).join('|');
  const named = new RegExp(`^(?:${stems.join('|')})(?:-\\d{5}-of-\\d{5}(?:-[0-9a-f]{16})?)?\\.(?:${endings})$`, 'u');
  return names.filter((name) => named.test(name));
}

async function findInFolder(
  task: Task,
  folder: string,
  split: SplitName,
): Promise<{ readonly files: readonly string[] | undefined; readonly looked: readonly string[] }> {
  const subfolders = ['', 'data', ...task.folders].map((name) => (name === '' ? folder : join(folder, name)));
  const looked: string[] = [];
  for (const place of subfolders) {
    const names = await listFiles(place);
    if (typeof names === 'string') {
      if (place === folder) throw folderError(folder, names);
      continue;
    }
    looked.push(place);
    const files = pick(place, names, stemsOf(task, split));
    if (files !== undefined) return { files, looked };
  }
  return { files: undefined, looked };
}

function requireSplit(task: Task, split: SplitName): void {
  if (task.splits[split] === undefined)
    throw new UserError(`${task.title} has no split "${split}"`, `It has ${Object.keys(task.splits).join(', ')}.`);
}

/**
 * The files of a split: those named, or those found in the data folder under the names of the GLUE download (`train.tsv`,
 * `dev_matched.tsv`) or of a hub export (`validation-00000-of-00001.parquet`), in the folder itself, in `data`, or in the task's own
 * subfolder of a folder that holds several tasks. Nothing when the source has no such split.
 * @throws UserError when the task has no such split, or the folder does not exist or lacks a part
 */
export async function findSplitFiles(
  task: Task,
  source: DataSource,
  split: SplitName,
): Promise<readonly string[] | undefined> {
  requireSplit(task, split);
  if (typeof source === 'string') return (await findInFolder(task, source, split)).files;
  const file = source[fileKey[split]];
  return file === undefined ? undefined : [file];
}

/**
 * Files that bear the name of a split too and lie beside those that are read, which come first by their ending: an old `train.tsv` beside a
 * new `train.csv` is a mistake that no number would show.
 * @param files those that are read, as {@link findSplitFiles} gives them
 */
export async function passedOverFiles(
  task: Task,
  source: DataSource,
  split: SplitName,
  files: readonly string[],
): Promise<readonly string[]> {
  const [first] = files;
  if (typeof source !== 'string' || first === undefined) return [];
  const place = dirname(first);
  const names = await listFiles(place);
  if (typeof names === 'string') return [];
  return namesakes(names, stemsOf(task, split))
    .map((name) => join(place, name))
    .filter((file) => !files.includes(file))
    .sort();
}

/**
 * As {@link findSplitFiles}, for a split that must be there.
 * @throws UserError that lists what was looked for
 */
export async function requireSplitFiles(task: Task, source: DataSource, split: SplitName): Promise<readonly string[]> {
  requireSplit(task, split);
  if (typeof source !== 'string') {
    const file = source[fileKey[split]];
    if (file !== undefined) return [file];
    throw new UserError(
      `no file is given for the ${split} split of ${task.title}`,
      `Name it in the configuration under task.data.${fileKey[split]}.`,
    );
  }
  const { files, looked } = await findInFolder(task, source, split);
  if (files !== undefined) return files;
  const stems = stemsOf(task, split).join(' or ');
  throw new FileError(
    source,
    undefined,
    `there is no file for the ${split} split of ${task.title}`,
    `Looked for ${stems}, ending in ${dataExtensions.map((e) => `.${e}`).join(', ')} or -00000-of-…, in ${looked.join(', ')}.`,
  );
}

/** Names of a part of MNLI's own: where evaluation data bear them, the other part belongs to them. */
const twoPartStems = /^(dev|validation)_matched\b/u;

/**
 * The splits that training is evaluated on, with their files. Data of one's own in the shape of MNLI need no mismatched part: it is left
 * out where no file is named for it, or the folder's evaluation data are called `dev` or `validation` and there is none.
 * @throws UserError as {@link requireSplitFiles}
 */
export async function evaluationFiles(
  task: Task,
  source: DataSource,
): Promise<readonly { readonly split: SplitName; readonly files: readonly string[] }[]> {
  const dev = { split: 'dev', files: await requireSplitFiles(task, source, 'dev') } as const;
  const other = 'dev-mismatched';
  if (task.splits[other] === undefined) return [dev];
  const files = await findSplitFiles(task, source, other);
  if (files !== undefined) return [dev, { split: other, files }];
  const needsBoth = typeof source === 'string' && dev.files.some((file) => twoPartStems.test(basename(file)));
  return needsBoth ? [dev, { split: other, files: await requireSplitFiles(task, source, other) }] : [dev];
}

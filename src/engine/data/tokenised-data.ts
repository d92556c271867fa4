import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { loadSplit, skippedWarning, type LoadedSplit, type LoadOptions } from '../../tasks/read/load.ts';
import { evaluationFiles, passedOverFiles, requireSplitFiles, type DataSource } from '../../tasks/read/source.ts';
import type { SplitName, Task } from '../../tasks/task.ts';
import type { ModelFolder } from '../model-folder.ts';
import type { Tokenizer } from '../tokenizers/tokenizer.ts';
import type { FileCache } from '../checked-cache.ts';
import { readCachedSplit, writeCachedSplit, type CachedSplit } from './data-cache.ts';
import { splitKey, type SplitIdentity } from './data-key.ts';
import type { Dataset } from './dataset.ts';
import { encodeExamples } from './encode-examples.ts';
import { stratifiedSubset } from './subset.ts';

/** What is to be tokenised, and how. */
export interface DataRequest {
  readonly task: Task;
  readonly source: DataSource;
  readonly malformedRows: NonNullable<LoadOptions['malformedRows']>;
  readonly maxLength: number;
  /** The head reads a mask token, which is put in. */
  readonly readsMask: boolean;
  /** Keep a stratified subset of the training examples. */
  readonly examples: number | undefined;
  readonly seed: number;
  readonly vocabularySize: number;
  /** The tokenizer's files, which the cache knows it by. */
  readonly tokenizerFiles: ModelFolder['tokenizer'];
  /** Loads the tokenizer and checks that it fits the model; asked at most once, and not at all where the cache has everything. */
  readonly loadTokenizer: () => Promise<Tokenizer>;
}

/** A task's data, ready to be cut into batches. */
export interface TokenisedData {
  readonly train: Dataset;
  readonly evaluations: readonly { readonly split: SplitName; readonly dataset: Dataset }[];
  /** The mask token, where the head reads it. */
  readonly maskToken: number | undefined;
  readonly warnings: readonly string[];
  /** What a reader of the log may want to know: what came from the cache, and what was wrong with it. */
  readonly notes: readonly string[];
  readonly files: { readonly all: readonly string[]; readonly train: readonly string[] };
}

/** Keeps some examples of a split. */
function pick(split: LoadedSplit, indices: Uint32Array): LoadedSplit {
  return { ...split, examples: [...indices].flatMap((index) => split.examples[index] ?? []) };
}

/** Sizes and times of files, which tell whether they were changed meanwhile. */
async function stateOf(files: readonly string[]): Promise<string> {
  const states = await Promise.all(files.map((file) => stat(file)));
  return JSON.stringify(states.map(({ size, mtimeMs, ino }) => [size, mtimeMs, ino]));
}

function tokenizerPaths(files: ModelFolder['tokenizer']): readonly string[] {
  if (files === undefined) return [];
  const { file, config, specialTokensMap, addedTokens } = files;
  const merges = files.kind === 'vocab.json' ? files.merges : undefined;
  return [file, merges, config, specialTokensMap, addedTokens].filter((path) => path !== undefined);
}

/**
 * Reads and tokenises a task's training and evaluation splits, or takes them from the cache, which gives the same.
 * @param cache none for data of which no copy is wanted
 * @throws UserError, FileError for data or a tokenizer that the user must mend
 */
export async function tokenisedData(request: DataRequest, cache: FileCache | undefined): Promise<TokenisedData> {
  const { task, source, malformedRows, maxLength, readsMask, vocabularySize } = request;
  const warnings: string[] = [];
  const notes: string[] = [];
  const reused: SplitName[] = [];
  let tokenizer: Promise<Tokenizer> | undefined;

  async function make(split: SplitName): Promise<{ readonly made: CachedSplit; readonly complete: boolean }> {
    const loaded = await loadSplit(task, source, split, { malformedRows });
    const warning = skippedWarning(loaded);
    if (warning !== undefined) warnings.push(warning);
    const labels = Float64Array.from(loaded.examples, (example) => example.label);
    const { examples } =
      split === 'train' && request.examples !== undefined
        ? pick(loaded, stratifiedSubset(labels, task.kind, request.examples, request.seed))
        : loaded;
    const known = await (tokenizer ??= request.loadTokenizer());
    const dataset = encodeExamples(examples, task.kind, known, { readsMask, maxLength });
    const made = { dataset, mask: known.specialTokens.mask?.id };
    // Rows that were left out are told of anew each time.
    return { made, complete: loaded.skipped.length === 0 };
  }

  async function get(split: SplitName, files: readonly string[]): Promise<CachedSplit> {
    if (cache === undefined) return (await make(split)).made;
    const subset =
      split === 'train' && request.examples !== undefined
        ? { examples: request.examples, seed: request.seed }
        : undefined;
    const identity: SplitIdentity = {
      ...{ task: task.id, split, maxLength, readsMask, subset, vocabularySize, malformedRows },
    };
    const from = { data: files, tokenizer: tokenizerPaths(request.tokenizerFiles) };
    const everything = [...from.data, ...from.tokenizer];
    let key: string;
    let before: string;
    try {
      before = await stateOf(everything);
      key = await splitKey(identity, from);
    } catch {
      // What is wrong with a file is told better by who reads it.
      return (await make(split)).made;
    }
    const answer = await readCachedSplit(cache, key, vocabularySize);
    if (answer.kind === 'found') {
      reused.push(split);
      return answer.split;
    }
    if (answer.kind === 'damaged')
      notes.push(`${answer.file} is not used, because ${answer.problem}; it is made again`);
    const { made, complete } = await make(split);
    try {
      // A file that was changed between its hash and its reading would be kept under the wrong name.
      if (complete && (await stateOf(everything)) === before) await writeCachedSplit(cache, key, made);
    } catch (error) {
      notes.push(`the tokenised ${split} data cannot be kept in ${cache.folder}: ${messageOf(error)}`);
    }
    return made;
  }

  async function warnOfOthers(split: SplitName, files: readonly string[]): Promise<void> {
    const others = await passedOverFiles(task, source, split, files);
    if (others.length === 0) return;
    const beside = others.map((file) => basename(file)).join(', ');
    warnings.push(
      `the ${split} data are ${files.join(', ')}; ${beside} beside ${files.length === 1 ? 'it' : 'them'} ${others.length === 1 ? 'is' : 'are'} not read`,
    );
  }

  const trainFiles = await requireSplitFiles(task, source, 'train');
  await warnOfOthers('train', trainFiles);
  const train = await get('train', trainFiles);
  const all = [...trainFiles];
  const evaluations: { split: SplitName; dataset: Dataset }[] = [];
  const parts = await evaluationFiles(task, source);
  if (task.splits['dev-mismatched'] !== undefined && parts.length === 1)
    warnings.push(
      `there is no mismatched part, so the score of ${task.title} is that of ${parts[0]?.files.join(', ')}`,
    );
  for (const { split, files } of parts) {
    await warnOfOthers(split, files);
    evaluations.push({ split, dataset: (await get(split, files)).dataset });
    all.push(...files);
  }
  if (reused.length > 0) notes.push(`tokenised data taken from the cache: ${reused.join(', ')}`);
  return {
    ...{ train: train.dataset, evaluations, warnings, notes },
    maskToken: readsMask ? train.mask : undefined,
    files: { all, train: trainFiles },
  };
}

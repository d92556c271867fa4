import { UserError } from '../base/errors.ts';
import type { SplitName, Task } from '../tasks/task.ts';
import { loadSplit, skippedWarning, type LoadedSplit, type LoadOptions } from '../tasks/read/load.ts';
import type { DataSource } from '../tasks/read/source.ts';
import { findTask } from '../tasks/registry.ts';
import { encodeDataset, encodeWordDataset, type Dataset } from './data/dataset.ts';
import { stratifiedSubset } from './data/subset.ts';
import { openEncoder } from './encoder-checkpoint.ts';
import { usablePositions } from './encoders/config.ts';
import { buildModel } from './model-graph.ts';
import { resolveModel } from './model-folder.ts';
import { loadTokenizer, checkTokenizerFits } from './tokenizers/load.ts';
import type { Tokenizer } from './tokenizers/tokenizer.ts';
import { modelPlanOf, type TrainingSettings, type TrainingSetup } from './training-setup.ts';
import { onnxBackend } from './backends/onnx/onnx-backend.ts';
import { chooseDevice, type DeviceWish } from './device.ts';

/** What a run is asked to do, resolved: paths absolute, defaults filled in. */
export interface TrainingRequest {
  readonly model: { readonly id: string; readonly revision?: string | undefined };
  readonly task: {
    readonly id: string;
    readonly data: DataSource;
    readonly maxLength: number;
    readonly malformedRows?: LoadOptions['malformedRows'];
  };
  readonly method: { readonly id: string; readonly options: Readonly<Record<string, unknown>> };
  readonly settings: TrainingSettings;
  /** Train on a stratified subset of this size. */
  readonly examples: number | undefined;
  readonly device: DeviceWish;
}

export interface PreparedTraining {
  readonly setup: TrainingSetup;
  /** What the user should know before it starts. */
  readonly warnings: readonly string[];
  /** The files that model and data were read from. */
  readonly files: { readonly model: readonly string[]; readonly data: readonly string[] };
}

/** How a text becomes tokens: with the mask token after the first sentence where the head reads it (Gupta et al. 2023, whose code reads the first mask). */
function encoder(
  tokenizer: Tokenizer,
  readsMask: boolean,
): (text: string, pair: string | undefined, maxLength: number) => ReturnType<Tokenizer['encodeFast']> {
  if (!readsMask) return (text, pair, maxLength) => tokenizer.encodeFast(text, pair, maxLength);
  const { mask } = tokenizer.specialTokens;
  if (mask === undefined)
    throw new UserError('the tokenizer has no mask token, which the head reads', 'Set method.head to "linear".');
  return (text, pair, maxLength) => {
    const joined = tokenizer.encodeFast(`${text}${mask.text}${pair ?? ''}`, undefined, maxLength);
    if (joined.ids.includes(mask.id)) return joined;
    // A first sentence as long as the limit would push the mask out: it is shortened instead.
    const bare = tokenizer.encodeFast(text, undefined, maxLength - 1);
    const end = bare.ids.at(-1);
    if (end === undefined) return joined;
    const ids = Int32Array.from([...bare.ids.subarray(0, -1), mask.id, end]);
    const special = Uint8Array.from(ids, (_, at) => (at === 0 || at === ids.length - 1 ? 1 : 0));
    return { ids, typeIds: new Int32Array(ids.length), special };
  };
}

/** Keeps some examples of a split. */
function pick(split: LoadedSplit, indices: Uint32Array): LoadedSplit {
  return { ...split, examples: [...indices].flatMap((index) => split.examples[index] ?? []) };
}

/**
 * Loads model, tokenizer and data and makes them ready to train.
 * @throws UserError, FileError for whatever the user must mend; nothing is left behind
 */
export async function prepareTraining(request: TrainingRequest): Promise<PreparedTraining> {
  const task = findTask(request.task.id);
  const folder = await resolveModel(
    request.model.id,
    request.model.revision === undefined ? {} : { revision: request.model.revision },
  );
  const checkpoint = await openEncoder(folder.path);
  const tokenizer = await loadTokenizer(folder.path);
  checkTokenizerFits(tokenizer, checkpoint.config.vocabularySize, folder.path);
  const { readsMask, head, positions } = buildModel(modelPlanOf({ checkpoint, method: request.method, task }), {
    dropout: 'off',
  });
  const warnings: string[] = [];
  if (head === 'linear' && checkpoint.config.family === 'bert' && !checkpoint.hasPooler) {
    warnings.push('the checkpoint has no pooler, so the head is one linear map on the first token');
  }
  const maxLength = Math.min(request.task.maxLength, usablePositions(checkpoint.config));
  if (maxLength > positions) {
    throw new UserError(
      `${request.method.id} takes ${usablePositions(checkpoint.config) - positions} of the model's ${usablePositions(checkpoint.config)} positions, so examples of ${maxLength} tokens do not fit`,
      `Set task.maxLength to ${positions} or less.`,
    );
  }
  const encode = encoder(tokenizer, readsMask);
  const data: string[] = [];
  const load = async (split: SplitName): Promise<LoadedSplit> => {
    const loaded = await loadSplit(task, request.task.data, split, {
      malformedRows: request.task.malformedRows ?? 'error',
    });
    const warning = skippedWarning(loaded);
    if (warning !== undefined) warnings.push(warning);
    data.push(...loaded.files);
    return loaded;
  };
  const dataset = ({ examples }: LoadedSplit): Dataset =>
    task.kind === 'words'
      ? encodeWordDataset(examples, tokenizer.encodeWords, maxLength)
      : encodeDataset(examples, task.kind, encode, maxLength);
  const whole = await load('train');
  const labels = Float64Array.from(whole.examples, (example) => example.label);
  const train =
    request.examples === undefined
      ? whole
      : pick(whole, stratifiedSubset(labels, task.kind, request.examples, request.settings.seed));
  const evaluations: { split: string; dataset: Dataset }[] = [];
  for (const split of evaluationSplits(task)) evaluations.push({ split, dataset: dataset(await load(split)) });
  const setup: TrainingSetup = {
    checkpoint,
    method: request.method,
    task,
    train: dataset(train),
    evaluations,
    settings: request.settings,
    backend: onnxBackend,
    device: await chooseDevice(request.device),
    maskToken: readsMask ? tokenizer.specialTokens.mask?.id : undefined,
  };
  const model = [...new Set([...checkpoint.tensors.values()].map((tensor) => tensor.file))];
  return { setup, warnings, files: { model: [folder.config, ...model], data } };
}

function evaluationSplits(task: Task): readonly SplitName[] {
  return task.splits['dev-mismatched'] === undefined ? ['dev'] : ['dev', 'dev-mismatched'];
}

import { FileError } from '../base/errors.ts';
import type { LoadOptions } from '../tasks/read/load.ts';
import { readDocuments } from '../tasks/read/documents.ts';
import type { DataSource } from '../tasks/read/source.ts';
import { findTask } from '../tasks/registry.ts';
import type { FileCache } from './checked-cache.ts';
import { tokenisedData } from './data/tokenised-data.ts';
import { openEncoder, type EncoderCheckpoint } from './encoder-checkpoint.ts';
import { usablePositions } from './encoders/config.ts';
import { fitMethod } from './fit-method.ts';
import { resolveModel } from './model-folder.ts';
import type { Tokenizer } from './tokenizers/tokenizer.ts';
import { halfPrecisionWarning, type TrainingSettings, type TrainingSetup } from './training-setup.ts';
import type { Masking } from './pretraining/masking.ts';
import { maskingOf, packDocuments } from './pretraining/packing.ts';
import { chooseDevice, type Device, type DeviceWish, type Probe, type StepWork } from './device.ts';
import { engineOf } from './engine-of.ts';

/** What a run is asked to do, resolved: paths absolute, defaults filled in. */
export interface TrainingRequest {
  readonly model: { readonly id: string; readonly revision?: string | undefined };
  readonly task: {
    readonly id: string;
    readonly data: DataSource;
    readonly maxLength: number;
    readonly malformedRows?: LoadOptions['malformedRows'];
    /** For masked words: how they are chosen, and the task whose texts are read instead of plain text. */
    readonly masking?: Pick<Masking, 'rate' | 'wholeWords'>;
    readonly textsOf?: string | undefined;
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
  /** What a reader of the log may want to know. */
  readonly notes: readonly string[];
  /** The versions of the packages that compute, beside the program's own. */
  readonly packages: Readonly<Record<string, string>>;
  /** The files that model and data were read from; `train` are those of the data that hold training examples. */
  readonly files: {
    readonly model: readonly string[];
    readonly data: readonly string[];
    readonly train: readonly string[];
  };
}

/** Work that runs need not do twice. */
export interface SharedWork {
  /** Where tokenised data are kept for the next run; none where no copy of them is wanted. */
  readonly data?: FileCache | undefined;
  /** Tries a device, or knows what came of it. */
  readonly probe?: Probe | undefined;
}

/** Operations of a graph for each layer of its encoder, forward and backward together: counted, and much the same for most methods. */
const OPERATIONS_A_LAYER = 160;

/** What a step will ask of a device: two products with each matrix of the layers, forward and backward, over texts of half the length allowed. */
export function stepWork(
  { config }: EncoderCheckpoint,
  { settings, task }: Pick<TrainingRequest, 'settings' | 'task'>,
): StepWork {
  const { layers, hiddenSize, intermediateSize } = config;
  const tokens = (settings.batchSize * Math.min(task.maxLength, usablePositions(config))) / 2;
  const weights = layers * (4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize);
  return {
    flops: 2 * 2 * weights * tokens,
    operations: OPERATIONS_A_LAYER * layers,
    eightBit: settings.frozenPrecision === 'int8',
    precision: settings.precision ?? 'float32',
  };
}

/**
 * Loads model, tokenizer and data and makes them ready to train.
 * @param shared what other runs have left for it
 * @throws UserError, FileError for whatever the user must mend; nothing is left behind
 */
export async function prepareTraining(request: TrainingRequest, shared: SharedWork = {}): Promise<PreparedTraining> {
  const task = findTask(request.task.id);
  const folder = await resolveModel(
    request.model.id,
    request.model.revision === undefined ? {} : { revision: request.model.revision },
  );
  const checkpoint = await openEncoder(folder.path);
  const chosen = await chooseDevice(request.device, stepWork(checkpoint, request), undefined, shared.probe);
  const { backend, device, packages } = await engineOf(chosen.device);
  const fallback = request.device.provider === 'auto' ? await cpuInPlaceOf(device) : undefined;
  const { vocabularySize } = checkpoint.config;
  const tokenizer = async (): Promise<Tokenizer> => {
    // Only here, because a run whose data are in the cache needs none of it.
    const { loadTokenizer, checkTokenizerFits } = await import('./tokenizers/load.ts');
    const loaded = await loadTokenizer(folder);
    checkTokenizerFits(loaded, vocabularySize, folder.path);
    return loaded;
  };
  const { model, maxLength } = fitMethod({ checkpoint, method: request.method, task }, request.task.maxLength);
  const { readsMask, head, method: built } = model;
  const warnings: string[] = [...chosen.warnings];
  const isAsked = request.method.options['head'] === 'linear' || readsMask;
  if (head === 'linear' && !isAsked && checkpoint.config.family === 'bert' && !checkpoint.hasPooler) {
    warnings.push('the checkpoint has no pooler, so the head is one linear map on the first token');
  }
  if (request.settings.frozenPrecision === 'int8' && built.rows !== undefined) {
    warnings.push(
      `${request.method.id} trains rows at the encoder's input, whose gradients 8-bit products change most; compare a run with training.frozenPrecision "float32"`,
    );
  }
  const inHalf = halfPrecisionWarning(request.settings, device.provider);
  if (inHalf !== undefined) warnings.push(inHalf);
  if (task.kind === 'masked-words') {
    if (!checkpoint.tiesWords)
      throw new FileError(
        folder.config,
        undefined,
        'tie_word_embeddings is false, but words are predicted with the word embeddings here',
        'Masked words can be learnt by models whose embeddings are tied.',
      );
    const known = await tokenizer();
    const masking = maskingOf(known, request.task.masking ?? { rate: 0.15, wholeWords: false });
    if (!checkpoint.hasWordHead)
      warnings.push('the checkpoint lacks what predicts masked words (saved without it), so that begins at random');
    const texts = await readDocuments(
      request.task.data,
      request.task.textsOf === undefined ? undefined : findTask(request.task.textsOf),
    );
    const whole = packDocuments(texts.train, known, maxLength);
    const heldOut = packDocuments(texts.heldOut, known, maxLength);
    for (const [what, { count }] of Object.entries({ 'to learn from': whole, 'held out': heldOut }))
      if (count === 0) throw new FileError(texts.files[0] ?? '', undefined, `there is too little text ${what}`);
    const setup: TrainingSetup = {
      checkpoint,
      method: request.method,
      task,
      train: whole,
      evaluations: [{ split: 'dev', dataset: heldOut }],
      settings: request.settings,
      backend,
      device,
      ...(fallback === undefined ? {} : { fallback }),
      maskToken: undefined,
      masking,
    };
    return {
      setup,
      warnings,
      notes: [],
      packages,
      files: { model: modelFiles(folder.config, checkpoint), data: texts.files, train: texts.files },
    };
  }
  const data = await tokenisedData(
    {
      ...{ task, maxLength, readsMask, vocabularySize, loadTokenizer: tokenizer },
      source: request.task.data,
      malformedRows: request.task.malformedRows ?? 'error',
      examples: request.examples,
      seed: request.settings.seed,
      tokenizerFiles: folder.tokenizer,
    },
    shared.data,
  );
  const setup: TrainingSetup = {
    checkpoint,
    method: request.method,
    task,
    train: data.train,
    evaluations: data.evaluations,
    settings: request.settings,
    backend,
    device,
    ...(fallback === undefined ? {} : { fallback }),
    maskToken: data.maskToken,
  };
  return {
    setup,
    warnings: [...warnings, ...data.warnings],
    notes: data.notes,
    packages,
    files: { model: modelFiles(folder.config, checkpoint), data: data.files.all, train: data.files.train },
  };
}

/** What trains where a device that was chosen automatically turns out not to take a model; nothing where it is the CPU itself. */
export async function cpuInPlaceOf({ provider, threads }: Device): Promise<TrainingSetup['fallback']> {
  if (provider === 'cpu') return undefined;
  return engineOf({ provider: 'cpu', threads, reason: 'automatic' });
}

/** The files that a model is known by: its configuration and its weights. */
export function modelFiles(config: string, { tensors }: EncoderCheckpoint): readonly string[] {
  return [config, ...new Set([...tensors.values()].map(({ file }) => file))];
}

import type { Executable, TensorData } from './backends/backend.ts';
import { IGNORED_LABEL } from '../tasks/losses.ts';
import { runInParts, sliceExamples, unlimitedRoom, type Room } from './batch-parts.ts';
import { assembleBatch } from './data/batches.ts';
import { batchFeeds, dropoutWords, type NamedTensors } from './feeds.ts';
import { evaluateDim, type Bindings } from './graph/dims.ts';
import type { DropoutSite } from './graph/random-mask.ts';
import { LOSS_SCALE, type ModelGraph } from './model-graph.ts';
import { globalNorm } from './optimisers/clip.ts';
import { maskBatch } from './pretraining/masking.ts';
import type { TrainingSetup } from './training-setup.ts';
import type { Precision } from './graph/float-types.ts';

/** The loss or its gradient is no longer a number: the run can't go on, but what was saved before stays good. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  readonly step: number;

  constructor(step: number, what: string, precision: Precision = 'float32') {
    const orWider = precision === 'float16' ? ', or set training.precision to "float32"' : '';
    super(
      `${what} at step ${step} is not finite; lower the learning rate, or clip gradients with training.maxGradNorm${orWider}`,
    );
    this.step = step;
  }
}

/** The gradient of one optimiser step. */
export interface StepGradient {
  /** The mean loss of the step's examples. */
  readonly loss: number;
  /** The gradient of that mean, by the names of the trained tensors. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** Over all trained tensors together. */
  readonly norm: number;
  readonly examples: number;
  readonly tokens: number;
  /** It was computed more than once, for gradients left the range of 16 bits. */
  readonly repeated?: boolean;
}

/** The trained tensors of a model as feeds; the arrays are the live ones, so an update in place is seen by the next run. */
export function trainedFeeds(model: ModelGraph, values: ReadonlyMap<string, Float32Array>): NamedTensors {
  return Object.fromEntries(
    model.trained.map(({ name, shape }) => {
      const data = values.get(name);
      if (data === undefined) throw new Error(`${name} has no value`);
      return [name, { dtype: 'float32' as const, shape, data }];
    }),
  );
}

function addInto(
  sums: Map<string, Float32Array>,
  name: string,
  gradient: TensorData | undefined,
  factor: number,
): void {
  if (gradient?.dtype !== 'float32') throw new Error(`${name} has no gradient`);
  const { data } = gradient;
  if (factor !== 1) for (let i = 0; i < data.length; i++) data[i] = factor * (data[i] ?? 0);
  const sum = sums.get(name);
  if (sum === undefined) sums.set(name, data);
  else for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (data[i] ?? 0);
}

/** What one pass through the graph is fed of its batch. */
interface Pass {
  readonly feeds: NamedTensors;
  readonly shape: readonly [examples: number, tokens: number];
  readonly sizes: Bindings;
  readonly tokens: number;
  /** How many labelled tokens it scores, or how many examples. */
  readonly scored: number;
}

function total(counts: Int32Array): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function labelledTokens(labels: ArrayLike<number>): number {
  let labelled = 0;
  for (let at = 0; at < labels.length; at++) if (labels[at] !== IGNORED_LABEL) labelled++;
  return labelled;
}

function passOf(setup: TrainingSetup, model: ModelGraph, indices: Uint32Array, step: number, microBatch: number): Pass {
  const { train, checkpoint, settings, maskToken, masking } = setup;
  const batch = assembleBatch(train, indices, { padId: checkpoint.config.padTokenId });
  const sizes = { batch: batch.shape[0], sequence: batch.shape[1] };
  const { tokens } = batch;
  if (masking !== undefined) {
    const { feeds, counts } = maskBatch(batch, checkpoint.config, masking, {
      kind: 'training',
      seed: settings.seed,
      step,
      microBatch,
    });
    return {
      feeds,
      shape: batch.shape,
      sizes: { ...sizes, masked: Math.max(...counts) },
      tokens,
      scored: total(counts),
    };
  }
  const feeds = batchFeeds(batch, checkpoint.config, maskToken, model.specialTokens);
  const scored = batch.labelled === 'words' ? labelledTokens(batch.labels) : indices.length;
  return { feeds, shape: batch.shape, sizes, tokens, scored };
}

/**
 * The dropout words of a batch, apart by whether they belong to its examples: a site of the method's own may know of none. The words of
 * examples stand in their order, for the examples are a site's outermost axis.
 */
export function dropoutFeeds(
  sites: readonly DropoutSite[],
  sizes: Bindings,
  position: Parameters<typeof dropoutWords>[2],
): { readonly ofExamples: NamedTensors; readonly shared: NamedTensors } {
  const words = dropoutWords(sites, sizes, position);
  const twice = { ...sizes, batch: 2 * (sizes['batch'] ?? 0) };
  const own = new Set(
    sites.filter(({ rows }) => evaluateDim(rows, twice) !== evaluateDim(rows, sizes)).map(({ rowInput }) => rowInput),
  );
  const chosen = (of: boolean): NamedTensors =>
    Object.fromEntries(Object.entries(words).filter(([name]) => own.has(name) === of));
  return { ofExamples: chosen(true), shared: chosen(false) };
}

/**
 * With what the loss of each example, or of each labelled token, is multiplied before gradients are computed, tried in turn until all
 * gradients are finite; they are divided by it after. Float16 has no numbers below 6e-8 and none above 65,504: the gradient of one example's
 * loss reaches a token far from the head as a millionth of it, which multiplied so is held as well as any other number.
 */
const halfPrecisionScales = [256, 16, 1] as const;

interface Sums {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly tokens: number;
  /** Over all trained tensors together. */
  readonly norm: number;
}

function scalarOf(tensor: TensorData | undefined): number {
  if (tensor?.dtype !== 'float32' || tensor.data.length !== 1) throw new Error('the graph gives no loss');
  return tensor.data[0] ?? NaN;
}

/** What every step of a training is computed with. */
export interface StepComputation {
  readonly setup: TrainingSetup;
  readonly model: ModelGraph;
  /** Gives `loss` and each trained tensor's gradient by its name. */
  readonly executable: Executable;
  /** The live values of the trained tensors. */
  readonly feeds: NamedTensors;
  /** What is known of the device's memory. */
  readonly room?: Room;
}

/** The batches of a step, as the graph is fed them. */
interface StepBatches {
  readonly passes: readonly Pass[];
  /** The examples, or labelled tokens, of all passes. */
  readonly scored: number;
  readonly step: number;
}

/**
 * Computes the mean loss and its gradients, which the graph is made to multiply with `scale`: here they are divided by it again.
 * @throws DivergedError where the loss is not finite, which no scale changes
 */
async function sumGradients(
  { setup: { settings }, model, executable, feeds, room = unlimitedRoom() }: StepComputation,
  { passes, scored, step }: StepBatches,
  scale: number,
): Promise<Sums> {
  const gradients = new Map<string, Float32Array>();
  const factor: TensorData = { dtype: 'float32', shape: [], data: Float32Array.of(scale / scored) };
  let loss = 0;
  let tokens = 0;
  for (const [microBatch, pass] of passes.entries()) {
    const words = dropoutFeeds(model.dropoutSites, pass.sizes, { seed: settings.seed, step, microBatch });
    const ofExamples = { ...pass.feeds, ...words.ofExamples };
    const [count] = pass.shape;
    await runInParts(pass.shape, room, async (from, to) => {
      const results = await executable.run({
        ...feeds,
        ...words.shared,
        ...sliceExamples(ofExamples, count, from, to),
        [LOSS_SCALE]: factor,
      });
      loss += scalarOf(results['loss']) / scale;
      if (!Number.isFinite(loss)) throw new DivergedError(step, 'the loss', settings.precision);
      for (const { name } of model.trained) addInto(gradients, name, results[name], 1 / scale);
    });
    tokens += pass.tokens;
  }
  return { loss, gradients, tokens, norm: globalNorm(gradients.values()) };
}

/**
 * Computes the gradient of the mean loss over the examples of several batches, one pass a batch; a batch that does not fit into the
 * device's memory is computed in parts, whose sum is the same.
 * @param batches the examples' indices in the training data
 * @param step counted from 1; with the seed it decides the dropout masks
 * @throws DivergedError when loss or gradient is not finite; UserError when one example alone does not fit
 */
export async function computeGradient(
  computation: StepComputation,
  batches: readonly Uint32Array[],
  step: number,
): Promise<StepGradient> {
  const { setup, model } = computation;
  const { precision } = setup.settings;
  const examples = batches.reduce((sum, indices) => sum + indices.length, 0);
  const passes = batches.map((indices, microBatch) => passOf(setup, model, indices, step, microBatch));
  const scored = Math.max(
    1,
    passes.reduce((sum, pass) => sum + pass.scored, 0),
  );
  // Of the mean's gradient, which has each example's loss divided by their number.
  const scales = precision === 'float16' ? halfPrecisionScales.map((scale) => scale * scored) : [1];
  for (const [tries, scale] of scales.entries()) {
    const sums = await sumGradients(computation, { passes, scored, step }, scale);
    if (Number.isFinite(sums.norm)) return { ...sums, examples, repeated: tries > 0 };
  }
  throw new DivergedError(step, 'the gradient', precision);
}

import type { Executable, TensorData } from './backends/backend.ts';
import { joinExamples, runInParts, sliceExamples, sumParts, unlimitedRoom, type Room } from './batch-parts.ts';
import { assembleBatch } from './data/batches.ts';
import { exampleAt } from './data/dataset.ts';
import { batchFeeds, dropoutWordsByExample, type NamedTensors } from './feeds.ts';
import { input } from './graph/operations.ts';
import { clippedSums, perExampleGradients, refusePaddedLength, type ClippingFunction } from './graph/per-example.ts';
import type { Value } from './graph/value.ts';
import { BATCH } from './encoders/encoder.ts';
import { LOSS_SCALE, type BackwardMode, type ModelGraph } from './model-graph.ts';
import { globalNorm } from './optimisers/clip.ts';
import { DivergedError, type StepGradient } from './training-step.ts';
import type { TrainingSetup } from './training-setup.ts';

/** The privacy loss that the steps so far amount to. */
export interface PrivacySpent {
  readonly epsilon: number;
  readonly delta: number;
  readonly accountant: string;
}

/**
 * The mechanism that makes a training differentially private: the subsampled Gaussian of Abadi et al. 2016. Its draws and its noise come
 * from a secret key and are pure functions of the step, so that a continued training repeats what it had released and releases nothing
 * new.
 */
export interface PrivateMechanism {
  /** q: with this probability each example is drawn into a step, independently of all others. */
  readonly samplingRate: number;
  /** The noise multiplier of all that a step releases. */
  readonly noiseMultiplier: number;
  readonly clipping: ClippingFunction;
  /** The bound on the norm of an example's gradient over all trained tensors together; at the first step, where it adapts. */
  readonly maxGradNorm: number;
  /**
   * Where the norm adapts: the next step's, from this one's and Σ (½ for an example within it, −½ for one beyond it), to which it adds
   * noise. It is computed from what is released, so it may be told.
   */
  readonly adapt?: (norm: number, centredCount: number, step: number) => number;
  /** q times the public number of examples: what the noisy sum is divided by, whatever the draw. */
  readonly expectedBatchSize: number;
  /** The examples drawn into a step (counted from 1), each at most once; there may be none. */
  readonly draw: (step: number) => Uint32Array;
  /** The sum of gradients clipped to `norm` with its noise, on a public grid. `tensor` names the stream of noise. */
  readonly addNoise: (sum: Float32Array | Float64Array, step: number, tensor: string, norm: number) => Float64Array;
  readonly spent: (steps: number) => PrivacySpent;
  /**
   * To be told when steps would not come out bit for bit the same again, as where a pass is computed in other parts: a continued training
   * that added the same noise to other sums would release more than was counted.
   */
  readonly onUnrepeatable?: () => void;
  /** Whether what evaluates the model is public, so that a checkpoint may be chosen and training stopped by it. */
  readonly publicEvaluation: boolean;
}

/** What a step knows of its examples without noise: it is not covered by epsilon, and stays where only the user can read it. */
export interface PrivateStepRecord {
  readonly step: number;
  /** Examples drawn. */
  readonly drawn: number;
  /** The mean loss of the drawn examples; NaN when there were none. */
  readonly loss: number;
  /** The mean norm of their gradients before clipping. */
  readonly gradientNorm: number;
  /** The share of them whose gradient was clipped. */
  readonly clipped: number;
  /** Examples whose gradient was not finite and was replaced by zero. */
  readonly nonFinite: number;
}

export interface PrivateGradient extends StepGradient {
  readonly record: PrivateStepRecord;
  /** The clipping norm of the next step. */
  readonly nextNorm: number;
}

const MAX_NORM = 'max_grad_norm';
const EXAMPLE_WEIGHTS = 'example_weights';

/**
 * Sums of float32 may exceed the exact sum of clipped gradients by rounding; clipping to a little less than the bound keeps each
 * example's part of the sum, as computed, within it.
 */
const ROUNDING_MARGIN = 1 - 1e-5;

/**
 * The outputs of a graph that a private step reads: losses, norms, and the sum of clipped gradients of each trained tensor.
 * @throws GraphError where an operation mixes examples, or lets one feel how long another is
 */
export function privateOutputs(
  model: ModelGraph,
  clipping: ClippingFunction,
  { recompute = false }: BackwardMode = {},
): Readonly<Record<string, Value>> {
  const leaves = model.trained.map(({ value }) => value);
  refusePaddedLength(model.losses, BATCH);
  const boundaries = recompute ? model.boundaries : [];
  const { losses, gradients } = perExampleGradients(model.losses, leaves, BATCH, boundaries);
  const { norms, sums } = clippedSums(gradients, leaves, input(MAX_NORM, 'float32', []), {
    weights: input(EXAMPLE_WEIGHTS, 'float32', [BATCH]),
    clipping,
  });
  const named = model.trained.map(({ name }, index): readonly [string, Value] => {
    const sum = sums[index];
    if (sum === undefined) throw new Error(`${name} has no gradient`);
    return [name, sum];
  });
  return { losses, norms, ...Object.fromEntries(named) };
}

/** A pass through the graph: rows of examples; those that are not `real` only stand where one had to be left out. */
interface Chunk {
  readonly indices: Uint32Array;
  readonly real: readonly boolean[];
}

/**
 * The drawn examples, longest first, in as few chunks as have room for them and as even as can be: memory is bounded by the largest chunk,
 * whatever is drawn, and no row is computed for nothing.
 */
function chunksOf(setup: TrainingSetup, drawn: Uint32Array): readonly Chunk[] {
  const length = (index: number): number => exampleAt(setup.train, index).ids.length;
  const sorted = Array.from(drawn).sort((a, b) => length(b) - length(a) || a - b);
  const count = Math.ceil(sorted.length / setup.settings.batchSize);
  const start = (chunk: number): number => Math.round((chunk * sorted.length) / count);
  return Array.from({ length: count }, (_, chunk) => {
    const indices = Uint32Array.from(sorted.slice(start(chunk), start(chunk + 1)));
    return { indices, real: Array.from(indices, () => true) };
  });
}

function floats(tensor: TensorData | undefined, name: string): Float32Array {
  if (tensor?.dtype !== 'float32') throw new Error(`the graph gives no ${name}`);
  return tensor.data;
}

/** The sum in float64, in place where it is one already: the first chunk's part is kept as it came. */
function added(sum: Float32Array | Float64Array, part: Float32Array): Float64Array {
  const total = sum instanceof Float64Array ? sum : new Float64Array(sum);
  for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (part[i] as number);
  return total;
}

/** (A loop: with a function a number, as many as full fine-tuning has take seconds.) */
function divided(sum: Float64Array, by: number): Float32Array {
  const quotients = new Float32Array(sum.length);
  for (let i = 0; i < sum.length; i++) quotients[i] = (sum[i] as number) / by;
  return quotients;
}

/** Computes a chunk; an example without a finite gradient is replaced by a filler and computed again, so that it adds zero. */
async function runChunk(
  run: (chunk: Chunk) => Promise<Readonly<Record<string, TensorData>>>,
  chunk: Chunk,
): Promise<{ readonly results: Readonly<Record<string, TensorData>> | undefined; readonly chunk: Chunk }> {
  const results = await run(chunk);
  const norms = floats(results['norms'], 'norms');
  const finite = Array.from(norms, Number.isFinite);
  if (finite.every(Boolean)) return { results, chunk };
  const filler = chunk.indices[finite.indexOf(true)];
  const none = { ...chunk, real: chunk.real.map(() => false) };
  if (filler === undefined) return { results: undefined, chunk: none };
  return runChunk(run, {
    indices: chunk.indices.map((index, row) => (finite[row] === true ? index : filler)),
    real: chunk.real.map((real, row) => real && finite[row] === true),
  });
}

/**
 * One step of DP-SGD (Abadi et al. 2016, algorithm 1): Poisson-drawn examples, each example's gradient clipped over all trained tensors
 * together, summed, noise added once, divided by the expected batch size. The gradient, its norm and `nextNorm` are private; `record` is not.
 * @param executable gives the outputs of `privateOutputs`
 * @param step counted from 1
 * @param maxGradNorm the step's clipping norm
 * @param room what is known of the device's memory
 * @throws DivergedError when the noisy gradient is not finite; UserError when one example alone does not fit into the device's memory
 */
export async function computePrivateGradient(
  setup: TrainingSetup,
  mechanism: PrivateMechanism,
  model: ModelGraph,
  executable: Executable,
  feeds: NamedTensors,
  step: number,
  maxGradNorm = mechanism.maxGradNorm,
  room: Room = unlimitedRoom(),
): Promise<PrivateGradient> {
  const { train, checkpoint, settings, maskToken } = setup;
  const drawn = mechanism.draw(step);
  const sums = new Map<string, Float32Array | Float64Array>();
  let tokens = 0;
  let lossSum = 0;
  let normSum = 0;
  let clipped = 0;
  let counted = 0;
  for (const wanted of chunksOf(setup, drawn)) {
    const run = async ({ indices, real }: Chunk): Promise<Readonly<Record<string, TensorData>>> => {
      const batch = assembleBatch(train, indices, { padId: checkpoint.config.padTokenId });
      const sizes = { batch: batch.shape[0], sequence: batch.shape[1] };
      tokens += batch.tokens;
      const words = dropoutWordsByExample(model.dropoutSites, sizes, BATCH, {
        seed: settings.seed,
        step,
        examples: indices,
      });
      const ofExamples: NamedTensors = {
        ...batchFeeds(batch, checkpoint.config, maskToken, model.specialTokens),
        ...words.ofExamples,
        [EXAMPLE_WEIGHTS]: { dtype: 'float32', shape: [real.length], data: Float32Array.from(real, Number) },
      };
      const parts = await runInParts(batch.shape, room, (from, to) =>
        executable.run({
          ...feeds,
          ...words.shared,
          ...sliceExamples(ofExamples, real.length, from, to),
          [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
          [MAX_NORM]: { dtype: 'float32', shape: [], data: Float32Array.of(maxGradNorm * ROUNDING_MARGIN) },
        }),
      );
      const [only] = parts;
      if (only !== undefined && parts.length === 1) return only.result;
      const perExample = (name: string): TensorData => ({
        dtype: 'float32',
        shape: [real.length],
        data: joinExamples(parts, name),
      });
      const sums = model.trained.map(
        ({ name, shape }) => [name, { dtype: 'float32', shape, data: sumParts(parts, name) }] as const,
      );
      return { losses: perExample('losses'), norms: perExample('norms'), ...Object.fromEntries(sums) };
    };
    const { results, chunk } = await runChunk(run, wanted);
    if (results === undefined) continue;
    const norms = floats(results['norms'], 'norms');
    const losses = floats(results['losses'], 'losses');
    for (const [row, real] of chunk.real.entries()) {
      if (!real) continue;
      counted += 1;
      lossSum += losses[row] ?? 0;
      normSum += norms[row] ?? 0;
      if ((norms[row] ?? 0) > maxGradNorm) clipped += 1;
    }
    for (const { name } of model.trained) {
      const part = floats(results[name], name);
      const sum = sums.get(name);
      sums.set(name, sum === undefined ? part : added(sum, part));
    }
  }
  const gradients = new Map<string, Float32Array>();
  for (const { name, shape } of model.trained) {
    const sum = sums.get(name) ?? new Float64Array(shape.reduce((size, dim) => size * dim, 1));
    // What is not needed any more makes room for the next tensor's noise.
    sums.delete(name);
    const noisy = mechanism.addNoise(sum, step, name, maxGradNorm);
    gradients.set(name, divided(noisy, mechanism.expectedBatchSize));
  }
  const norm = globalNorm(gradients.values());
  if (!Number.isFinite(norm)) throw new DivergedError(step, 'the noisy gradient');
  return {
    // The mean loss of the drawn examples is not covered by epsilon: only the record has it.
    loss: NaN,
    gradients,
    norm,
    examples: drawn.length,
    tokens,
    nextNorm: mechanism.adapt?.(maxGradNorm, 0.5 * (counted - clipped) - 0.5 * clipped, step) ?? maxGradNorm,
    record: {
      step,
      drawn: drawn.length,
      loss: lossSum / counted,
      gradientNorm: normSum / counted,
      clipped: clipped / counted,
      nonFinite: drawn.length - counted,
    },
  };
}

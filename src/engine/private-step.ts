import type { Executable } from './backends/backend.ts';
import { joinExamples, runInParts, sliceExamples, sumParts, unlimitedRoom } from './batch-parts.ts';
import { assembleBatch } from './data/batches.ts';
import { contentKeys, exampleAt } from './data/dataset.ts';
import { batchFeeds, dropoutWordsByExample, type NamedTensors } from './feeds.ts';
import { input } from './graph/operations.ts';
import { clippedSums, type ClippingFunction } from './graph/clipping.ts';
import { perExampleGradients, refusePaddedLength } from './graph/per-example.ts';
import type { Value } from './graph/value.ts';
import { BATCH } from './encoders/encoder.ts';
import { LOSS_SCALE, type BackwardMode, type ModelGraph } from './model-graph.ts';
import { globalNorm } from './optimisers/clip.ts';
import { DivergedError, type StepComputation, type StepGradient } from './training-step.ts';
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

/** What private steps are computed with, the same at each. */
export interface PrivateComputation extends StepComputation {
  readonly mechanism: PrivateMechanism;
  /** Gives the outputs of {@link privateOutputs}. */
  readonly executable: Executable;
}

/** A step, counted from 1, and the norm that it clips to. */
interface Step {
  readonly number: number;
  readonly maxGradNorm: number;
}

/** What the graph gives for a chunk: of each example its loss and its gradient's norm, and the clipped sum of each trained tensor. */
interface ChunkResult {
  readonly losses: Float32Array;
  readonly norms: Float32Array;
  readonly sums: ReadonlyMap<string, Float32Array>;
  readonly tokens: number;
}

async function computeChunk(
  { setup, model, executable, feeds, room = unlimitedRoom() }: PrivateComputation,
  { indices, real }: Chunk,
  { number: step, maxGradNorm }: Step,
): Promise<ChunkResult> {
  const { train, checkpoint, settings, maskToken } = setup;
  const batch = assembleBatch(train, indices, { padId: checkpoint.config.padTokenId });
  const [examples, sequence] = batch.shape;
  const words = dropoutWordsByExample(model.dropoutSites, { batch: examples, sequence }, BATCH, {
    seed: settings.seed,
    step,
    examples: contentKeys(train, indices),
  });
  const ofExamples: NamedTensors = {
    ...batchFeeds(batch, checkpoint.config, maskToken, model.specialTokens),
    ...words.ofExamples,
    [EXAMPLE_WEIGHTS]: { dtype: 'float32', shape: [examples], data: Float32Array.from(real, Number) },
  };
  const parts = await runInParts(batch.shape, room, (from, to) =>
    executable.run({
      ...feeds,
      ...words.shared,
      ...sliceExamples(ofExamples, examples, from, to),
      [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
      [MAX_NORM]: { dtype: 'float32', shape: [], data: Float32Array.of(maxGradNorm * ROUNDING_MARGIN) },
    }),
  );
  return {
    losses: joinExamples(parts, 'losses'),
    norms: joinExamples(parts, 'norms'),
    sums: new Map(model.trained.map(({ name }) => [name, sumParts(parts, name)])),
    tokens: batch.tokens,
  };
}

/** A chunk with what came of it. The tokens are those of all that was computed. */
interface Computed {
  readonly chunk: Chunk;
  /** Undefined where no example had a finite gradient. */
  readonly result: ChunkResult | undefined;
  readonly tokens: number;
}

/** Computes a chunk; an example without a finite gradient is replaced by a filler and computed again, so that it adds zero. */
async function computeFinite(computation: PrivateComputation, chunk: Chunk, step: Step, before = 0): Promise<Computed> {
  const result = await computeChunk(computation, chunk, step);
  const tokens = before + result.tokens;
  const finite = Array.from(result.norms, Number.isFinite);
  if (finite.every(Boolean)) return { chunk, result, tokens };
  const filler = chunk.indices[finite.indexOf(true)];
  if (filler === undefined)
    return { chunk: { ...chunk, real: chunk.real.map(() => false) }, result: undefined, tokens };
  const others = {
    indices: chunk.indices.map((index, row) => (finite[row] === true ? index : filler)),
    real: chunk.real.map((real, row) => real && finite[row] === true),
  };
  return computeFinite(computation, others, step, tokens);
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

/** What the chunks of a step come to, before any noise. */
interface Totals {
  readonly sums: Map<string, Float32Array | Float64Array>;
  loss: number;
  norm: number;
  clipped: number;
  /** Examples with a finite gradient. */
  counted: number;
  tokens: number;
}

function addChunk(totals: Totals, { chunk, result, tokens }: Computed, maxGradNorm: number): void {
  totals.tokens += tokens;
  if (result === undefined) return;
  for (const [row, real] of chunk.real.entries()) {
    if (!real) continue;
    const norm = result.norms[row] ?? 0;
    totals.counted += 1;
    totals.loss += result.losses[row] ?? 0;
    totals.norm += norm;
    if (norm > maxGradNorm) totals.clipped += 1;
  }
  for (const [name, part] of result.sums) {
    const sum = totals.sums.get(name);
    totals.sums.set(name, sum === undefined ? part : added(sum, part));
  }
}

/** Noise on each sum, divided by the expected batch size. Takes the sums out of the totals: one gone makes room for the next one's noise. */
function noisyGradients(
  { model, mechanism }: PrivateComputation,
  { sums }: Totals,
  step: Step,
): Map<string, Float32Array> {
  const gradients = new Map<string, Float32Array>();
  for (const { name, shape } of model.trained) {
    const sum = sums.get(name) ?? new Float64Array(shape.reduce((size, dim) => size * dim, 1));
    sums.delete(name);
    const noisy = mechanism.addNoise(sum, step.number, name, step.maxGradNorm);
    gradients.set(name, divided(noisy, mechanism.expectedBatchSize));
  }
  return gradients;
}

/**
 * One step of DP-SGD (Abadi et al. 2016, algorithm 1): Poisson-drawn examples, each example's gradient clipped over all trained tensors
 * together, summed, noise added once, divided by the expected batch size. The gradient, its norm and `nextNorm` are private; `record` is not.
 * @param number of the step, counted from 1
 * @param maxGradNorm the step's clipping norm
 * @throws DivergedError when the noisy gradient is not finite; UserError when one example alone does not fit into the device's memory
 */
export async function computePrivateGradient(
  computation: PrivateComputation,
  number: number,
  maxGradNorm = computation.mechanism.maxGradNorm,
): Promise<PrivateGradient> {
  const { setup, mechanism } = computation;
  const step = { number, maxGradNorm };
  const drawn = mechanism.draw(number);
  const totals: Totals = { sums: new Map(), loss: 0, norm: 0, clipped: 0, counted: 0, tokens: 0 };
  for (const chunk of chunksOf(setup, drawn))
    addChunk(totals, await computeFinite(computation, chunk, step), maxGradNorm);
  const gradients = noisyGradients(computation, totals, step);
  const norm = globalNorm(gradients.values());
  if (!Number.isFinite(norm)) throw new DivergedError(number, 'the noisy gradient');
  const { counted, clipped } = totals;
  return {
    // The mean loss of the drawn examples is not covered by epsilon: only the record has it.
    loss: NaN,
    gradients,
    norm,
    examples: drawn.length,
    tokens: totals.tokens,
    nextNorm: mechanism.adapt?.(maxGradNorm, 0.5 * (counted - clipped) - 0.5 * clipped, number) ?? maxGradNorm,
    record: {
      step: number,
      drawn: drawn.length,
      loss: totals.loss / counted,
      gradientNorm: totals.norm / counted,
      clipped: clipped / counted,
      nonFinite: drawn.length - counted,
    },
  };
}

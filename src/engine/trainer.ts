import { combineSplits } from '../tasks/metrics.ts';
import type { Task } from '../tasks/task.ts';
import type { Backend, Executable, TensorData } from './backends/backend.ts';
import { asInt32, assembleBatch, batchCount, batchIndices, planEpoch, type BatchPlan } from './data/batches.ts';
import { lengthsOf, type Dataset } from './data/dataset.ts';
import { frozenWeights, startValues, type EncoderCheckpoint } from './encoder-checkpoint.ts';
import { evaluate } from './evaluate.ts';
import { batchFeeds, dropoutWords, type NamedTensors } from './feeds.ts';
import {
  buildModel,
  countParameters,
  gradientsOf,
  LOSS_SCALE,
  type ModelGraph,
  type ModelPlan,
} from './model-graph.ts';
import {
  adamWTensors,
  createAdamW,
  restoreAdamW,
  stepAdamW,
  type AdamWOptions,
  type AdamWState,
  type Trained,
} from './optimisers/adamw.ts';
import { clipFactor, globalNorm } from './optimisers/clip.ts';
import { learningRateAt, warmupSteps, type Schedule, type ScheduleKind } from './optimisers/schedule.ts';
import { weightDecayOf } from './optimisers/weight-decay.ts';
import { atStart, type Best, type Progress, type TrainerState } from './trainer-state.ts';
import type { TrainingEvent } from './training-events.ts';

export interface TrainingSettings {
  readonly length:
    { readonly kind: 'epochs'; readonly epochs: number } | { readonly kind: 'steps'; readonly steps: number };
  /** Examples of one pass through the graph. */
  readonly batchSize: number;
  /** Passes whose gradients make one optimiser step. */
  readonly accumulation: number;
  readonly learningRate: number;
  readonly schedule: ScheduleKind;
  /** A fraction of all steps below 1, or a number of steps. */
  readonly warmup: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number | null;
  readonly adam: AdamWOptions;
  /** Replaces the encoder's own rates where the method allows dropout at all. */
  readonly dropout: number | undefined;
  readonly seed: number;
  readonly evaluateEvery: 'epoch' | number;
  readonly checkpointEvery: 'epoch' | number;
  readonly earlyStopping: { readonly patience: number; readonly metric: string } | undefined;
}

export interface TrainingSetup {
  readonly checkpoint: EncoderCheckpoint;
  readonly method: ModelPlan['method'];
  readonly task: Task;
  readonly train: Dataset;
  /** Evaluated in order; the first is selected by, or the mean score where there are two (MNLI). */
  readonly evaluations: readonly { readonly split: string; readonly dataset: Dataset }[];
  readonly settings: TrainingSettings;
  readonly backend: Backend;
  readonly device: { readonly provider: string; readonly threads: number; readonly reason: string };
  /** The mask token, where the head reads it. */
  readonly maskToken: number | undefined;
}

/** What a training asks of whoever runs it. */
export interface TrainingHost {
  readonly emit: (event: TrainingEvent) => void;
  /** The wish at this moment, asked before each step: go on, save and go on, or save and stop. */
  readonly wish: () => 'continue' | 'checkpoint' | 'stop';
  /** Saves a state durably; resolves to where, relative to the run. */
  readonly save: (kind: 'last' | 'best', state: TrainerState) => Promise<string>;
  /** Milliseconds of a steady clock. */
  readonly now: () => number;
}

export interface TrainingResult {
  readonly reason: 'completed' | 'early-stopped' | 'stopped';
  readonly step: number;
  readonly last: Readonly<Record<string, number>>;
  readonly best: Best | undefined;
  readonly trainSeconds: number;
}

/** The loss or its gradient is no longer a number: the run can't go on, but what was saved before stays good. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  readonly step: number;

  constructor(step: number, what: string) {
    super(
      `${what} at step ${step} is not finite; lower the learning rate, or clip gradients with training.maxGradNorm`,
    );
    this.step = step;
  }
}

function modelPlan({ checkpoint, method, task }: TrainingSetup): ModelPlan {
  return {
    encoder: checkpoint.config,
    hasPooler: checkpoint.hasPooler,
    method,
    objective:
      task.kind === 'classification' ? { kind: 'classification', labels: task.labels.length } : { kind: 'regression' },
  };
}

/** The model that evaluates: no dropout, no gradients. */
export async function compileForEvaluation(setup: TrainingSetup): Promise<Executable> {
  const model = buildModel(modelPlan(setup), { dropout: 'off' });
  const weights = frozenWeights(model, setup.checkpoint, setup.settings.seed);
  return setup.backend.compile(
    { logits: model.outputs['logits'] ?? model.losses, losses: model.losses },
    weights,
    setup.device,
  );
}

interface Compiled {
  readonly model: ModelGraph;
  readonly step: Executable;
  evaluation: Executable | undefined;
}

async function compileForTraining(setup: TrainingSetup): Promise<Compiled> {
  const model = buildModel(modelPlan(setup), { dropout: setup.settings.dropout ?? 'model' });
  const weights = frozenWeights(model, setup.checkpoint, setup.settings.seed);
  const outputs = { loss: model.loss, ...gradientsOf(model) };
  return { model, step: await setup.backend.compile(outputs, weights, setup.device), evaluation: undefined };
}

function restore(
  model: ModelGraph,
  values: Map<string, Float32Array>,
  weightDecay: number,
  from: TrainerState | undefined,
): {
  readonly trained: readonly Trained[];
  readonly optimiser: AdamWState;
} {
  const trained = model.trained.map(({ name, shape }): Trained => {
    const value = from?.values.get(name) ?? values.get(name);
    const size = shape.reduce((product, dim) => product * dim, 1);
    if (value?.length !== size) throw new Error(`${name} has no start value of ${size} numbers`);
    values.set(name, value);
    return { name, value, weightDecay: weightDecayOf(name, weightDecay) };
  });
  const optimiser =
    from === undefined ? createAdamW(trained) : restoreAdamW(trained, from.optimiserStep, from.optimiser);
  return { trained, optimiser };
}

/**
 * Trains from the start or from a saved state, to the end, an early stop, or the host's wish. Everything random is a function of the
 * seed and the position, so a continued training equals an unbroken one bit for bit on the CPU.
 * @throws DivergedError when loss or gradient stops being finite; UserError for what the user must mend
 */
export async function train(setup: TrainingSetup, host: TrainingHost, from?: TrainerState): Promise<TrainingResult> {
  const compiled = await compileForTraining(setup);
  try {
    return await run(setup, compiled, host, from);
  } finally {
    await compiled.step.dispose();
    await compiled.evaluation?.dispose();
  }
}

async function run(
  setup: TrainingSetup,
  compiled: Compiled,
  host: TrainingHost,
  from: TrainerState | undefined,
): Promise<TrainingResult> {
  const { settings, train: data, checkpoint, device } = setup;
  const { model } = compiled;
  const microBatches = batchCount(data.count, settings.batchSize);
  const stepsPerEpoch = Math.ceil(microBatches / settings.accumulation);
  const totalSteps =
    settings.length.kind === 'steps' ? settings.length.steps : Math.round(settings.length.epochs * stepsPerEpoch);
  const schedule: Schedule = {
    kind: settings.schedule,
    learningRate: settings.learningRate,
    warmupSteps: warmupSteps(settings.warmup, totalSteps),
    totalSteps,
  };
  const values = await startValues(model, checkpoint, settings.seed);
  const { trained, optimiser } = restore(model, values, settings.weightDecay, from);
  const fed: Record<string, TensorData> = {};
  const shaped = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  for (const { name, shape } of model.trained) {
    const value = values.get(name);
    if (value === undefined) throw new Error(`${name} has no value`);
    fed[name] = { dtype: 'float32', shape, data: value };
    shaped.set(name, { shape, data: value });
  }
  let progress: Progress = from?.progress ?? atStart;
  const frozen = model.frozen.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  host.emit({
    type: 'started',
    fromStep: progress.step + 1,
    totalSteps,
    stepsPerEpoch,
    trainExamples: data.count,
    parameters: { ...countParameters(model.trained), frozen },
    device,
  });
  const lengths = lengthsOf(data);
  let plan: { readonly epoch: number; readonly batches: BatchPlan } | undefined;
  const meter = createMeter();
  const state = (): TrainerState => ({
    progress,
    values,
    optimiserStep: optimiser.step,
    optimiser: adamWTensors(optimiser),
  });

  const save = async (kind: 'last' | 'best'): Promise<void> => {
    const path = await host.save(kind, state());
    host.emit({ type: 'checkpoint', step: progress.step, kind, path });
  };

  const evaluateNow = async (epoch: number): Promise<void> => {
    compiled.evaluation ??= await compileForEvaluation(setup);
    const executable = compiled.evaluation;
    const results: {
      split: string;
      loss: number;
      metrics: Readonly<Record<string, number>>;
      seconds: number;
      examples: number;
    }[] = [];
    for (const { split, dataset } of setup.evaluations) {
      const began = host.now();
      const { loss, metrics } = await evaluate(executable, setup.task, dataset, {
        batchSize: Math.max(settings.batchSize, 32),
        config: checkpoint.config,
        maskToken: setup.maskToken,
        values: shaped,
      });
      results.push({ split, loss, metrics, seconds: (host.now() - began) / 1000, examples: dataset.count });
    }
    const [first] = results;
    if (first === undefined) return;
    const metrics = combineSplits(Object.fromEntries(results.map((result) => [result.split, result.metrics])));
    const metric = settings.earlyStopping?.metric ?? 'score';
    const score = metrics[metric];
    if (score === undefined) throw new Error(`the task has no metric ${metric}`);
    const improved = progress.best === undefined || score > progress.best.score;
    progress = {
      ...progress,
      lastMetrics: metrics,
      ...(improved
        ? { best: { step: progress.step, score, metrics }, evaluationsWithoutGain: 0 }
        : { evaluationsWithoutGain: progress.evaluationsWithoutGain + 1 }),
    };
    for (const result of results) {
      host.emit({ type: 'evaluation', step: progress.step, epoch, ...result, best: improved && result === first });
    }
    if (improved) await save('best');
  };

  while (progress.step < totalSteps) {
    const wish = host.wish();
    if (wish === 'stop') {
      await save('last');
      return finish('stopped', progress);
    }
    if (wish === 'checkpoint') await save('last');
    const began = host.now();
    if (plan?.epoch !== progress.epoch) {
      plan = {
        epoch: progress.epoch,
        batches: planEpoch(lengths, { batchSize: settings.batchSize, seed: settings.seed, epoch: progress.epoch }),
      };
    }
    const step = progress.step + 1;
    const group = Array.from(
      { length: Math.min(settings.accumulation, microBatches - progress.batch) },
      (_, i) => progress.batch + i,
    );
    const { batches } = plan;
    const result = await computeStep(
      group.map((batch) => batchIndices(batches, batch)),
      step,
    );
    const learningRate = learningRateAt(schedule, progress.step);
    const scale = clipFactor(result.gradientNorm, settings.maxGradNorm);
    stepAdamW(optimiser, trained, result.gradients, learningRate, settings.adam, scale);
    const nextBatch = progress.batch + group.length;
    const epochEnds = nextBatch >= microBatches;
    progress = {
      ...progress,
      step,
      epoch: epochEnds ? progress.epoch + 1 : progress.epoch,
      batch: epochEnds ? 0 : nextBatch,
      trainSeconds: progress.trainSeconds + (host.now() - began) / 1000,
    };
    const epoch = progress.epoch + progress.batch / microBatches;
    const rates = meter.add(result.examples, result.tokens, host.now() - began);
    host.emit({
      type: 'step',
      step,
      epoch,
      loss: result.loss,
      learningRate,
      gradientNorm: result.gradientNorm,
      examplesPerSecond: rates.examplesPerSecond,
      tokensPerSecond: rates.tokensPerSecond,
      remainingMs: rates.millisecondsPerStep * (totalSteps - step),
    });
    const ends = step === totalSteps;
    const due = (every: 'epoch' | number): boolean => ends || (every === 'epoch' ? epochEnds : step % every === 0);
    if (due(settings.evaluateEvery)) await evaluateNow(epoch);
    const patience = settings.earlyStopping?.patience;
    const exhausted = patience !== undefined && progress.evaluationsWithoutGain >= patience;
    if (due(settings.checkpointEvery) || exhausted) {
      await save('last');
      const { rss } = process.memoryUsage();
      host.emit({
        type: 'resources',
        step,
        residentBytes: rss,
        peakResidentBytes: process.resourceUsage().maxRSS * 1024,
      });
    }
    if (exhausted && !ends) return finish('early-stopped', progress);
  }
  return finish('completed', progress);

  async function computeStep(
    groups: readonly Uint32Array[],
    step: number,
  ): Promise<{
    readonly loss: number;
    readonly gradients: ReadonlyMap<string, Float32Array>;
    readonly gradientNorm: number;
    readonly examples: number;
    readonly tokens: number;
  }> {
    const examples = groups.reduce((sum, indices) => sum + indices.length, 0);
    const gradients = new Map<string, Float32Array>();
    let loss = 0;
    let tokens = 0;
    for (const [microBatch, indices] of groups.entries()) {
      const batch = assembleBatch(data, indices, { integers: asInt32, padId: checkpoint.config.padTokenId });
      const feeds: NamedTensors = {
        ...fed,
        ...batchFeeds(batch, checkpoint.config, setup.maskToken),
        ...dropoutWords(
          model.dropoutSites,
          { batch: batch.shape[0], sequence: batch.shape[1] },
          { seed: settings.seed, step, microBatch },
        ),
        [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1 / examples) },
      };
      const results = await compiled.step.run(feeds);
      loss += numberOf(results['loss']);
      tokens += batch.tokens;
      for (const { name } of trained) {
        const gradient = results[name];
        if (gradient?.dtype !== 'float32') throw new Error(`${name} has no gradient`);
        const sum = gradients.get(name);
        if (sum === undefined) gradients.set(name, gradient.data);
        else for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (gradient.data[i] ?? 0);
      }
    }
    const gradientNorm = globalNorm(gradients.values());
    if (!Number.isFinite(loss)) throw new DivergedError(step, 'the loss');
    if (!Number.isFinite(gradientNorm)) throw new DivergedError(step, 'the gradient');
    return { loss, gradients, gradientNorm, examples, tokens };
  }
}

function finish(reason: TrainingResult['reason'], { step, lastMetrics, best, trainSeconds }: Progress): TrainingResult {
  return { reason, step, last: lastMetrics ?? {}, best, trainSeconds };
}

function numberOf(tensor: TensorData | undefined): number {
  if (tensor?.dtype !== 'float32' || tensor.data.length !== 1) throw new Error('the graph gives no loss');
  return tensor.data[0] ?? NaN;
}

interface Rates {
  readonly examplesPerSecond: number;
  readonly tokensPerSecond: number;
  readonly millisecondsPerStep: number;
}

/** Throughput over the last steps, so that it follows the machine. */
function createMeter(): { add(examples: number, tokens: number, milliseconds: number): Rates } {
  const window = 20;
  const recent: { readonly examples: number; readonly tokens: number; readonly milliseconds: number }[] = [];
  return {
    add(examples, tokens, milliseconds) {
      recent.push({ examples, tokens, milliseconds });
      if (recent.length > window) recent.shift();
      const sum = (pick: (entry: (typeof recent)[number]) => number): number =>
        recent.reduce((total, entry) => total + pick(entry), 0);
      const spent = Math.max(
        sum((entry) => entry.milliseconds),
        1e-3,
      );
      return {
        examplesPerSecond: (1000 * sum((entry) => entry.examples)) / spent,
        tokensPerSecond: (1000 * sum((entry) => entry.tokens)) / spent,
        millisecondsPerStep: spent / recent.length,
      };
    },
  };
}

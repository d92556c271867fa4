import { messageOf, UserError } from '../base/errors.ts';
import { counted } from '../base/format.ts';
import { suggestion } from '../base/suggest.ts';
import { combineSplits, metricNames } from '../tasks/metrics.ts';
import type { Executable } from './backends/backend.ts';
import { unlimitedRoom, type Room } from './batch-parts.ts';
import { compileOptions } from './compile-options.ts';
import { batchCount, trainingOrder } from './data/batches.ts';
import { lengthsOf } from './data/dataset.ts';
import { isOfDevice } from './device-failure.ts';
import { frozenWeights, startValues } from './encoder-checkpoint.ts';
import { evaluate } from './evaluate.ts';
import type { NamedTensors } from './feeds.ts';
import { buildModel, countParameters, gradientsOf, type ModelGraph } from './model-graph.ts';
import {
  adamWNames,
  adamWTensors,
  createAdamW,
  restoreAdamW,
  stepAdamW,
  type AdamWState,
  type Trained,
} from './optimisers/adamw.ts';
import { clipFactor, globalNorm } from './optimisers/clip.ts';
import { learningRateAt, warmupSteps, type Schedule } from './optimisers/schedule.ts';
import { weightDecayOf } from './optimisers/weight-decay.ts';
import { comfortableTokens } from './pass-size.ts';
import {
  computePrivateGradient,
  privateOutputs,
  type PrivateMechanism,
  type PrivateStepRecord,
} from './private-step.ts';
import { scheduledSteps } from '../privacy/schedule.ts';
import { createThroughputMeter } from './throughput.ts';
import { atStart, misfit, sizesOf, type Best, type Progress, type TrainerState } from './trainer-state.ts';
import type { TrainingEvent } from './training-events.ts';
import { halfPrecisionWarning, modelPlanOf, type TrainingSettings, type TrainingSetup } from './training-setup.ts';
import { computeGradient, DivergedError, trainedFeeds, type StepGradient } from './training-step.ts';

/** What a training asks of whoever runs it. */
export interface TrainingHost {
  readonly emit: (event: TrainingEvent) => void;
  /** The wish at this moment, asked before each step: go on, save and go on, or save and stop. */
  readonly wish: () => 'continue' | 'checkpoint' | 'stop';
  /** Saves a state durably; resolves to where, relative to the run. */
  readonly save: (kind: 'last' | 'best', state: TrainerState) => Promise<string>;
  /** Keeps what a private step knows without noise, where only the user can read it. */
  readonly recordPrivate?: (record: PrivateStepRecord) => void;
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

/** Steps, counted out. */
export interface Lengths {
  /** Passes through the graph in an epoch. */
  readonly batchesPerEpoch: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/**
 * How long a training over that many examples is.
 * @param samplingRate of a private training, whose steps draw their examples
 */
export function lengthsOfTraining(
  { batchSize, accumulation, length }: Pick<TrainingSettings, 'batchSize' | 'accumulation' | 'length'>,
  examples: number,
  samplingRate?: number,
): Lengths {
  // In a private training an epoch is as many steps as draw each example once on average, and each step is one batch of the order.
  if (samplingRate !== undefined) {
    const steps = scheduledSteps(samplingRate, length);
    return { batchesPerEpoch: steps.stepsPerEpoch, ...steps };
  }
  const batchesPerEpoch = batchCount(examples, batchSize);
  const stepsPerEpoch = Math.ceil(batchesPerEpoch / accumulation);
  const totalSteps = length.kind === 'steps' ? length.steps : Math.max(1, Math.round(length.epochs * stepsPerEpoch));
  return { batchesPerEpoch, stepsPerEpoch, totalSteps };
}

/** A training under way: what changes from step to step. */
interface Session {
  readonly setup: TrainingSetup;
  readonly host: TrainingHost;
  readonly model: ModelGraph;
  readonly lengths: Lengths;
  readonly schedule: Schedule;
  /** The live values of the trained tensors. */
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly feeds: NamedTensors;
  readonly trained: readonly Trained[];
  readonly optimiser: AdamWState;
  /** What is known of the device's memory: a step keeps for its backward half what an evaluation gives free. */
  readonly room: Room;
  readonly evaluationRoom: Room;
  progress: Progress;
  /** Compiled at the first evaluation. */
  evaluation: Executable | undefined;
}

/**
 * Trains from the start or from a saved state, to the end, an early stop, or the host's wish. Everything random is a function of the
 * seed and the position, so a continued training equals an unbroken one bit for bit on the CPU. Where the device was chosen automatically
 * and fails before its first step, the setup's fallback trains, and says so.
 * @throws DivergedError when loss or gradient stops being finite; UserError for what the user must mend
 */
export async function train(setup: TrainingSetup, host: TrainingHost, from?: TrainerState): Promise<TrainingResult> {
  if (setup.privacy !== undefined && setup.settings.precision === 'float16')
    throw new UserError(
      'a private training computes in float32: numbers of 16 bits would leave an example more weight than its clipping allows',
      'Set training.precision to "float32".',
    );
  requireMetric(setup);
  const { fallback, ...rest } = setup;
  if (fallback === undefined) return trainOn(setup, host, from);
  const seen = { start: false, step: false };
  const emit = (event: TrainingEvent): void => {
    if (event.type === 'started') seen.start = true;
    if (event.type === 'step') seen.step = true;
    host.emit(event);
  };
  try {
    return await trainOn(setup, { ...host, emit }, from);
  } catch (error) {
    // After a step something came of it, and what then goes wrong is for the user to know.
    if (seen.step || !isOfDevice(error)) throw error;
    // What a runtime says of a step may hold sizes of the batch, and that which a private training drew may not be told.
    const isTellable = setup.privacy === undefined || !seen.start;
    const why = isTellable ? `: ${messageOf(error)}` : ' in its first step';
    const reason = `${setup.device.provider} does not take this model${why}`;
    const { provider } = fallback.device;
    host.emit({ type: 'log', level: 'warning', message: `${reason}; ${provider} trains` });
    const disappointment = halfPrecisionWarning(setup.settings, provider);
    if (disappointment !== undefined) host.emit({ type: 'log', level: 'warning', message: disappointment });
    const device = { ...fallback.device, reason: `automatic; ${reason}` };
    return await trainOn({ ...rest, backend: fallback.backend, device }, host, from);
  }
}

async function trainOn(
  setup: TrainingSetup,
  host: TrainingHost,
  from: TrainerState | undefined,
): Promise<TrainingResult> {
  const session = await openSession(setup, host, from);
  const { model, lengths, schedule } = session;
  const { recompute = false } = setup.settings;
  const outputs =
    setup.privacy === undefined
      ? { loss: model.loss, ...gradientsOf(model, { recompute }) }
      : privateOutputs(model, setup.privacy.clipping, { recompute });
  const weights = frozenWeights(model, setup.checkpoint, setup.settings.seed);
  const executable = await setup.backend.compile(outputs, weights, await compileOptions(setup, model, outputs));
  const frozen = model.frozen.reduce((sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1), 0);
  host.emit({
    type: 'started',
    fromStep: session.progress.step + 1,
    totalSteps: lengths.totalSteps,
    stepsPerEpoch: lengths.stepsPerEpoch,
    trainExamples: setup.train.count,
    parameters: { ...countParameters(model.trained), frozen },
    device: setup.device,
  });
  if (schedule.warmupSteps >= lengths.totalSteps && from === undefined)
    host.emit({
      type: 'log',
      level: 'warning',
      message: `training.warmup makes a warm-up of ${counted(schedule.warmupSteps, 'step')}, and the run has ${lengths.totalSteps}: the learning rate never reaches training.learningRate`,
    });
  try {
    return await trainSteps(session, executable);
  } finally {
    await executable.dispose();
    await session.evaluation?.dispose();
  }
}

/** @throws UserError where training is to stop by a metric that no evaluation gives */
function requireMetric({ task, evaluations, settings: { earlyStopping } }: TrainingSetup): void {
  const known = metricNames(
    task,
    evaluations.map(({ split }) => split),
  );
  if (earlyStopping === undefined || known.includes(earlyStopping.metric)) return;
  throw new UserError(
    `training.earlyStopping.metric is "${earlyStopping.metric}", which evaluations of ${task.title} do not give`,
    suggestion(earlyStopping.metric, known),
  );
}

/** @throws UserError where a saved state is not one of this training: of another model, method or length */
function requireFitting(
  { progress, values, optimiser, optimiserStep, file = 'the saved state' }: TrainerState,
  { trained }: ModelGraph,
  { batchesPerEpoch, totalSteps }: Lengths,
): void {
  const refuse = (problem: string): never => {
    throw new UserError(`${file} does not belong to this run: ${problem}`, 'Put back the file that this run wrote.');
  };
  const { step, batch } = progress;
  if (step > totalSteps || optimiserStep !== step)
    refuse(`it is of step ${step} (${optimiserStep} of the optimiser), and the run has ${totalSteps}`);
  if (batch >= batchesPerEpoch) refuse(`its next batch is ${batch + 1} of an epoch of ${batchesPerEpoch}`);
  const sizes = sizesOf(trained);
  const moments = new Map([...sizes].flatMap(([name, size]) => adamWNames(name).map((moment) => [moment, size])));
  for (const [expected, held] of [
    [sizes, values],
    [moments, optimiser],
  ] as const) {
    const problem = misfit(expected, held);
    if (problem !== undefined) refuse(problem);
  }
}

async function openSession(setup: TrainingSetup, host: TrainingHost, from: TrainerState | undefined): Promise<Session> {
  const { settings, checkpoint, train: data } = setup;
  const model = buildModel(modelPlanOf(setup), { dropout: settings.dropout ?? 'model' });
  const comfortable = comfortableTokens(model, checkpoint.config, setup.device);
  const onChange = (message: string): void => {
    setup.privacy?.onUnrepeatable?.();
    host.emit({ type: 'log', level: 'warning', message });
  };
  const lengths = lengthsOfTraining(settings, data.count, setup.privacy?.samplingRate);
  if (from !== undefined) requireFitting(from, model, lengths);
  const values = from?.values ?? (await startValues(model, checkpoint, settings.seed, setup.maskToken));
  const trained = model.trained.map(({ name, shape }): Trained => {
    const value = values.get(name);
    const size = shape.reduce((product, dim) => product * dim, 1);
    if (value?.length !== size) throw new Error(`${name} has no value of ${size} numbers`);
    return { name, value, weightDecay: weightDecayOf(name, settings.weightDecay) };
  });
  return {
    setup,
    host,
    model,
    lengths,
    schedule: {
      kind: settings.schedule,
      learningRate: settings.learningRate,
      warmupSteps: warmupSteps(settings.warmup, lengths.totalSteps),
      totalSteps: lengths.totalSteps,
    },
    values,
    feeds: trainedFeeds(model, values),
    trained,
    optimiser: from === undefined ? createAdamW(trained) : restoreAdamW(trained, from.optimiserStep, from.optimiser),
    room: unlimitedRoom({
      comfortable,
      onChange,
      tellsSizes: setup.privacy === undefined,
      ...(settings.recompute === true
        ? {}
        : { advice: 'With training.recompute a step needs less memory, and takes longer.' }),
    }),
    evaluationRoom: unlimitedRoom({ comfortable, onChange }),
    progress: from?.progress ?? atStart,
    evaluation: undefined,
  };
}

async function trainSteps(session: Session, executable: Executable): Promise<TrainingResult> {
  const { setup, host, lengths } = session;
  const { settings } = setup;
  const compute =
    setup.privacy === undefined ? orderedSteps(session, executable) : privateSteps(session, executable, setup.privacy);
  const measure = createThroughputMeter();
  const patience = settings.earlyStopping?.patience ?? Infinity;
  const isExhausted = (): boolean => session.progress.evaluationsWithoutGain >= patience;
  while (session.progress.step < lengths.totalSteps) {
    // Also where a training is continued that had come to this and was killed before it could say so.
    if (isExhausted()) return resultOf(session, 'early-stopped');
    const wish = host.wish();
    if (wish !== 'continue') await save(session, 'last');
    if (wish === 'stop') return resultOf(session, 'stopped');

    const began = host.now();
    const step = session.progress.step + 1;
    const { gradient, scale, batches, kept, told } = await compute(step);
    const learningRate = learningRateAt(session.schedule, session.progress.step);
    stepAdamW(session.optimiser, session.trained, gradient.gradients, learningRate, settings.adam, scale);
    const milliseconds = host.now() - began;
    session.progress = { ...advance(session.progress, batches, lengths, milliseconds), ...kept };

    const rates = measure({ examples: gradient.examples, tokens: gradient.tokens, milliseconds });
    host.emit({
      type: 'step',
      step,
      epoch: epochsDone(session),
      loss: gradient.loss,
      learningRate,
      gradientNorm: gradient.norm,
      examplesPerSecond: rates.examplesPerSecond,
      tokensPerSecond: rates.tokensPerSecond,
      remainingMs: rates.millisecondsPerStep * (lengths.totalSteps - step),
      ...told?.(isDue(session, 'epoch')),
    });
    if (isDue(session, settings.evaluateEvery)) await evaluateAll(session);
    if (isExhausted() || isDue(session, settings.checkpointEvery)) {
      await save(session, 'last');
      reportMemory(session);
    }
  }
  return resultOf(session, 'completed');
}

/** Computes the gradient of a step: in the order of the epoch, or of a private draw. */
type ComputeStep = (step: number) => Promise<{
  readonly gradient: StepGradient;
  /** What the gradient is multiplied by for the optimiser. */
  readonly scale: number;
  /** How far the step went in the order of the epoch. */
  readonly batches: number;
  /** What the next step needs to know. */
  readonly kept?: Pick<Progress, 'clippingNorm'>;
  /** What else is told of the step, when it has been taken. */
  readonly told?: (endsEpoch: boolean) => Pick<StepEvent, 'epsilon' | 'clippingNorm'>;
}>;

type StepEvent = Extract<TrainingEvent, { type: 'step' }>;

function orderedSteps(session: Session, executable: Executable): ComputeStep {
  const { setup, host, model, lengths, feeds, room } = session;
  const { epoch, batch } = session.progress;
  let told = false;
  const order = trainingOrder(lengthsOf(setup.train), setup.settings, { epoch, batch });
  return async (step) => {
    const batches = Math.min(setup.settings.accumulation, lengths.batchesPerEpoch - session.progress.batch);
    const group = Array.from({ length: batches }, () => order.next().value.indices);
    const gradient = await computeGradient({ setup, model, executable, feeds, room }, group, step);
    if (gradient.repeated === true && !told) {
      told = true;
      host.emit({
        type: 'log',
        level: 'warning',
        message: `a gradient left the range of 16 bits at step ${step}; such steps are computed once more with a smaller loss, and take twice as long`,
      });
    }
    return { gradient, scale: clipFactor(gradient.norm, setup.settings.maxGradNorm), batches };
  };
}

function privateSteps(session: Session, executable: Executable, mechanism: PrivateMechanism): ComputeStep {
  const { setup, host, model, feeds, room } = session;
  const computation = { setup, mechanism, model, executable, feeds, room };
  const adapts = mechanism.adapt !== undefined;
  return async (step) => {
    const used = session.progress.clippingNorm ?? mechanism.maxGradNorm;
    const gradient = await computePrivateGradient(computation, step, used);
    host.recordPrivate?.(gradient.record);
    // How many examples and tokens were drawn is not covered by epsilon; rates speak of the expected number.
    return {
      gradient: { ...gradient, examples: mechanism.expectedBatchSize, tokens: 0 },
      // Every example was clipped by itself.
      scale: 1,
      batches: 1,
      ...(adapts ? { kept: { clippingNorm: gradient.nextNorm } } : {}),
      told: (endsEpoch) => ({
        ...(endsEpoch ? { epsilon: mechanism.spent(step).epsilon } : {}),
        ...(adapts ? { clippingNorm: used } : {}),
      }),
    };
  };
}

function advance(progress: Progress, batches: number, { batchesPerEpoch }: Lengths, milliseconds: number): Progress {
  const batch = progress.batch + batches;
  const epochEnds = batch >= batchesPerEpoch;
  return {
    ...progress,
    step: progress.step + 1,
    epoch: epochEnds ? progress.epoch + 1 : progress.epoch,
    batch: epochEnds ? 0 : batch,
    trainSeconds: progress.trainSeconds + milliseconds / 1000,
  };
}

function epochsDone({ progress, lengths }: Session): number {
  return progress.epoch + progress.batch / lengths.batchesPerEpoch;
}

/** Whether something that happens every epoch or every so many steps is due now; at the end everything is. */
function isDue({ progress, lengths }: Session, every: 'epoch' | number): boolean {
  if (progress.step === lengths.totalSteps) return true;
  return every === 'epoch' ? progress.batch === 0 : progress.step % every === 0;
}

/** @throws DivergedError instead of putting what is no number in the place of the last good state */
async function save(session: Session, kind: 'last' | 'best'): Promise<void> {
  const { setup, host, progress, values, trained, optimiser } = session;
  // One infinite or missing number makes the norm so, and no sum of squared float32 is too great for it.
  for (const { name, value } of trained)
    if (!Number.isFinite(globalNorm([value]))) throw new DivergedError(progress.step, name, setup.settings.precision);
  const path = await host.save(kind, {
    progress,
    values,
    optimiserStep: optimiser.step,
    optimiser: adamWTensors(optimiser),
  });
  host.emit({ type: 'checkpoint', step: progress.step, kind, path });
}

function reportMemory({ host, progress }: Session): void {
  const { rss } = process.memoryUsage();
  const peakResidentBytes = process.resourceUsage().maxRSS * 1024;
  host.emit({ type: 'resources', step: progress.step, residentBytes: rss, peakResidentBytes });
}

/** The model that evaluates: no dropout, no gradients. */
async function compileForEvaluation(setup: TrainingSetup): Promise<Executable> {
  const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
  const { losses } = model;
  const { logits, right } = model.outputs;
  if (logits === undefined) throw new Error('the model gives no logits');
  const weights = frozenWeights(model, setup.checkpoint, setup.settings.seed);
  // Scores of a whole vocabulary are many; that the right word has the greatest one is all that is asked.
  const outputs = right === undefined ? { logits, losses } : { right, losses };
  return setup.backend.compile(outputs, weights, await compileOptions(setup, model, outputs));
}

/**
 * Evaluates every split, and saves the model when its score is the best so far.
 * @throws DivergedError when a loss is not finite
 */
async function evaluateAll(session: Session): Promise<void> {
  const { setup, host, feeds, progress } = session;
  const { settings, task, checkpoint, maskToken } = setup;
  session.evaluation ??= await compileForEvaluation(setup);
  const results: Omit<Extract<TrainingEvent, { type: 'evaluation' }>, 'type' | 'step' | 'epoch' | 'best'>[] = [];
  for (const { split, dataset } of setup.evaluations) {
    const began = host.now();
    const { loss, metrics } = await evaluate(session.evaluation, task, dataset, feeds, {
      batchSize: Math.max(settings.batchSize, 32),
      config: checkpoint.config,
      maskToken,
      specialTokens: session.model.specialTokens,
      masking: setup.masking,
      room: session.evaluationRoom,
    });
    // A step may leave numbers from which no loss can be computed; what is scored then is nobody's prediction.
    if (!Number.isFinite(loss)) throw new DivergedError(progress.step, `the loss on ${split}`, settings.precision);
    results.push({ split, examples: dataset.count, loss, metrics, seconds: (host.now() - began) / 1000 });
  }
  const metrics = combineSplits(Object.fromEntries(results.map((result) => [result.split, result.metrics])));
  const metric = settings.earlyStopping?.metric ?? 'score';
  const score = metrics[metric];
  if (score === undefined) throw new Error(`the task has no metric ${metric}`);
  // To choose a checkpoint by private data's own evaluation would release more than epsilon says: the last one counts.
  const mayChoose = setup.privacy?.publicEvaluation ?? true;
  const improved = mayChoose && (progress.best === undefined || score > progress.best.score);
  session.progress = {
    ...progress,
    lastMetrics: metrics,
    best: improved ? { step: progress.step, score, metrics } : progress.best,
    evaluationsWithoutGain: improved ? 0 : progress.evaluationsWithoutGain + 1,
  };
  for (const [index, result] of results.entries()) {
    const best = improved && index === 0;
    host.emit({ type: 'evaluation', step: progress.step, epoch: epochsDone(session), ...result, best });
  }
  if (improved) await save(session, 'best');
}

function resultOf({ progress }: Session, reason: TrainingResult['reason']): TrainingResult {
  const { step, lastMetrics, best, trainSeconds } = progress;
  return { reason, step, last: lastMetrics ?? {}, best, trainSeconds };
}

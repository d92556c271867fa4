import { z } from 'zod';

/**
 * What a trainer writes into `journal.jsonl`, one JSON object a line. `segment` counts the starts of the run (0, then one more
 * with each resume), `seq` the events of a segment from 0 without gaps. A later segment replaces the steps that it repeats.
 */

const stamp = {
  segment: z.int().nonnegative(),
  seq: z.int().nonnegative(),
  /** Milliseconds since 1970, by the trainer's clock. */
  time: z.number(),
};

/** A JSON number, or null where the value was NaN or infinite (JSON has neither). */
const value = z.number().nullable();

export const startedEvent = z.object({
  ...stamp,
  type: z.literal('started'),
  processId: z.int(),
  /** The first step that this segment computes, from 1; steps of earlier segments from here on are replaced. */
  fromStep: z.int().positive(),
  totalSteps: z.int().nonnegative(),
  stepsPerEpoch: z.int().nonnegative(),
  trainExamples: z.int().nonnegative(),
  /** Trained numbers, counted from the graph. `frozen` counts the encoder's other weights. */
  parameters: z.object({ method: z.int(), head: z.int(), total: z.int(), frozen: z.int() }),
  /** The provider that computes, with the reason it was chosen. */
  device: z.object({ provider: z.string(), threads: z.int().optional(), reason: z.string() }),
});

export const stepEvent = z.object({
  ...stamp,
  type: z.literal('step'),
  step: z.int().positive(),
  /** Epochs done after this step, as a fraction. */
  epoch: z.number(),
  /** null also in a private training: what it knows of the loss is not covered by epsilon. */
  loss: value,
  learningRate: z.number(),
  /** Norm of the gradient over all trained tensors before clipping; in a private training, of the noisy gradient. */
  gradientNorm: value,
  examplesPerSecond: z.number(),
  tokensPerSecond: z.number(),
  /** Milliseconds until the end at the present rate; absent until it can be told. */
  remainingMs: z.number().optional(),
  /** The privacy loss of all steps so far, at the end of each epoch of a private training; null when it is infinite. */
  epsilon: value.optional(),
  /** The norm to which each example was clipped, in a private training that adapts it; it follows from what was released before. */
  clippingNorm: z.number().optional(),
});

export const evaluationEvent = z.object({
  ...stamp,
  type: z.literal('evaluation'),
  step: z.int().nonnegative(),
  epoch: z.number(),
  /** `dev`, `dev-mismatched`, `test`. */
  split: z.string(),
  examples: z.int(),
  loss: value,
  /** Every metric of the task by name, between -1 and 1; `score` is the task's single number. */
  metrics: z.record(z.string(), value),
  seconds: z.number(),
  /** Whether this is the best score on the selecting split so far. */
  best: z.boolean(),
});

/**
 * What an auditor needs to compute the privacy loss again, once for each start of a private run. Nothing in it depends on the data but
 * their number, which is taken to be public.
 */
export const privacyEvent = z.object({
  ...stamp,
  type: z.literal('privacy'),
  /** Neighbouring data sets differ by one record, there or not. */
  relation: z.literal('add-or-remove-one'),
  /** One record is one training example. */
  unit: z.literal('example'),
  sampling: z.literal('poisson'),
  /** The number of training examples. */
  examples: z.int().positive(),
  /**
   * For each file of training data a keyed hash of its content: equal ones hold the same data, and without the project's key nobody can
   * tell which (see data-id.ts). Absent in records of earlier versions.
   */
  trainingData: z.array(z.string()).optional(),
  samplingRate: z.number(),
  /** What the noisy sum is divided by. */
  expectedBatchSize: z.number(),
  /** Examples computed at once; the draw is not cut to it. */
  chunkSize: z.int().positive(),
  /** The noise multiplier of all that a step releases: without adaptive clipping, the deviation of the noise on the sum in units of `maxGradNorm`. */
  noiseMultiplier: z.number(),
  /** The norm at the first step, where it adapts. */
  maxGradNorm: z.number(),
  /** Over all trained tensors of an example together: cut to the norm, divided by the example's own, or cut to a norm that adapts. */
  clipping: z.enum(['flat', 'automatic', 'adaptive']),
  /** How the norm adapts, and what of the noise its count leaves to the gradients. */
  adaptive: z
    .object({
      quantile: z.number(),
      rate: z.number(),
      /** Deviation of the noise on the count of examples that are not clipped, each of which moves it by ½. */
      countDeviation: z.number(),
      /** Deviation of the noise on the sum of gradients in units of the step's norm. */
      gradientNoiseMultiplier: z.number(),
    })
    .optional(),
  /** Whether the user declared the evaluation data public, so that training may be stopped and a checkpoint chosen by it. */
  publicEvaluation: z.boolean().optional(),
  delta: z.number(),
  accountant: z.enum(['tightest', 'rdp', 'prv']),
  plannedSteps: z.int().positive(),
  /** Steps of earlier segments that were released and are computed anew with other draws and noise, because their key was gone. */
  repeatedSteps: z.int().nonnegative(),
  /** The epsilon that the noise was calibrated to, if it was. */
  targetEpsilon: z.number().optional(),
  /** What draws and noise come from. */
  generator: z.string(),
  /** The version of this program that drew and accounted. Absent in runs of earlier versions. */
  version: z.string().optional(),
  /** Tells keys apart without telling them: the beginning of the key's SHA-256. */
  keyId: z.string(),
  /**
   * What decides the last digits of the sums that noise is added to: processor, threads and versions. Absent where they differ from one
   * time to the next, as on a GPU, and in runs of earlier versions.
   */
  arithmetic: z.string().optional(),
  /**
   * What besides the data these sums follow from: a hash of the configuration and of the model's files. Absent in runs of earlier versions.
   */
  computation: z.string().optional(),
  /** Draws and noise come from a seed that is known: no privacy. */
  insecure: z.boolean(),
});

export const checkpointEvent = z.object({
  ...stamp,
  type: z.literal('checkpoint'),
  step: z.int().nonnegative(),
  /** `last` or `best`. */
  kind: z.enum(['last', 'best']),
  /** Relative to the run's folder. */
  path: z.string(),
});

export const resourcesEvent = z.object({
  ...stamp,
  type: z.literal('resources'),
  step: z.int().nonnegative(),
  residentBytes: z.number(),
  peakResidentBytes: z.number(),
});

export const logEvent = z.object({
  ...stamp,
  type: z.literal('log'),
  level: z.enum(['info', 'warning', 'error']),
  message: z.string(),
});

export const finishedEvent = z.object({
  ...stamp,
  type: z.literal('finished'),
  step: z.int().nonnegative(),
  reason: z.enum(['completed', 'early-stopped']),
  /** The last evaluation's metrics and the best one's, on the selecting split. */
  last: z.record(z.string(), value),
  best: z.object({ step: z.int(), metrics: z.record(z.string(), value) }).optional(),
  trainSeconds: z.number(),
  peakResidentBytes: z.number(),
});

export const stoppedEvent = z.object({
  ...stamp,
  type: z.literal('stopped'),
  step: z.int().nonnegative(),
});

export const failedEvent = z.object({
  ...stamp,
  type: z.literal('failed'),
  step: z.int().nonnegative(),
  message: z.string(),
  /** `user` when the message tells the user what to mend (exit code 2), `diverged` for a NaN or infinite loss, `defect` otherwise. */
  kind: z.enum(['user', 'diverged', 'defect']),
});

export const journalEvent = z.discriminatedUnion('type', [
  startedEvent,
  stepEvent,
  evaluationEvent,
  privacyEvent,
  checkpointEvent,
  resourcesEvent,
  logEvent,
  finishedEvent,
  stoppedEvent,
  failedEvent,
]);

export type JournalEvent = z.infer<typeof journalEvent>;

/** An event before the journal stamps it. */
export type Unstamped<E extends JournalEvent = JournalEvent> = E extends JournalEvent
  ? Omit<E, 'segment' | 'seq' | 'time'>
  : never;

/** The states of a run: queued → starting → running → finished | failed | stopped | interrupted. */
export type RunState = 'queued' | 'starting' | 'running' | 'finished' | 'failed' | 'stopped' | 'interrupted';

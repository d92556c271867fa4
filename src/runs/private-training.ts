import { createHash, randomBytes } from 'node:crypto';
import { closeSync, constants, fsyncSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileError, UserError } from '../base/errors.ts';
import type { PrivateMechanism, PrivateStepRecord } from '../engine/private-step.ts';
import type { TrainingSettings } from '../engine/training-setup.ts';
import { privacySpent } from '../privacy/accountant.ts';
import {
  gradientNoiseMultiplier,
  nextClippingNorm,
  usualAdaptation,
  usualCountDeviation,
} from '../privacy/adaptive-clipping.ts';
import { calibrateNoise } from '../privacy/calibrate.ts';
import { deltaIsWeak } from '../privacy/delta.ts';
import { privateSchedule, type PrivateSchedule } from '../privacy/schedule.ts';
import { generatorName, type PrivateStreams } from '../privacy/streams.ts';
import { privateStreams } from '../privacy/streams.ts';
import type { Configuration } from './configuration-schema.ts';
import type { JournalEvent, Unstamped } from './events.ts';
import { areOtherData } from './data-id.ts';
import { appendLines, errorCode, removeFile, writeFully } from './files.ts';
import { programVersion } from './program.ts';
import { releaseKey, releasesOf, repeatedSteps } from './released-steps.ts';

/**
 * A run's differential privacy on disk: the secret key of its draws and noise, the public ledger in its journal, and the record of what
 * is not covered by epsilon. The last two never meet.
 */

export type PrivacyLedger = Unstamped<Extract<JournalEvent, { type: 'privacy' }>>;

type PrivacySettings = NonNullable<Configuration['privacy']>;

type PrivateLengths = Pick<TrainingSettings, 'batchSize' | 'accumulation' | 'length'>;

const FOLDER = 'private';
const KEY_BYTES = 32;

/** Where a run's secret key lies until the run has finished. */
export function privateKeyFile(folder: string): string {
  return join(folder, FOLDER, 'key');
}

/** Where a run keeps what it knows of its examples without noise: losses, norms, how many were drawn and clipped. */
export function privateRecordFile(folder: string): string {
  return join(folder, FOLDER, 'private.jsonl');
}

function createKey(folder: string): Uint8Array {
  const key = randomBytes(KEY_BYTES);
  mkdirSync(join(folder, FOLDER), { recursive: true, mode: 0o700 });
  const descriptor = openSync(privateKeyFile(folder), constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  try {
    writeFully(descriptor, key);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return key;
}

/** @throws FileError when the file is there but holds no key */
function readKey(folder: string): Uint8Array | undefined {
  const file = privateKeyFile(folder);
  let key: Uint8Array;
  try {
    key = readFileSync(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (key.length === KEY_BYTES) return key;
  throw new FileError(
    file,
    undefined,
    `holds ${key.length} bytes in place of a key of ${KEY_BYTES}; remove it to go on with a new one, and the steps since the last checkpoint count twice`,
  );
}

export interface PrivateTraining {
  readonly mechanism: PrivateMechanism;
  readonly ledger: PrivacyLedger;
  readonly warnings: readonly string[];
  /** Keeps what epsilon does not cover in the run's own file. */
  readonly record: (record: PrivateStepRecord) => void;
  /** Removes the key: the run has finished, and nobody shall repeat its noise. */
  readonly finish: () => void;
}

/** The noise of a private training, chosen. */
export interface PrivatePlan extends PrivateSchedule {
  readonly noiseMultiplier: number;
  /** What the noise was calibrated to, if it was. */
  readonly targetEpsilon?: number;
}

/**
 * What a configuration comes to on so many training examples: rate, steps, delta, and the noise, calibrated where a target epsilon is given.
 * The trainer trains by it; whoever plans or budgets a run beforehand gets the very same.
 * @throws UserError when the batch is larger than the data, or no noise reaches the target
 */
export function planPrivateTraining(
  settings: PrivacySettings,
  { batchSize, accumulation, length }: PrivateLengths,
  examples: number,
): PrivatePlan {
  const expectedBatchSize = batchSize * accumulation;
  if (expectedBatchSize > examples) {
    throw new UserError(
      `training.batchSize times accumulation is ${expectedBatchSize}, more than the ${examples} training examples`,
      'A private run draws that many examples in a step on average; make the batch smaller.',
    );
  }
  const schedule = privateSchedule({ examples, expectedBatchSize, length, delta: settings.delta });
  const { epsilon, noiseMultiplier, accountant } = settings;
  if (noiseMultiplier !== undefined) return { ...schedule, noiseMultiplier };
  if (epsilon === undefined) throw new Error('the schema asks for epsilon or noiseMultiplier');
  const { samplingRate, totalSteps: steps, delta } = schedule;
  const asked = accountant === 'tightest' ? undefined : accountant;
  const calibrated = calibrateNoise({ epsilon, samplingRate, steps, delta, accountant: asked });
  return { ...schedule, noiseMultiplier: calibrated.noiseMultiplier, targetEpsilon: epsilon };
}

/** A private training's data and where it stands. */
export interface PrivateStart {
  /** The number of training examples, taken to be public. */
  readonly examples: number;
  /** Tells the training data from others within the project; see data-id.ts. */
  readonly trainingData: readonly string[];
  /** The run's journal up to now. */
  readonly before: readonly JournalEvent[];
  /** The first step that is computed now, from 1. */
  readonly fromStep: number;
  /** What the last digits of sums depend on; undefined where they are not the same every time. */
  readonly arithmetic: string | undefined;
  /** What sums follow from besides the data, see {@link computationOf}; undefined where that is not known. */
  readonly computation?: string | undefined;
}

/** Raised when this program computes other sums from the same: the same noise must not come to them again. 2: masks follow from tokens. */
const COMPUTATION = 2;

/**
 * Tells apart what private sums are computed from besides the data: the configuration, without where things lie and what is only said of
 * them, and the model's weights.
 * @param model a hash of the model's files
 */
export function computationOf(configuration: Configuration, model: string): string {
  const { task, method, training, privacy } = configuration;
  const { data: _, ...settings } = task;
  const text = JSON.stringify([COMPUTATION, model, settings, method, training, privacy]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** The plan of an earlier segment, which the noise of a later one must not leave. */
function plannedBefore(
  earlier: PrivacyLedger,
  settings: PrivacySettings,
  training: PrivateLengths,
  examples: number,
): PrivatePlan {
  const { noiseMultiplier, targetEpsilon } = earlier;
  const { epsilon: _, ...others } = settings;
  const plan = planPrivateTraining({ ...others, noiseMultiplier }, training, examples);
  return targetEpsilon === undefined ? plan : { ...plan, targetEpsilon };
}

/** How the clipping norm adapts. @throws UserError where its count alone costs more than the noise allows */
function adaptiveOf(
  { clipping, adaptive }: PrivacySettings,
  noiseMultiplier: number,
  expectedBatchSize: number,
): PrivacyLedger['adaptive'] {
  if (clipping !== 'adaptive') return undefined;
  const { quantile, rate, countNoise } = { ...usualAdaptation, ...adaptive };
  const countDeviation = countNoise ?? usualCountDeviation(expectedBatchSize, noiseMultiplier);
  if (2 * countDeviation <= noiseMultiplier) {
    throw new UserError(
      `privacy.adaptive.countNoise is ${countDeviation}, which alone costs more than the noise multiplier ${noiseMultiplier} allows`,
      `It has to be above ${noiseMultiplier / 2}; four times that leaves the gradients nearly all of the budget.`,
    );
  }
  return {
    quantile,
    rate,
    countDeviation,
    gradientNoiseMultiplier: gradientNoiseMultiplier(noiseMultiplier, countDeviation),
  };
}

/** What a run's ledger and its epsilon rest on, as its configuration is asked for it. */
const settled = [
  ['examples', 'the number of training examples'],
  ['expectedBatchSize', 'training.batchSize times accumulation'],
  ['plannedSteps', 'the number of steps'],
  ['noiseMultiplier', 'privacy.noiseMultiplier'],
  ['targetEpsilon', 'privacy.epsilon'],
  ['delta', 'privacy.delta'],
  ['accountant', 'privacy.accountant'],
  ['maxGradNorm', 'privacy.maxGradNorm'],
  ['clipping', 'privacy.clipping'],
  ['publicEvaluation', 'privacy.publicEvaluation'],
  ['insecure', 'privacy.insecureSeed'],
] as const satisfies readonly (readonly [keyof PrivacyLedger, string])[];

/**
 * Refuses a segment whose configuration says something else than the ledger of the one before: the epsilon of both together would be that
 * of neither.
 * @throws UserError
 */
function refuseOtherSettings(
  earlier: PrivacyLedger,
  now: Pick<PrivacyLedger, (typeof settled)[number][0] | 'adaptive'>,
): void {
  const refuse = (problem: string): never => {
    throw new UserError(
      `${problem}, so that its epsilon would mean nothing`,
      'Put config.json of the run and its data back as they were, or start a new run.',
    );
  };
  for (const [name, words] of settled) {
    const [was, is] = [earlier[name], now[name]];
    // A flag that is not recorded is off.
    if ((was ?? false) === (is ?? false)) continue;
    if (name === 'insecure') refuse(`${words} is not what this run began with`);
    refuse(`${words} is ${String(is ?? 'not set')}, and this run began with ${String(was ?? 'not set')}`);
  }
  if (JSON.stringify(earlier.adaptive) !== JSON.stringify(now.adaptive))
    refuse('privacy.adaptive is not what this run began with');
}

/** The stream of the noise on the count of unclipped examples; no tensor is called so. */
const COUNT_STREAM = 'clipping count';

/** Whether a run has taken private steps whose record tells nothing that they could be counted by. */
function hasLostLedger(folder: string, { before, fromStep }: Pick<PrivateStart, 'before' | 'fromStep'>): boolean {
  const hasLedger = before.some((event) => event.type === 'privacy');
  const hasSteps = fromStep > 1 || before.some((event) => event.type === 'step');
  // A step is in this file before it is in the journal.
  return !hasLedger && (hasSteps || (statSync(privateRecordFile(folder), { throwIfNoEntry: false })?.size ?? 0) > 0);
}

/**
 * Refuses to go on where the journal does not tell of all that was released: no epsilon would cover that.
 * @throws UserError
 */
function requireWholeRecord(folder: string, start: Pick<PrivateStart, 'before' | 'fromStep'>): void {
  const made = start.fromStep - 1;
  const { lastStep } = releasesOf(start.before);
  const isCut = lastStep < made;
  if (!isCut && !hasLostLedger(folder, start)) return;
  const problem = isCut
    ? `tells of its steps only up to ${lastStep}, and its checkpoint is of step ${made}`
    : 'has lost the ledger of the steps that it made';
  throw new UserError(
    `the journal of this run ${problem}, so that its epsilon would mean nothing`,
    'Put its journal.jsonl back as it was, or start a new run; what this one released counts for the data all the same.',
  );
}

/**
 * The key of a segment. It is the one of the segment before only where that one's sums come out the same to the last digit: the same noise
 * on other sums would tell what they differ by.
 */
function openKey(
  folder: string,
  earlier: PrivacyLedger | undefined,
  { arithmetic, computation }: Pick<PrivateStart, 'arithmetic' | 'computation'>,
): Uint8Array {
  const isRepeatable =
    earlier === undefined ||
    (arithmetic !== undefined && earlier.arithmetic === arithmetic && earlier.computation === computation);
  if (!isRepeatable) removeFile(privateKeyFile(folder));
  return readKey(folder) ?? createKey(folder);
}

/**
 * Makes a run's mechanism: calibrates the noise where a target epsilon is given, and opens the key. A segment that finds the key of the
 * one before repeats its draws and noise, so that nothing is released twice; without it, and where it computes otherwise, the steps that it
 * computes again count twice.
 * @throws UserError when the batch is larger than the data, no noise reaches the target, data or settings are not those of earlier segments, or
 * the record of those is damaged
 */
export function openPrivateTraining(
  folder: string,
  settings: PrivacySettings,
  training: PrivateLengths,
  { examples, trainingData, before, fromStep, arithmetic, computation }: PrivateStart,
): PrivateTraining {
  requireWholeRecord(folder, { before, fromStep });
  const earlier = before.findLast((event) => event.type === 'privacy');
  if (areOtherData(earlier?.trainingData ?? [], trainingData))
    throw new UserError(
      'the training data are not those that this run began with, so that its epsilon would mean nothing',
      'Put the data back as they were, or start a new run.',
    );
  const { expectedBatchSize, samplingRate, delta, totalSteps, noiseMultiplier, targetEpsilon } =
    earlier === undefined
      ? planPrivateTraining(settings, training, examples)
      : plannedBefore(earlier, settings, training, examples);
  const { insecureSeed, clipping, maxGradNorm, publicEvaluation, accountant } = settings;
  const seeded = insecureSeed !== undefined;
  const adaptive = adaptiveOf(settings, noiseMultiplier, expectedBatchSize);
  if (earlier !== undefined)
    refuseOtherSettings(earlier, {
      examples,
      expectedBatchSize,
      plannedSteps: totalSteps,
      noiseMultiplier: settings.noiseMultiplier ?? noiseMultiplier,
      ...(settings.epsilon === undefined ? {} : { targetEpsilon: settings.epsilon }),
      delta,
      accountant,
      maxGradNorm,
      clipping,
      publicEvaluation,
      insecure: seeded,
      adaptive,
    });
  const key = seeded ? seedKey(insecureSeed) : openKey(folder, earlier, { arithmetic, computation });
  const keyId = createHash('sha256').update(key).digest('hex').slice(0, 16);
  const isNewKey = earlier !== undefined && earlier.keyId !== keyId;
  const repeated = repeatedSteps(releasesOf(before), releaseKey({ keyId, arithmetic, computation }), fromStep);
  const ledger: PrivacyLedger = {
    type: 'privacy',
    relation: 'add-or-remove-one',
    unit: 'example',
    sampling: 'poisson',
    examples,
    trainingData: [...trainingData],
    samplingRate,
    expectedBatchSize,
    chunkSize: training.batchSize,
    noiseMultiplier,
    maxGradNorm,
    clipping,
    ...(adaptive === undefined ? {} : { adaptive }),
    publicEvaluation,
    delta,
    accountant,
    plannedSteps: totalSteps,
    repeatedSteps: repeated,
    ...(targetEpsilon === undefined ? {} : { targetEpsilon }),
    generator: generatorName,
    version: programVersion(),
    keyId,
    ...(arithmetic === undefined ? {} : { arithmetic }),
    ...(computation === undefined ? {} : { computation }),
    insecure: seeded,
  };
  const forgetKey = (): void => removeFile(privateKeyFile(folder));
  return {
    mechanism: { ...mechanismOf(ledger, privateStreams(key)), onUnrepeatable: forgetKey },
    ledger,
    warnings: warningsOf(delta, examples, isNewKey, seeded),
    record: (record) => {
      mkdirSync(join(folder, FOLDER), { recursive: true, mode: 0o700 });
      appendLines(privateRecordFile(folder), [record], { sync: false, mode: 0o600 });
    },
    finish: forgetKey,
  };
}

/** The mechanism that does what a ledger says: it knows nothing else of the configuration. */
function mechanismOf(ledger: PrivacyLedger, streams: PrivateStreams): PrivateMechanism {
  const { examples, samplingRate, noiseMultiplier, expectedBatchSize, maxGradNorm, delta, adaptive } = ledger;
  const gradientNoise = adaptive?.gradientNoiseMultiplier ?? noiseMultiplier;
  const accountant = ledger.accountant === 'tightest' ? undefined : ledger.accountant;
  return {
    samplingRate,
    noiseMultiplier,
    clipping: ledger.clipping === 'automatic' ? 'automatic' : 'flat',
    maxGradNorm,
    expectedBatchSize,
    draw: (step) => streams.draw(step, examples, samplingRate),
    addNoise: (sum, step, tensor, norm) => streams.addNoise(sum, step, tensor, gradientNoise * norm),
    ...(adaptive === undefined
      ? {}
      : {
          adapt: (norm, centredCount, step) => {
            const exact = Float64Array.of(centredCount);
            const [noisy = NaN] = streams.addNoise(exact, step, COUNT_STREAM, adaptive.countDeviation);
            return nextClippingNorm(norm, noisy, expectedBatchSize, adaptive);
          },
        }),
    publicEvaluation: ledger.publicEvaluation === true,
    spent: (steps) => {
      const phases = [{ samplingRate, noiseMultiplier, steps: steps + ledger.repeatedSteps }];
      const spent = privacySpent(phases, delta, accountant);
      return { epsilon: spent.epsilon, delta, accountant: spent.accountant };
    },
  };
}

/** The key of a seed, for tests: 256 bits of its hash. */
function seedKey(seed: number): Uint8Array {
  return createHash('sha256').update(`insecure seed ${seed}`).digest();
}

function warningsOf(delta: number, examples: number, isNewKey: boolean, seeded: boolean): readonly string[] {
  return [
    ...(deltaIsWeak(delta, examples)
      ? [`delta ${delta} is above 1 / ${examples}: publishing a few examples outright would satisfy it`]
      : []),
    ...(isNewKey
      ? [
          'the key of this run’s draws and noise is gone, or this is not computed as before to the last digit (another device, other threads, another version, a changed configuration or model): the steps since the last checkpoint are released again under new noise and count twice',
        ]
      : []),
    ...(seeded ? ['privacy.insecureSeed is set: anybody can remove this noise, so the run is not private'] : []),
  ];
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FileError, messageOf } from '../base/errors.ts';
import { counted as countOf } from '../base/format.ts';
import { privacySpent } from '../privacy/accountant.ts';
import { composedNoiseMultiplier, usualAdaptation } from '../privacy/adaptive-clipping.ts';
import { calibrateNoise } from '../privacy/calibrate.ts';
import { defaultDelta } from '../privacy/delta.ts';
import { scheduledSteps } from '../privacy/schedule.ts';
import { generatorName } from '../privacy/streams.ts';
import type { RecordedConfiguration } from './configuration-schema.ts';
import { checkDelta, checkPhase } from '../privacy/mechanism.ts';
import { areOtherData } from './data-id.ts';
import type { JournalEvent } from './events.ts';
import { isTerminal, journalChunks } from './journal.ts';
import { releasedSteps, releaseKey, releasesOf, repeatedSteps, stepShownBy } from './released-steps.ts';
import { replay, type EventOf } from './replay.ts';
import { readRecordedConfiguration } from './run-folder.ts';

type Ledger = EventOf<'privacy'>;

/** What an audit of a run's journal finds. */
export interface PrivacyAudit {
  /** `holds`: the recorded epsilon is what the record amounts to. `fails`: it is not, or the record speaks against it. */
  readonly verdict: 'holds' | 'fails' | 'not-private';
  /** Epsilon of all steps that were released, computed anew; the recorded one is the last that the trainer told. */
  readonly epsilon?: { readonly computed: number; readonly recorded: number | undefined; readonly accountant: string };
  readonly ledger?: Ledger;
  /** Steps released: those in the record, and those computed again with other noise. */
  readonly steps?: { readonly recorded: number; readonly repeated: number };
  /** Everything that speaks against the claim. */
  readonly findings: readonly string[];
  /** What the claim rests on and this record can't show. */
  readonly assumptions: readonly string[];
}

/** Members of the ledger that are the same in all segments of a run. */
const lasting = [
  'relation',
  'unit',
  'sampling',
  'examples',
  'samplingRate',
  'expectedBatchSize',
  'noiseMultiplier',
  'maxGradNorm',
  'clipping',
  'delta',
  'accountant',
  'plannedSteps',
  'generator',
] as const satisfies readonly (keyof Ledger)[];

/** What of the ledger's adaptive clipping is the same in all segments. */
const lastingAdaptive = ['quantile', 'rate', 'countDeviation', 'gradientNoiseMultiplier'] as const;

/** The noise multiplier of all that a step releases, computed from its parts. */
function noiseOf({ noiseMultiplier, adaptive }: Ledger): number {
  return adaptive === undefined
    ? noiseMultiplier
    : composedNoiseMultiplier(adaptive.gradientNoiseMultiplier, adaptive.countDeviation);
}

function clippingFindings(ledgers: readonly Ledger[]): readonly string[] {
  const [first] = ledgers;
  if (first === undefined) return [];
  const composed = noiseOf(first);
  const changed = lastingAdaptive.filter((name) =>
    ledgers.some(({ adaptive }) => adaptive?.[name] !== first.adaptive?.[name]),
  );
  return [
    ...((first.clipping === 'adaptive') === (first.adaptive !== undefined)
      ? []
      : ['the ledger does not tell how its clipping norm adapts']),
    ...(Math.abs(composed - first.noiseMultiplier) > TOLERANCE * composed
      ? [`gradients and count together have noise multiplier ${composed}, the ledger says ${first.noiseMultiplier}`]
      : []),
    ...changed.map((name) => `adaptive.${name} is not the same in all segments`),
  ];
}

/** Relative differences below this are rounding. */
const TOLERANCE = 1e-6;

/** A start of the run. */
interface Segment {
  readonly number: number;
  readonly ledger: Ledger | undefined;
  readonly started: EventOf<'started'> | undefined;
  /** What it has to add to its step numbers for what was released again before it. */
  readonly repeated: number;
  readonly steps: readonly EventOf<'step'>[];
}

function segmentsOf(events: readonly JournalEvent[]): readonly Segment[] {
  const numbers = [...new Set(events.map(({ segment }) => segment))].sort((a, b) => a - b);
  return numbers.map((number) => {
    const own = events.filter(({ segment }) => segment === number);
    const before = releasesOf(events.filter(({ segment }) => segment < number));
    const steps = own.filter((event) => event.type === 'step');
    const ledger = own.find((event) => event.type === 'privacy');
    const started = own.find((event) => event.type === 'started');
    const fromStep = started?.fromStep ?? before.lastStep + 1;
    return {
      number,
      ledger,
      started,
      repeated: ledger === undefined ? 0 : repeatedSteps(before, releaseKey(ledger), fromStep),
      steps,
    };
  });
}

function ledgerFindings(segments: readonly Segment[], first: Ledger): readonly string[] {
  const bare = segments.filter(({ ledger, steps }) => ledger === undefined && steps.length > 0).length;
  const others = segments.flatMap(({ ledger }) => (ledger === undefined || ledger === first ? [] : [ledger]));
  const changed = lasting.filter((name) => others.some((ledger) => ledger[name] !== first[name]));
  const otherData = others.some((ledger) => areOtherData(ledger.trainingData ?? [], first.trainingData ?? []));
  const expected = first.samplingRate * first.examples;
  return [
    ...(bare > 0 ? [`${bare} of the run's segments took steps without a ledger`] : []),
    ...changed.map((name) => `${name} is not the same in all segments`),
    ...clippingFindings([first, ...others]),
    ...(otherData ? ['the training data are not the same in all segments'] : []),
    ...([first, ...others].some(({ insecure }) => insecure)
      ? ['draws and noise come from a known seed (privacy.insecureSeed): anybody can take the noise away']
      : []),
    ...(first.generator === generatorName
      ? []
      : [`draws and noise come from "${first.generator}", which this version does not know`]),
    ...(Math.abs(expected - first.expectedBatchSize) > TOLERANCE * expected
      ? [`the expected batch of ${first.expectedBatchSize} is not the sampling rate times the examples, ${expected}`]
      : []),
  ];
}

/** What the starts of a run say otherwise than its ledger, which counts examples and steps as the trainer does. */
function startFindings(
  segments: readonly Segment[],
  { examples, samplingRate, plannedSteps }: Ledger,
): readonly string[] {
  const { stepsPerEpoch } = scheduledSteps(samplingRate, { kind: 'steps', steps: plannedSteps });
  return segments.flatMap(({ number, started }) => {
    if (started === undefined) return [];
    const pairs = [
      ['training examples', started.trainExamples, examples],
      ['planned steps', started.totalSteps, plannedSteps],
      ['steps an epoch', started.stepsPerEpoch, stepsPerEpoch],
    ] as const;
    return pairs
      .filter(([, told, says]) => told !== says)
      .map(([name, told, says]) => `segment ${number} began with ${told} ${name}, and the ledger makes it ${says}`);
  });
}

/** What epsilon of the planned steps may lie below its target before the noise is looked for anew. */
const CALIBRATED_WITHIN = 0.02;

/** Whether the noise is what the ledger's target asks for. */
function targetFindings(
  { targetEpsilon, noiseMultiplier, plannedSteps: steps, samplingRate, delta }: Ledger,
  { planned, accountant }: { readonly planned: number; readonly accountant: 'rdp' | 'prv' | undefined },
): readonly string[] {
  if (targetEpsilon === undefined) return [];
  if (!(planned <= targetEpsilon * (1 + TOLERANCE)))
    return [
      `the planned steps amount to an epsilon of ${planned}, and the noise was to keep it within ${targetEpsilon}`,
    ];
  if (planned >= targetEpsilon * (1 - CALIBRATED_WITHIN)) return [];
  const asked = calibrateNoise({ epsilon: targetEpsilon, delta, samplingRate, steps, accountant }).noiseMultiplier;
  return noiseMultiplier <= asked * (1 + CALIBRATED_WITHIN)
    ? []
    : [`an epsilon of ${targetEpsilon} asks for noise multiplier ${asked}, the ledger says ${noiseMultiplier}`];
}

function releaseFindings(events: readonly JournalEvent[], publicEvaluation: boolean): readonly string[] {
  const told = events.filter((event) => event.type === 'step' && event.loss !== null).length;
  const chosen = events.some((event) => event.type === 'evaluation' && event.best);
  const early = events.some((event) => event.type === 'finished' && event.reason === 'early-stopped');
  return [
    ...(told > 0 ? [`the journal tells the training loss of ${told} steps, which epsilon does not cover`] : []),
    ...(chosen && !publicEvaluation ? ['a checkpoint was chosen by its evaluation, which epsilon does not cover'] : []),
    ...(early && !publicEvaluation ? ['the run stopped early by its evaluations, which epsilon does not cover'] : []),
  ];
}

/** How many events of a segment are missing, by the numbers of those that are there. */
function missingIn(own: readonly JournalEvent[]): number {
  // An event may be there twice: a full disk can make a trainer write some again.
  const numbers = new Set(own.map(({ seq }) => seq));
  return own.reduce((last, { seq }) => Math.max(last, seq), 0) + 1 - numbers.size;
}

/** The steps of a segment that something shows to have been made and whose own lines are not there: the last of each. */
function unrecordedEnd(
  own: readonly JournalEvent[],
): { readonly shown: number; readonly recorded: number } | undefined {
  const steps = own.flatMap((event) => (event.type === 'step' ? event.step : []));
  const start = own.find((event) => event.type === 'started');
  // One that failed before it began tells only of the step that it would have gone on from.
  if (start === undefined && steps.length === 0) return undefined;
  const recorded = steps.reduce((last, step) => Math.max(last, step), (start?.fromStep ?? 1) - 1);
  const shown = own.reduce((last, event) => Math.max(last, stepShownBy(event) ?? 0), recorded);
  return shown > recorded ? { shown, recorded } : undefined;
}

/** The step that a segment says to have ended at, where it has told of later ones. */
function earlyEnd(own: readonly JournalEvent[]): { readonly ended: number; readonly recorded: number } | undefined {
  const ended = own.find((event) => event.type === 'finished')?.step;
  const recorded = own.reduce((last, event) => (event.type === 'step' ? Math.max(last, event.step) : last), 0);
  return ended !== undefined && ended < recorded ? { ended, recorded } : undefined;
}

/** Whether the steps of a segment follow one another from its first on, each told once or more. */
function stepsFollow(own: readonly JournalEvent[]): boolean {
  const steps = [...new Set(own.flatMap((event) => (event.type === 'step' ? event.step : [])))].sort((a, b) => a - b);
  const first = own.find((event) => event.type === 'started')?.fromStep ?? steps[0] ?? 1;
  return steps.every((step, index) => step === first + index);
}

/** What is missing from the record. */
function gapFindings(events: readonly JournalEvent[], unreadable: number): readonly string[] {
  const segments = [...Map.groupBy(events, ({ segment }) => segment)].sort(([a], [b]) => a - b);
  return [
    ...segments.flatMap(([number, own]) => {
      const missing = missingIn(own);
      const end = unrecordedEnd(own);
      const early = earlyEnd(own);
      const { fromStep = 1 } = own.find((event) => event.type === 'started') ?? {};
      const { lastStep } = releasesOf(events.filter(({ segment }) => segment < number));
      return [
        ...(fromStep > lastStep + 1
          ? [
              `segment ${number} goes on from step ${fromStep}, and the journal tells of steps before it only up to ${lastStep}`,
            ]
          : []),
        ...(missing > 0 ? [`${countOf(missing, 'event')} of segment ${number} missing from the journal`] : []),
        ...(missing === 0 && !stepsFollow(own) ? [`the steps of segment ${number} do not follow one another`] : []),
        ...(early === undefined
          ? []
          : [
              `segment ${number} ended at step ${early.ended}, and the journal tells its steps up to ${early.recorded}`,
            ]),
        ...(end === undefined
          ? []
          : [
              `segment ${number} came to step ${end.shown}, and the journal tells its steps only up to ${end.recorded}`,
            ]),
      ];
    }),
    ...(unreadable > tornAtMost(segments.map(([, own]) => own))
      ? [`${countOf(unreadable, 'line')} of the journal could not be read; what was told there is not counted`]
      : []),
  ];
}

/** How many unreadable lines are what a crash leaves: the last one of each segment that broke off. */
function tornAtMost(segments: readonly (readonly JournalEvent[])[]): number {
  return segments.filter((own) => !own.some(isTerminal)).length;
}

/** What of a recorded configuration the ledger says again. */
const recordedPrivacy = z.looseObject({
  epsilon: z.number().optional(),
  noiseMultiplier: z.number().optional(),
  delta: z.number().optional(),
  maxGradNorm: z.number().optional(),
  clipping: z.string().optional(),
  accountant: z.string().optional(),
  publicEvaluation: z.boolean().optional(),
  insecureSeed: z.number().optional(),
  adaptive: z.looseObject({ quantile: z.number(), rate: z.number() }).optional(),
});

const recordedBatch = z.looseObject({ batchSize: z.number(), accumulation: z.number() });

const recordedLength = z.looseObject({ epochs: z.number().optional(), steps: z.number().optional() });

/** The steps that a configuration asks for, under the ledger's rate. */
function stepsAsked(training: unknown, samplingRate: number): number | undefined {
  const { steps, epochs } = recordedLength.safeParse(training).data ?? {};
  if (steps !== undefined) return steps;
  return epochs === undefined ? undefined : scheduledSteps(samplingRate, { kind: 'epochs', epochs }).totalSteps;
}

/** What the configuration that a run was made from says otherwise than its ledger. */
function configurationFindings({ privacy, training }: RecordedConfiguration, ledger: Ledger): readonly string[] {
  if (privacy === undefined) return ['the configuration asks for no privacy, and the journal has a ledger'];
  const parsed = recordedPrivacy.safeParse(privacy);
  if (!parsed.success) return ['privacy in the configuration cannot be read'];
  const { epsilon, insecureSeed, ...asked } = parsed.data;
  const batch = recordedBatch.safeParse(training);
  type Told = string | number | boolean | undefined;
  const pairs: readonly (readonly [string, Told, Told])[] = [
    ['privacy.epsilon', epsilon, ledger.targetEpsilon],
    ['privacy.noiseMultiplier', asked.noiseMultiplier, ledger.noiseMultiplier],
    ['privacy.delta', asked.delta ?? defaultDelta(ledger.examples), ledger.delta],
    ['privacy.maxGradNorm', asked.maxGradNorm, ledger.maxGradNorm],
    ['privacy.clipping', asked.clipping, ledger.clipping],
    ['privacy.accountant', asked.accountant, ledger.accountant],
    ['privacy.publicEvaluation', asked.publicEvaluation, ledger.publicEvaluation ?? false],
    [
      'privacy.insecureSeed',
      insecureSeed === undefined ? undefined : 'a known seed',
      ledger.insecure ? 'a known seed' : 'a secret key',
    ],
    [
      'training.batchSize times accumulation',
      batch.success ? batch.data.batchSize * batch.data.accumulation : undefined,
      ledger.expectedBatchSize,
    ],
    ['training.batchSize', batch.data?.batchSize, ledger.chunkSize],
    ['the number of steps', stepsAsked(training, ledger.samplingRate), ledger.plannedSteps],
    ...(ledger.adaptive === undefined
      ? []
      : ([
          ['privacy.adaptive.quantile', asked.adaptive?.quantile ?? usualAdaptation.quantile, ledger.adaptive.quantile],
          ['privacy.adaptive.rate', asked.adaptive?.rate ?? usualAdaptation.rate, ledger.adaptive.rate],
        ] as const)),
  ];
  return pairs
    .filter(([, asks, says]) => asks !== undefined && asks !== says)
    .map(
      ([name, asks, says]) =>
        `${name} is ${String(asks)} in the configuration and ${String(says ?? 'not told')} in the ledger`,
    );
}

/** The run's configuration, or what stands against reading it; nothing where there is none. */
function configurationOf(folder: string): RecordedConfiguration | FileError | undefined {
  if (!existsSync(join(folder, 'config.json'))) return undefined;
  try {
    return readRecordedConfiguration(folder);
  } catch (error) {
    if (error instanceof FileError) return error;
    throw error;
  }
}

/**
 * Audits the run of a folder by its journal, see {@link auditPrivacy}, and by what its configuration and its last checkpoint say beside it.
 * @param reached the step of its last checkpoint, where there is one
 */
export function auditRun(folder: string, { reached }: { readonly reached?: number | undefined } = {}): PrivacyAudit {
  const chunks = [...journalChunks(folder)];
  const unreadable = chunks.reduce((sum, { problems }) => sum + problems.length, 0);
  const events = chunks.flatMap(({ events: own }) => own);
  const audit = auditPrivacy(events, { unreadable });
  const configuration = configurationOf(folder);
  const asked = configuration instanceof FileError ? undefined : configuration;
  if (audit.ledger === undefined) {
    if (asked?.privacy === undefined) return audit;
    const finding = events.some(({ type }) => type === 'step')
      ? 'the configuration asks for privacy, and the journal has no ledger that can be read'
      : 'the configuration asks for privacy, and the run has not come as far as to write its ledger';
    return { ...audit, verdict: 'fails', findings: [finding] };
  }
  const { lastStep } = releasesOf(events);
  const findings = [
    ...audit.findings,
    ...(configuration instanceof FileError ? [messageOf(configuration)] : []),
    ...(asked === undefined ? [] : configurationFindings(asked, audit.ledger)),
    ...(reached !== undefined && reached > lastStep
      ? [`the last checkpoint is of step ${reached}, and the journal tells its steps only up to ${lastStep}`]
      : []),
  ];
  return { ...audit, verdict: findings.length === 0 ? 'holds' : 'fails', findings };
}

/**
 * Computes a private run's epsilon anew from its journal alone, and looks for what speaks against it: steps without a ledger, a known
 * seed, repeated steps that were not counted, a recorded epsilon that is too small, data told without noise, a record with gaps.
 * @param events all of the journal
 * @param unreadable how many of its lines could not be read
 */
export function auditPrivacy(
  events: readonly JournalEvent[],
  { unreadable = 0 }: { readonly unreadable?: number } = {},
): PrivacyAudit {
  const { steps, privacy } = replay(events);
  const [first] = privacy;
  if (first === undefined) {
    return { verdict: 'not-private', findings: ['the run has no privacy ledger'], assumptions: [] };
  }
  const impossible = privacy.flatMap(impossibleIn);
  if (impossible.length > 0) return { verdict: 'fails', ledger: first, findings: impossible, assumptions: [] };
  const segments = segmentsOf(events);
  const releases = releasesOf(events);
  const released = releasedSteps(releases);
  const repeated = released - releases.lastStep;
  const { samplingRate, delta } = first;
  const noiseMultiplier = noiseOf(first);
  const publicEvaluation = privacy.every((ledger) => ledger.publicEvaluation === true);
  const accountant = first.accountant === 'tightest' ? undefined : first.accountant;
  const known = new Map<number, ReturnType<typeof privacySpent>>();
  const spentAfter = (count: number): ReturnType<typeof privacySpent> => {
    const found =
      known.get(count) ?? privacySpent([{ samplingRate, noiseMultiplier, steps: count }], delta, accountant);
    known.set(count, found);
    return found;
  };
  const spent = spentAfter(released);
  const recorded = steps.findLast(({ epsilon }) => epsilon !== undefined);
  const counting = segments.findLast(({ ledger }) => ledger !== undefined);
  const counted = counting?.ledger?.repeatedSteps ?? 0;
  const shown = counting?.repeated ?? 0;
  const findings = [
    ...ledgerFindings(segments, first),
    ...startFindings(segments, first),
    ...targetFindings(first, { planned: spentAfter(first.plannedSteps).epsilon, accountant }),
    ...releaseFindings(events, publicEvaluation),
    ...(counted === shown
      ? []
      : [`the ledger counts ${counted} repeated steps; the journal shows that ${shown} were released again`]),
    ...recordedFindings(segments, spentAfter),
    ...(releases.lastStep > first.plannedSteps
      ? [`the run came to step ${releases.lastStep}, and its ledger plans ${first.plannedSteps}`]
      : []),
    ...gapFindings(events, unreadable),
  ];
  return {
    verdict: findings.length === 0 ? 'holds' : 'fails',
    epsilon: { computed: spent.epsilon, recorded: recorded?.epsilon ?? undefined, accountant: spent.accountant },
    ledger: first,
    steps: { recorded: releases.lastStep, repeated },
    findings,
    assumptions: [
      `neighbouring data sets differ by one training example, there or not; somebody with several examples is covered less`,
      `the number of training examples, ${first.examples}, is public`,
      'draws and noise came from the stated generator, and nobody else had its key',
      'only this run, of all that used the data, is counted',
      ...(unreadable > 0
        ? [`lines that could not be read (${unreadable}) were cut off by a crash and told of no further step`]
        : []),
      publicEvaluation
        ? 'the evaluation data are public, as the user declared; scores on them may have stopped the training or chosen a checkpoint'
        : 'scores on a development set of the same people are not covered',
    ],
  };
}

/** What of a ledger no mechanism can have; no trainer writes it. */
function impossibleIn(ledger: Ledger): readonly string[] {
  const { samplingRate, noiseMultiplier, plannedSteps: steps, delta, segment } = ledger;
  try {
    checkPhase({ samplingRate, noiseMultiplier, steps });
    checkPhase({ samplingRate, noiseMultiplier: noiseOf(ledger), steps });
    checkDelta(delta);
    return [];
  } catch (error) {
    if (error instanceof RangeError) return [`the ledger of segment ${segment} says what cannot be: ${error.message}`];
    throw error;
  }
}

/**
 * Holds every epsilon that the run has told against the record, those of segments that were replaced since too, and misses those that a
 * trainer tells: after each epoch, and after the last step.
 */
function recordedFindings(
  segments: readonly Segment[],
  spentAfter: (steps: number) => { readonly epsilon: number },
): readonly string[] {
  const wrong: string[] = [];
  let silent = 0;
  for (const { steps, repeated, started } of segments)
    for (const { step, epsilon } of steps) {
      if (epsilon === undefined) {
        if (started !== undefined && (step % started.stepsPerEpoch === 0 || step === started.totalSteps)) silent += 1;
        continue;
      }
      const told = epsilon ?? Infinity;
      const computed = spentAfter(step + repeated).epsilon;
      if (told === computed || (computed < Infinity && Math.abs(told - computed) <= TOLERANCE * computed)) continue;
      wrong.push(`epsilon after step ${step} is recorded as ${told}; the record amounts to ${computed}`);
    }
  const others = wrong.length - 1;
  return [
    // The last tells most; where the ledger was edited all are wrong.
    ...wrong
      .slice(-1)
      .map((text) =>
        others === 0 ? text : `${text}, and ${others} told before it ${others === 1 ? 'is' : 'are'} wrong too`,
      ),
    ...(silent === 0 ? [] : [`the journal does not tell the epsilon of ${countOf(silent, 'epoch')} that ended`]),
  ];
}

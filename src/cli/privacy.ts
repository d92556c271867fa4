import { UserError } from '../base/errors.ts';
import { counted, grouped } from '../base/format.ts';
import { privacySpent, type AccountantName, type PrivacySpent } from '../privacy/accountant.ts';
import { calibrateNoise } from '../privacy/calibrate.ts';
import { defaultDelta, deltaIsWeak } from '../privacy/delta.ts';
import type { Phase } from '../privacy/mechanism.ts';
import { scheduledSteps } from '../privacy/schedule.ts';
import type { App } from './app.ts';
import { facts, jsonText } from './output.ts';

/** What both commands ask; numbers were checked when they were read. */
interface CompositionOptions {
  readonly samplingRate?: number;
  readonly batchSize?: number;
  readonly examples?: number;
  readonly steps?: number;
  readonly epochs?: number;
  readonly delta?: number;
  readonly accountant?: AccountantName;
  readonly spent: readonly Phase[];
}

export interface EpsilonOptions extends CompositionOptions {
  readonly noiseMultiplier: number;
}

export interface CalibrateOptions extends CompositionOptions {
  readonly epsilon: number;
}

interface Composition {
  readonly samplingRate: number;
  readonly steps: number;
  readonly delta: number;
  readonly examples: number | undefined;
}

/** One of two ways to say the same. */
function exactlyOne(names: string, ...values: readonly unknown[]): void {
  const given = values.filter((value) => value !== undefined).length;
  if (given !== 1) throw new UserError(`${given === 0 ? 'one of' : 'only one of'} ${names} is needed`);
}

function compositionOf({ samplingRate, batchSize, examples, steps, epochs, delta }: CompositionOptions): Composition {
  exactlyOne('--sampling-rate and --batch-size', samplingRate, batchSize);
  exactlyOne('--steps and --epochs', steps, epochs);
  if (batchSize !== undefined && examples === undefined)
    throw new UserError('--batch-size needs --examples', 'The sampling rate is the one divided by the other.');
  if (batchSize !== undefined && examples !== undefined && batchSize > examples)
    throw new UserError(`--batch-size ${batchSize} is more than --examples ${examples}`);
  if (delta === undefined && examples === undefined)
    throw new UserError('--delta is missing', 'Give it, or --examples N for a delta of 1/(2N).');
  const rate = samplingRate ?? (batchSize ?? 0) / (examples ?? 1);
  return {
    samplingRate: rate,
    steps: steps ?? scheduledSteps(rate, { kind: 'epochs', epochs: epochs ?? 0 }).totalSteps,
    delta: delta ?? defaultDelta(examples ?? 1),
    examples,
  };
}

function warn(app: App, { delta, examples }: Composition): void {
  if (examples !== undefined && deltaIsWeak(delta, examples))
    app.terminal.err(
      `warning: delta ${delta} is above 1/${examples}: publishing a record of the data outright would be allowed\n`,
    );
}

function digits(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(6))) : 'unbounded';
}

/** The bounds and what they assume, for people. */
function describe(
  { lower, accountant, rdp, prv }: PrivacySpent,
  composition: Composition,
  phases: readonly Phase[],
): string {
  const names = { prv: 'numerical composition (prv)', rdp: 'Rényi divergences (rdp)' };
  return (
    facts(
      [
        ['reported by', names[accountant]],
        ['true value', `at least ${digits(lower)}`],
        [
          'prv',
          prv === undefined ? undefined : `between ${digits(prv.lower)} and ${digits(prv.upper)}, both certified`,
        ],
        [
          'rdp',
          rdp === undefined
            ? undefined
            : `${digits(rdp.epsilon)}${rdp.order === undefined ? '' : ` at order ${digits(rdp.order)}`}`,
        ],
        [
          'composed of',
          phases
            .map(
              (phase) =>
                `${counted(phase.steps, 'step')} at sampling rate ${digits(phase.samplingRate)} and noise multiplier ${digits(phase.noiseMultiplier)}`,
            )
            .join('\n'),
        ],
        [
          'delta',
          `${digits(composition.delta)}${composition.examples === undefined ? '' : `, for ${grouped(composition.examples)} examples`}`,
        ],
      ],
      '  ',
    ) +
    '  It holds for data sets that differ by one example, added or removed, if every step draws its batch by Poisson\n' +
    '  sampling at that rate, clips each example and adds the noise once. Shuffled batches of a fixed size do not count.\n'
  );
}

/** As JSON has no infinity, an epsilon without bound is `null`. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function spentJson({ epsilon, lower, upper, accountant, rdp, prv }: PrivacySpent): Readonly<Record<string, unknown>> {
  return {
    epsilon: finite(epsilon),
    lower: finite(lower),
    upper: finite(upper),
    accountant,
    ...(prv === undefined ? {} : { prv: { lower: finite(prv.lower), upper: finite(prv.upper) } }),
    ...(rdp === undefined ? {} : { rdp: { epsilon: finite(rdp.epsilon), order: rdp.order ?? null } }),
  };
}

/** One line, since other programs rely on it. */
function printLine(app: App, value: Readonly<Record<string, unknown>>): void {
  app.terminal.out(jsonText(value));
}

/** `peft-lab privacy epsilon`: what a run of private steps costs. */
export function epsilonCommand(app: App, options: EpsilonOptions): number {
  const composition = compositionOf(options);
  const { samplingRate, steps, delta } = composition;
  const phases = [...options.spent, { samplingRate, noiseMultiplier: options.noiseMultiplier, steps }];
  const spent = privacySpent(phases, delta, options.accountant);
  warn(app, composition);
  if (app.json) printLine(app, { ...spentJson(spent), delta, phases });
  else app.terminal.out(`epsilon ${digits(spent.epsilon)}\n${describe(spent, composition, phases)}`);
  return 0;
}

/** `peft-lab privacy calibrate`: the least noise that keeps a run within epsilon. */
export function calibrateCommand(app: App, options: CalibrateOptions): number {
  const composition = compositionOf(options);
  const { samplingRate, steps, delta } = composition;
  if (steps === 0) throw new UserError('--steps 0 releases nothing, so that any noise will do');
  const { noiseMultiplier, spent } = calibrateNoise({
    epsilon: options.epsilon,
    delta,
    samplingRate,
    steps,
    accountant: options.accountant,
    spent: options.spent,
  });
  const phases = [...options.spent, { samplingRate, noiseMultiplier, steps }];
  warn(app, composition);
  if (app.json) printLine(app, { noiseMultiplier, ...spentJson(spent), delta, phases });
  else
    app.terminal.out(
      `noise multiplier ${noiseMultiplier}\n  epsilon      ${digits(spent.epsilon)}, at most ${digits(options.epsilon)}\n${describe(spent, composition, phases)}`,
    );
  return 0;
}

import { randomStream } from '../base/random.ts';
import type { RandomStream } from '../base/random.ts';
import { FileError } from '../base/errors.ts';
import type { Catalogue } from './catalogue.ts';
import type { Configuration, MatrixValues } from './configuration-schema.ts';
import { realPaths, resolveConfiguration } from './configuration.ts';
import type { PathProbe, WrittenConfiguration } from './configuration.ts';
import { matrixAxes, pathsOf } from './matrix.ts';
import type { Assignments, Axis } from './matrix.ts';
import { withSettings } from './settings.ts';

/** More runs than anyone meant to start: the matrix has an axis too many. */
export const mostPlans = 10_000;

/** One run of a sweep. */
export interface Plan {
  /** What the matrix set for this run. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The settings that differ within the sweep, and so tell this run from the others. */
  readonly label: Readonly<Record<string, unknown>>;
  readonly configuration: Configuration;
}

/** What a range's interpolation leaves behind the twelfth digit is rounding, not intent: 0.0001, not 0.00010000000000000002. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

function between({ from, to, scale }: Exclude<MatrixValues, readonly unknown[]>, t: number): number {
  if (t === 0) return from;
  if (t === 1) return to;
  return tidy(scale === 'log' ? from * (to / from) ** t : from + (to - from) * t);
}

/** What the values of an axis set, or nothing when it is a range without steps, which only random draws can use. */
function choicesOf(axis: Axis): readonly Assignments[] | undefined {
  if (axis.kind === 'cases') return axis.cases.map((each) => Object.entries(each));
  const { path, values } = axis;
  if (Array.isArray(values)) return values.map((value) => [[path, value]]);
  const { steps } = values;
  if (steps === undefined) return undefined;
  return Array.from({ length: steps }, (_, i) => [[path, between(values, i / (steps - 1))]]);
}

function axisSize(axis: Axis): number {
  if (axis.kind === 'cases') return axis.cases.length;
  return Array.isArray(axis.values) ? axis.values.length : (axis.values.steps ?? Infinity);
}

function gridSize(axes: readonly Axis[]): number {
  return axes.reduce((size, axis) => size * axisSize(axis), 1);
}

/** How many runs a configuration describes, without working them out. */
export function sweepSize({ matrix }: Pick<WrittenConfiguration, 'matrix'>): number {
  return matrix === undefined ? 1 : Math.min(gridSize(matrixAxes(matrix)), matrix.sample ?? Infinity);
}

/** The first axis varies slowest. */
function grid(axes: readonly Axis[]): readonly Assignments[] {
  return axes.reduce<readonly Assignments[]>(
    (combinations, axis) =>
      combinations.flatMap((before) => (choicesOf(axis) ?? []).map((choice) => [...before, ...choice])),
    [[]],
  );
}

/** A whole number below `count`, which may be beyond what the stream draws at once. */
function indexBelow(count: number, random: RandomStream): number {
  return count <= 2 ** 32 ? random.below(count) : Math.floor(random.uniform() * count);
}

function draw(axis: Axis, random: RandomStream): Assignments {
  // A range may have far more steps than anyone draws of it.
  if (axis.kind === 'setting' && !Array.isArray(axis.values) && axis.values.steps !== undefined) {
    const { steps } = axis.values;
    return [[axis.path, between(axis.values, indexBelow(steps, random) / (steps - 1))]];
  }
  const choices = choicesOf(axis);
  if (choices !== undefined) return choices[random.below(choices.length)] ?? [];
  if (axis.kind === 'cases' || Array.isArray(axis.values)) return [];
  return [[axis.path, between(axis.values, random.uniform())]];
}

/** Different combinations, drawn axis by axis from streams of their own: a new axis leaves the draws of the others as they were. */
function sampled(axes: readonly Axis[], count: number, seed: number): readonly Assignments[] | undefined {
  const streams = axes.map(
    (axis) => [axis, randomStream(seed, `sweep/${axis.kind === 'cases' ? 'cases' : axis.path}`)] as const,
  );
  const drawn = new Map<string, Assignments>();
  // All combinations of a grid turn up long before this many draws; a range too narrow to hold enough numbers never gives them.
  for (let attempts = 0; drawn.size < count; attempts++) {
    if (attempts > 1000 * count) return undefined;
    const combination = streams.flatMap(([axis, random]) => draw(axis, random));
    const key = JSON.stringify(combination);
    if (!drawn.has(key)) drawn.set(key, combination);
  }
  return [...drawn.values()];
}

/** `training.seed=1 method.rank=8`: the label of a plan in one line. */
export function labelText(label: Plan['label']): string {
  return Object.entries(label)
    .map(([path, value]) => `${path}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

/**
 * The runs that a configuration describes: one without a matrix, else one for each combination of its axes or for each random draw. The
 * order is that of the file, and the same every time.
 * @throws FileError when there are more than {@link mostPlans}, or a combination does not make a configuration, naming it
 */
export function planSweep(
  configuration: WrittenConfiguration,
  catalogue: Catalogue,
  probe: PathProbe = realPaths,
): readonly Plan[] {
  const { file, settings, matrix } = configuration;
  if (matrix === undefined)
    return [{ settings: {}, label: {}, configuration: resolveConfiguration(configuration, catalogue, probe) }];
  const axes = matrixAxes(matrix);
  const size = gridSize(axes);
  const count = sweepSize(configuration);
  if (count > mostPlans)
    throw new FileError(
      file,
      undefined,
      `matrix: ${count === Infinity ? 'endlessly many' : count.toLocaleString('en')} runs, more than ${mostPlans.toLocaleString('en')}`,
      'Shorten a list, or draw some of the combinations with "sample".',
    );
  const combinations = count < size ? sampled(axes, count, matrix.seed ?? 0) : grid(axes);
  if (combinations === undefined)
    throw new FileError(file, undefined, `matrix: its ranges do not hold ${count} different combinations`);
  const chosen = combinations.map((combination) => Object.fromEntries(combination));
  const differing = new Set(
    axes.flatMap(pathsOf).filter((path) => new Set(chosen.map((each) => JSON.stringify(each[path]))).size > 1),
  );
  // Thousands of plans name the same few files.
  const cached = cachedProbe(probe);
  return combinations.map((combination, index) => {
    try {
      return {
        settings: chosen[index] ?? {},
        label: Object.fromEntries(combination.filter(([path]) => differing.has(path))),
        configuration: resolveConfiguration({ file, settings: withSettings(settings, combination) }, catalogue, cached),
      };
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      throw new FileError(
        file,
        undefined,
        `matrix: the combination ${labelText(Object.fromEntries(combination))} is no configuration`,
        error.message,
        { cause: error },
      );
    }
  });
}

function cachedProbe(probe: PathProbe): PathProbe {
  const remember = (ask: (path: string) => boolean): ((path: string) => boolean) => {
    const known = new Map<string, boolean>();
    return (path) => {
      const answer = known.get(path) ?? ask(path);
      known.set(path, answer);
      return answer;
    };
  };
  return {
    isFolder: remember((path) => probe.isFolder(path)),
    exists: remember((path) => probe.exists(path)),
  };
}

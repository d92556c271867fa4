import { randomStream } from '../base/random.ts';
import type { RandomStream } from '../base/random.ts';
import { FileError } from '../base/errors.ts';
import type { Catalogue } from './catalogue.ts';
import type { Configuration, MatrixValues } from './configuration-schema.ts';
import { matrixAxes, realPaths, resolveConfiguration, withSettings } from './configuration.ts';
import type { PathProbe, WrittenConfiguration } from './configuration.ts';

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

type Axis = readonly [path: string, values: MatrixValues];
type Combination = readonly (readonly [path: string, value: unknown])[];

/** What a range's interpolation leaves behind the twelfth digit is rounding, not intent: 0.0001, not 0.00010000000000000002. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

function between({ from, to, scale }: Exclude<MatrixValues, readonly unknown[]>, t: number): number {
  if (t === 0) return from;
  if (t === 1) return to;
  return tidy(scale === 'log' ? from * (to / from) ** t : from + (to - from) * t);
}

/** The values of an axis, or nothing when it is a range without steps, which only random draws can use. */
function valuesOf(values: MatrixValues): readonly unknown[] | undefined {
  if (Array.isArray(values)) return values;
  const { steps } = values;
  if (steps === undefined) return undefined;
  return Array.from({ length: steps }, (_, i) => between(values, i / (steps - 1)));
}

function gridSize(axes: readonly Axis[]): number {
  return axes.reduce(
    (size, [, values]) => size * (Array.isArray(values) ? values.length : (values.steps ?? Infinity)),
    1,
  );
}

/** How many runs a configuration describes, without working them out. */
export function sweepSize({ matrix }: Pick<WrittenConfiguration, 'matrix'>): number {
  return matrix === undefined ? 1 : Math.min(gridSize(matrixAxes(matrix)), matrix.sample ?? Infinity);
}

/** The first axis varies slowest. */
function grid(axes: readonly Axis[]): readonly Combination[] {
  return axes.reduce<readonly Combination[]>(
    (combinations, [path, values]) =>
      combinations.flatMap((before) => (valuesOf(values) ?? []).map((value) => [...before, [path, value] as const])),
    [[]],
  );
}

function draw(values: MatrixValues, random: RandomStream): unknown {
  const listed = valuesOf(values);
  if (listed !== undefined) return listed[random.below(listed.length)];
  return Array.isArray(values) ? undefined : between(values, random.uniform());
}

/** Different combinations, drawn axis by axis from streams of their own: a new axis leaves the draws of the others as they were. */
function sampled(axes: readonly Axis[], count: number, seed: number): readonly Combination[] | undefined {
  const streams = axes.map(([path]) => randomStream(seed, `sweep/${path}`));
  const drawn = new Map<string, Combination>();
  // All combinations of a grid turn up long before this many draws; a range too narrow to hold enough numbers never gives them.
  for (let attempts = 0; drawn.size < count; attempts++) {
    if (attempts > 1000 * count) return undefined;
    const combination = axes.map(([path, values], i) => {
      const random = streams[i];
      return [path, random === undefined ? undefined : draw(values, random)] as const;
    });
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
  const differing = new Set(
    axes
      .map(([path]) => path)
      .filter((_, axis) => new Set(combinations.map((each) => JSON.stringify(each[axis]?.[1]))).size > 1),
  );
  // Thousands of plans name the same few files.
  const cached = cachedProbe(probe);
  return combinations.map((combination) => {
    const chosen = Object.fromEntries(combination);
    try {
      return {
        settings: chosen,
        label: Object.fromEntries(combination.filter(([path]) => differing.has(path))),
        configuration: resolveConfiguration({ file, settings: withSettings(settings, combination) }, catalogue, cached),
      };
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      throw new FileError(
        file,
        undefined,
        `matrix: the combination ${labelText(chosen)} is no configuration`,
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

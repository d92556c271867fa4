import { isRecord } from '../base/is-record.ts';
import type { Problem } from './configuration-problems.ts';
import type { Matrix, MatrixValues } from './configuration-schema.ts';
import { exclusive, settingAt, withSetting } from './settings.ts';
import type { Settings } from './settings.ts';

/** What one value of an axis sets: dotted paths with their values. */
export type Assignments = readonly (readonly [path: string, value: unknown])[];

/** One axis of a matrix: a setting with its values, or sets of settings that go together. */
export type Axis =
  | { readonly kind: 'setting'; readonly path: string; readonly values: MatrixValues }
  | { readonly kind: 'cases'; readonly cases: readonly Settings[] };

/** The axes of a matrix: its cases, then its dotted paths in the order written. */
export function matrixAxes(matrix: Matrix): readonly Axis[] {
  const { cases, sample: _sample, seed: _seed, ...settings } = matrix;
  return [
    ...(cases === undefined ? [] : [{ kind: 'cases', cases } as const]),
    ...Object.entries(settings).map(([path, values]) => ({ kind: 'setting', path, values }) as const),
  ];
}

/** The dotted paths that an axis sets. */
export function pathsOf(axis: Axis): readonly string[] {
  return axis.kind === 'setting' ? [axis.path] : [...new Set(axis.cases.flatMap((each) => Object.keys(each)))];
}

/** What the matrix sets in its first combination, or in the first with another of its cases. */
export function firstAssignments(matrix: Matrix | undefined, at = 0): Assignments {
  return (matrix === undefined ? [] : matrixAxes(matrix)).flatMap((axis): Assignments => {
    if (axis.kind === 'cases') return Object.entries(axis.cases[at] ?? {});
    return [[axis.path, Array.isArray(axis.values) ? axis.values[0] : axis.values.from]];
  });
}

function distinct<T>(values: readonly T[]): readonly T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/** The matrix without what sets a path, what lies below it, or what it excludes; nothing when no axis is left. */
export function withoutPath(matrix: Matrix, path: string): Matrix | undefined {
  const isSet = (other: string): boolean => other === path || other.startsWith(`${path}.`) || other === exclusive[path];
  const { sample, seed, ...axes } = matrix;
  const left = Object.entries(axes).flatMap(([key, value]): [string, unknown][] => {
    if (key !== 'cases') return isSet(key) ? [] : [[key, value]];
    const cases = distinct(
      (matrix.cases ?? []).map((each) => Object.fromEntries(Object.entries(each).filter(([other]) => !isSet(other)))),
    );
    return cases.every((each) => Object.keys(each).length === 0) ? [] : [[key, cases]];
  });
  if (left.length === 0) return undefined;
  return {
    ...(sample === undefined ? {} : { sample }),
    ...(seed === undefined ? {} : { seed }),
    ...Object.fromEntries(left),
  } as Matrix;
}

/**
 * The matrix with a setting in each value that holds it: `method.head` in every method of an axis `method`. Values that become the same
 * by it are one.
 */
export function withinValues(matrix: Matrix, path: string, value: unknown): Matrix {
  const within = (parent: string, held: unknown): unknown =>
    path.startsWith(`${parent}.`) ? settingAt(withSetting(withSetting({}, parent, held), path, value), parent) : held;
  return Object.fromEntries(
    Object.entries(matrix).map(([key, values]) => {
      if (!Array.isArray(values)) return [key, values];
      const changed = (values as readonly unknown[]).map((each) =>
        key === 'cases' && isRecord(each)
          ? Object.fromEntries(Object.entries(each).map(([parent, held]) => [parent, within(parent, held)]))
          : within(key, each),
      );
      return [key, distinct(changed)];
    }),
  ) as Matrix;
}

function repeatedProblems(values: readonly unknown[], place: readonly string[]): readonly Problem[] {
  const seen = new Set<string>();
  return values.flatMap((value, index) => {
    const text = JSON.stringify(value);
    if (seen.has(text)) return [{ path: [...place, index], at: 'value', message: `${text} is listed twice` } as const];
    seen.add(text);
    return [];
  });
}

/**
 * What is wrong with a matrix as such; whether its values fit their settings is not looked at.
 * @param unknown what to say of a path that no setting has, undefined of one that exists
 */
export function matrixProblems(
  matrix: Matrix,
  unknown: (path: string) => Pick<Problem, 'message' | 'hint'> | undefined,
): readonly Problem[] {
  const axes = matrixAxes(matrix);
  if (axes.length === 0) return [{ path: ['matrix'], at: 'value', message: 'names no setting to vary' }];
  const own = new Set(axes.flatMap((axis) => (axis.kind === 'setting' ? [axis.path] : [])));
  const keyProblems = (path: string, place: Problem['path'], others: ReadonlySet<string>): readonly Problem[] => {
    const problem = unknown(path);
    const other = exclusive[path];
    return [
      ...(problem === undefined ? [] : [{ path: place, at: 'key', ...problem } as const]),
      ...(other !== undefined && others.has(other)
        ? [{ path: place, at: 'key', message: `${path} and ${other} exclude one another` } as const]
        : []),
    ];
  };
  return axes.flatMap((axis): readonly Problem[] => {
    if (axis.kind === 'cases')
      return [
        ...axis.cases.flatMap((each, index) =>
          Object.keys(each).flatMap((path): readonly Problem[] => {
            const place = ['matrix', 'cases', index, path];
            if (own.has(path)) return [{ path: place, at: 'key', message: `${path} is an axis of the matrix as well` }];
            return keyProblems(path, place, new Set([...own, ...Object.keys(each)]));
          }),
        ),
        ...repeatedProblems(axis.cases, ['matrix', 'cases']),
      ];
    const { path, values } = axis;
    const place = ['matrix', path];
    // Of two that exclude one another the first is reported.
    const later = new Set([...own].slice([...own].indexOf(path) + 1));
    const problems = keyProblems(path, place, later);
    if (Array.isArray(values)) return [...problems, ...repeatedProblems(values, place)];
    if (values.steps !== undefined || matrix.sample !== undefined) return problems;
    return [
      ...problems,
      {
        path: place,
        at: 'value',
        message: 'a range needs steps',
        hint: 'Only with `sample` may steps be absent; values are then drawn from the whole range.',
      },
    ];
  });
}

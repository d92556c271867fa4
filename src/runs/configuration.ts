import { isUtf8 } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { findNodeAtLocation } from 'jsonc-parser';
import type { Node } from 'jsonc-parser';
import { FileError } from '../base/errors.ts';
import { isRecord } from '../base/is-record.ts';
import { closestName } from '../base/suggest.ts';
import type { Catalogue } from './catalogue.ts';
import { configurationJsonSchema, settingPaths } from './configuration-json-schema.ts';
import { describeProblem, dotted, problemsOf } from './configuration-problems.ts';
import type { KeyPath, Problem } from './configuration-problems.ts';
import { configurationSchema, matrixSchema } from './configuration-schema.ts';
import type { Configuration, Matrix } from './configuration-schema.ts';
import { lineAndColumn, parseJsonText } from './json-text.ts';
import type { PlacedProblem } from './json-text.ts';
import { firstAssignments, matrixProblems, withinValues, withoutPath } from './matrix.ts';
import { withSetting, withSettings, without } from './settings.ts';
import type { Settings } from './settings.ts';

/** A configuration file, checked but not yet resolved. */
export interface WrittenConfiguration {
  /** The file it came from; relative paths in it start from this file's folder. */
  readonly file: string;
  readonly settings: Settings;
  readonly matrix?: Matrix;
}

/** A problem with its place in the text, lines and columns from 1. */
export interface LocatedProblem extends PlacedProblem {
  readonly line: number;
  readonly column: number;
}

function unknownPath(path: string, catalogue: Catalogue): Pick<Problem, 'message' | 'hint'> {
  const paths = settingPaths(configurationJsonSchema(catalogue));
  const closest = closestName(path, paths) ?? paths.find((candidate) => candidate.endsWith(`.${path}`));
  return {
    message: 'there is no such setting',
    ...(closest === undefined ? {} : { hint: `Did you mean "${closest}"?` }),
  };
}

interface Checked {
  readonly settings: Settings;
  readonly matrix: Matrix | undefined;
  readonly problems: readonly Problem[];
}

/** Where in a case the setting at a path stands, if the case sets it or a parent of it. */
function placeInCase(each: Settings, path: KeyPath): KeyPath | undefined {
  for (let length = path.length; length > 0; length--) {
    const key = path.slice(0, length).join('.');
    if (Object.hasOwn(each, key)) return [key, ...path.slice(length)];
  }
  return undefined;
}

/** Checks a whole configuration: its matrix, and its settings as they are in the sweep's first combination and with each of its cases. */
function check(value: unknown, catalogue: Catalogue): Checked {
  // Built where it is needed: a run's start needs it only when something is wrong.
  const schema = () => configurationJsonSchema(catalogue);
  if (!isRecord(value))
    return {
      settings: {},
      matrix: undefined,
      problems: [{ path: [], at: 'value', message: 'expected an object: { "model": …, "task": …, "method": … }' }],
    };
  const writtenMatrix = value['matrix'];
  const settings = without(value, '$schema', 'matrix');
  let matrix: Matrix | undefined;
  const problems: Problem[] = [];
  if (writtenMatrix !== undefined) {
    const parsed = matrixSchema.safeParse(writtenMatrix);
    if (parsed.success) {
      matrix = parsed.data;
      const paths = new Set(settingPaths(schema()));
      problems.push(...matrixProblems(matrix, (path) => (paths.has(path) ? undefined : unknownPath(path, catalogue))));
    } else {
      const issues = parsed.error.issues.map((issue) => ({ ...issue, path: ['matrix', ...issue.path] }));
      problems.push(...problemsOf(issues, value, schema()));
    }
    if (problems.length > 0) return { settings, matrix, problems };
  }
  // The other axes' later values are looked at when the sweep is planned; a case is a small configuration of its own.
  const cases: readonly (Settings | undefined)[] = matrix?.cases ?? [undefined];
  cases.forEach((each, index) => {
    const settled = withSettings(settings, firstAssignments(matrix, index));
    const parsed = configurationSchema(catalogue).safeParse(settled);
    if (parsed.success) return;
    for (const problem of problemsOf(parsed.error.issues, settled, schema())) {
      const place = each === undefined ? undefined : placeInCase(each, problem.path);
      if (place !== undefined) problems.push({ ...problem, path: ['matrix', 'cases', index, ...place] });
      else if (index === 0) problems.push(problem);
    }
  });
  return { settings, matrix, problems };
}

type Span = Pick<Node, 'offset' | 'length'>;

/** Where an object says what it is, in whose text something is missing: its key, or its opening brace. */
function nameOf(object: Node): Span {
  const key = object.parent?.type === 'property' ? object.parent.children?.[0] : undefined;
  return key ?? { offset: object.offset, length: Math.min(1, object.length) };
}

/**
 * What a problem is about: the key, the value, the matrix axis that gave the value, or what the nearest parent that exists is called.
 * An editor that underlined all of a parent would hide in it every other problem.
 */
function spanFor(root: Node, { path, at }: Problem): Span {
  const exact = findNodeAtLocation(root, [...path]);
  if (exact !== undefined) return at === 'key' ? (exact.parent?.children?.[0] ?? exact) : exact;
  for (let length = path.length; length > 0; length--) {
    const axis = findNodeAtLocation(root, ['matrix', path.slice(0, length).join('.')]);
    if (axis !== undefined) return axis;
  }
  for (let length = path.length - 1; length > 0; length--) {
    const parent = findNodeAtLocation(root, path.slice(0, length));
    if (parent !== undefined) return nameOf(parent);
  }
  return nameOf(root);
}

/** A problem at the part of the text that it is about. */
function placed(root: Node, problem: Problem): PlacedProblem {
  const { offset, length } = spanFor(root, problem);
  return { ...problem, offset, length };
}

function located(text: string, problem: PlacedProblem): LocatedProblem {
  return { ...problem, ...lineAndColumn(text, problem.offset) };
}

interface CheckedText extends Omit<Checked, 'problems'> {
  /** The tree of the text; none where it is malformed. */
  readonly root: Node | undefined;
  /** In the order of the text. */
  readonly problems: readonly LocatedProblem[];
}

function checkText(text: string, catalogue: Catalogue): CheckedText {
  const { root, value, problems } = parseJsonText(text);
  const {
    settings,
    matrix,
    problems: wrong,
  } = root === undefined ? { settings: {}, matrix: undefined, problems: [] } : check(value, catalogue);
  const all = root === undefined ? problems : [...problems, ...wrong.map((problem) => placed(root, problem))];
  const inOrder = all.map((problem) => located(text, problem)).sort((a, b) => a.offset - b.offset);
  return { root, settings, matrix, problems: inOrder };
}

/** What editors want to know of the text of a configuration: everything that is wrong with it, in the order of the text. */
export interface InspectedConfiguration {
  readonly problems: readonly LocatedProblem[];
  /** Settings and matrix, as far as they could be read. */
  readonly settings: Settings;
  readonly matrix: Matrix | undefined;
}

/** Reads a text that may be half written; never throws for what it holds. */
export function inspectConfiguration(text: string, catalogue: Catalogue): InspectedConfiguration {
  return checkText(text, catalogue);
}

/** Everything that is wrong with the text of a configuration, in the order of the text; for editors. */
export function configurationProblems(text: string, catalogue: Catalogue): readonly LocatedProblem[] {
  return checkText(text, catalogue).problems;
}

/** More than anyone reads at once; of a file that is no configuration at all there may be thousands. */
const mostTold = 10;

/** One error for all problems: the first gives the line, the others follow with theirs. */
function problemError(file: string, problems: readonly (Problem & { readonly line?: number })[]): FileError {
  const [first, ...others] = problems;
  const more = others
    .slice(0, mostTold - 1)
    .map((problem) => `\n${file}${problem.line === undefined ? '' : `:${problem.line}`}: ${describeProblem(problem)}`);
  if (problems.length > mostTold) more.push(`\nand ${problems.length - mostTold} more`);
  const place = first === undefined || first.path.length === 0 ? '' : `${dotted(first.path)}: `;
  if (others.length === 0) return new FileError(file, first?.line, `${place}${first?.message ?? ''}`, first?.hint);
  return new FileError(file, first?.line, (first === undefined ? '' : describeProblem(first)) + more.join(''));
}

function written(file: string, settings: Settings, matrix: Matrix | undefined): WrittenConfiguration {
  return { file, settings, ...(matrix === undefined ? {} : { matrix }) };
}

/**
 * Reads the text of a `*.peft.json`: JSON with comments and trailing commas.
 * @param file its path, for messages and as the start of relative paths
 * @throws FileError that names line, key and expectation of everything that is wrong
 */
export function parseConfiguration(text: string, file: string, catalogue: Catalogue): WrittenConfiguration {
  const { settings, matrix, problems } = checkText(text, catalogue);
  if (problems.length > 0) throw problemError(file, problems);
  return written(file, settings, matrix);
}

/** Reads a configuration file. @throws FileError also where there is none, or it is no text in UTF-8 */
export function loadConfiguration(file: string, catalogue: Catalogue): WrittenConfiguration {
  const absolute = resolve(file);
  let bytes: Buffer;
  try {
    bytes = readFileSync(absolute);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const problem =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'this is a folder, not a configuration file'
          : `cannot be read (${code ?? 'unknown error'})`;
    throw new FileError(file, undefined, problem, undefined, { cause: error });
  }
  if (!isUtf8(bytes)) throw new FileError(file, undefined, 'is not text in UTF-8', 'Save it with that encoding.');
  return parseConfiguration(bytes.toString(), absolute, catalogue);
}

/** Where overrides were given. */
export interface OverridePlace {
  /** Relative paths in them start from this folder. */
  readonly folder: string;
  readonly probe: PathProbe;
}

/**
 * An override's value with its paths absolute. A model's name stays what it is where it neither looks like a path nor is a folder there:
 * it may be one on the hub.
 */
function withAbsolutePaths(value: unknown, path: string, place: OverridePlace): unknown {
  if (isRecord(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, withAbsolutePaths(inner, `${path}.${key}`, place)]),
    );
  if (typeof value !== 'string') return value;
  const absolute = absolutePath(value, place.folder);
  if (path === 'model' || path === 'model.id')
    return looksLikePath(value) || place.probe.isFolder(absolute) ? absolute : value;
  return path === 'task.data' || path.startsWith('task.data.') ? absolute : value;
}

/**
 * Replaces settings by dotted path: `training.epochs=1`. What stands after the first `=` is JSON where it reads as JSON, else a text. An
 * override takes the place of a matrix axis of the same path or below it, and is set within each value of an axis above it. The same
 * path given twice: the last one holds.
 * @param place where they were given; the configuration's own folder when absent
 * @throws FileError for a path that does not exist or a value that does not fit
 */
export function applyOverrides(
  configuration: WrittenConfiguration,
  overrides: readonly string[],
  catalogue: Catalogue,
  place: OverridePlace = { folder: dirname(configuration.file), probe: realPaths },
): WrittenConfiguration {
  if (overrides.length === 0) return configuration;
  const paths = new Set(settingPaths(configurationJsonSchema(catalogue)));
  const source = '--set';
  let settings = configuration.settings;
  let { matrix } = configuration;
  for (const override of overrides) {
    const equals = override.indexOf('=');
    if (equals < 1)
      throw new FileError(
        source,
        undefined,
        `"${override}" is not of the form key=value`,
        'For example training.epochs=1.',
      );
    const path = override.slice(0, equals).trim();
    if (!paths.has(path)) {
      const { message, hint } = unknownPath(path, catalogue);
      throw new FileError(source, undefined, `${path}: ${message}`, hint);
    }
    const value = withAbsolutePaths(bareOrJson(override.slice(equals + 1)), path, place);
    settings = withSetting(settings, path, value);
    matrix = matrix === undefined ? undefined : withoutPath(matrix, path);
    if (matrix !== undefined) matrix = withinValues(matrix, path, value);
  }
  const value = { ...settings, ...(matrix === undefined ? {} : { matrix }) };
  const checked = check(value, catalogue);
  if (checked.problems.length > 0) throw problemError(`${configuration.file} with ${source}`, checked.problems);
  return written(configuration.file, checked.settings, checked.matrix);
}

function bareOrJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What resolving asks of the file system. */
export interface PathProbe {
  isFolder(path: string): boolean;
  exists(path: string): boolean;
}

export const realPaths: PathProbe = {
  isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
  exists: (path) => statSync(path, { throwIfNoEntry: false }) !== undefined,
};

const hubId = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

function looksLikePath(text: string): boolean {
  return isAbsolute(text) || /^(\.{1,2}|~)([/\\]|$)/.test(text);
}

function absolutePath(path: string, folder: string): string {
  if (path === '~' || /^~[/\\]/.test(path)) return join(homedir(), path.slice(1));
  // An editor writes Windows' drives in small letters and a shell in capitals; settings of runs are compared as texts.
  return resolve(folder, path).replace(/^[a-z]:/, (drive) => drive.toUpperCase());
}

interface Resolved {
  readonly configuration: Configuration;
  readonly problems: readonly Problem[];
}

/** Makes the paths of a configuration absolute, and tells of those where there is nothing. */
function resolvePaths(configuration: Configuration, file: string, probe: PathProbe): Resolved {
  const folder = dirname(resolve(file));
  const problems: Problem[] = [];

  const resolved = (path: string, place: KeyPath): string => {
    const absolute = absolutePath(path, folder);
    if (!probe.exists(absolute)) problems.push({ path: place, at: 'value', message: `there is no ${absolute}` });
    return absolute;
  };

  const { id } = configuration.model;
  const candidate = absolutePath(id, folder);
  let modelId = id;
  if (probe.isFolder(candidate)) modelId = candidate;
  else if (looksLikePath(id))
    problems.push({ path: ['model'], at: 'value', message: `there is no folder ${candidate}` });
  else if (!hubId.test(id))
    problems.push({
      path: ['model'],
      at: 'value',
      message: `"${id}" is neither a folder nor the id of a model on the hub`,
    });

  const { data } = configuration.task;
  const files =
    data === undefined || typeof data === 'string'
      ? data === undefined
        ? undefined
        : resolved(data, ['task', 'data'])
      : {
          ...data,
          ...Object.fromEntries(
            Object.entries(data).map(([split, path]) => [split, resolved(path, ['task', 'data', split])]),
          ),
        };
  return {
    problems,
    configuration: {
      ...configuration,
      model: { ...configuration.model, id: modelId },
      task: { ...configuration.task, ...(files === undefined ? {} : { data: files }) },
    },
  };
}

/**
 * A run's configuration from settings as written: short forms written out, defaults filled in, paths absolute. A model is a folder when
 * it looks like a path or such a folder exists, else an id on the hub.
 * @throws FileError for a setting that does not fit, or a model or data path where there is nothing
 */
export function resolveConfiguration(
  { file, settings }: Pick<WrittenConfiguration, 'file' | 'settings'>,
  catalogue: Catalogue,
  probe: PathProbe = realPaths,
): Configuration {
  const parsed = configurationSchema(catalogue).safeParse(settings);
  if (!parsed.success)
    throw problemError(file, problemsOf(parsed.error.issues, settings, configurationJsonSchema(catalogue)));
  const { configuration, problems } = resolvePaths(parsed.data, file, probe);
  if (problems.length > 0) throw problemError(file, problems);
  return configuration;
}

/**
 * What would keep a configuration, in which nothing is wrong as a text, from being trained here: a model or data where there is
 * nothing, or no data at all. Of a sweep the first combination is looked at. For editors.
 */
export function startProblems(
  text: string,
  file: string,
  catalogue: Catalogue,
  probe: PathProbe = realPaths,
): readonly LocatedProblem[] {
  const { settings, matrix, problems, root } = checkText(text, catalogue);
  if (problems.length > 0 || root === undefined) return [];
  const first = withSettings(settings, firstAssignments(matrix));
  const parsed = configurationSchema(catalogue).safeParse(first);
  if (!parsed.success) return [];
  const found = [...resolvePaths(parsed.data, file, probe).problems];
  const { id, textsOf = id, data } = parsed.data.task;
  if (data === undefined && catalogue.tasks.ships?.(textsOf) !== true)
    found.push({
      path: ['task'],
      at: 'value',
      message: `names no data: where the files of ${id} are`,
      hint: 'Write { "id": …, "data": "the folder that holds train.tsv and dev.tsv" }.',
    });
  return found.map((problem) => located(text, placed(root, problem)));
}

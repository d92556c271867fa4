import { groupRuns, withoutRepetitions, type ConfiguredRun, type Group } from './aggregate.ts';
import { glueAverage, glueAverageTasks, taskScore, type GlueAverage, type SplitMetrics } from './glue-score.ts';
import { canonical, liesIn, settingAt, settingsOf, type Json } from './json.ts';
import { englishRowWords, type RowWords } from './row-words.ts';
import { summarise, type IntervalOptions, type SampleSummary } from './sample.ts';

/** What a comparison needs of a run. */
export interface ComparedRun extends ConfiguredRun {
  readonly state: string;
  readonly parameters: ParameterCounts | null;
  readonly epsilon: number | null;
  /** What training took, evaluations and checkpoints left out. */
  readonly trainSeconds: number | null;
  readonly best: EvaluatedStep | null;
  readonly last: EvaluatedStep | null;
}

/** Trained numbers: the method's own, the head's, and both. */
export interface ParameterCounts {
  readonly method: number;
  readonly head: number;
  readonly total: number;
}

export interface EvaluatedStep {
  readonly step: number;
  readonly splits: SplitMetrics;
}

export interface ComparisonOptions {
  /** The settings whose values make a row; without it every setting but the seed, what is incidental, and the column's. */
  readonly rows?: readonly string[];
  /** The setting whose values make the columns; `task` unless said otherwise. */
  readonly columns?: string;
  /** `score`, the task's single number; or a metric of the dev part (`accuracy`), or of another (`dev-mismatched/accuracy`). */
  readonly metric?: string;
  /** The evaluation that counts: the best on the selecting part (the default; the last where none was chosen), or the last. */
  readonly at?: 'best' | 'last';
  readonly interval?: IntervalOptions;
  /** Only runs in these states; finished ones unless said otherwise. */
  readonly states?: readonly string[];
  /** What rows are called by in the reader's language; English without it. */
  readonly words?: RowWords;
}

/** The least and the greatest of what the runs say; equal where all agree. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

export interface ParameterRanges {
  readonly method: Range;
  readonly head: Range;
  readonly total: Range;
}

export interface ComparisonCell {
  readonly summary: SampleSummary;
  /** The best mean of the column, or the one after it; equal means share a place, and a lone row has none. */
  readonly place: 'best' | 'second' | null;
  readonly runs: readonly string[];
  /** How many configurations, the seed apart, the values come from. More than one: the spread is not that of seeds alone. */
  readonly configurations: number;
  /** Parts of the task that the number should include and that were not evaluated. */
  readonly missingSplits: readonly string[];
  readonly parameters: ParameterRanges | null;
  /** Null where no run is private; without an upper end where only some are. */
  readonly epsilon: Range | null;
  /** The mean over the runs that tell. */
  readonly trainSeconds: number | null;
}

export interface ComparisonRow {
  readonly label: string;
  /** What the row's runs agree in. */
  readonly settings: Readonly<Record<string, Json>>;
  readonly parameters: ParameterRanges | null;
  readonly epsilon: Range | null;
  /** The mean over the row's runs that tell. */
  readonly trainSeconds: number | null;
  /** By column; null where there is nothing. */
  readonly cells: readonly (ComparisonCell | null)[];
  /** Over the means of GLUE's tasks; null unless the columns are tasks and two of GLUE's are among them. */
  readonly average: GlueAverage | null;
}

/** A run that the table leaves out. `state`: it has not finished. `repeated`: a later run has its configuration and seed. */
export interface LeftOut {
  readonly run: string;
  readonly reason: 'state' | 'no-value' | 'no-column' | 'repeated';
}

/** The model of a table of methods by tasks, before it is drawn. */
export interface Comparison {
  readonly columnKey: string;
  readonly columns: readonly string[];
  readonly metric: string;
  readonly at: 'best' | 'last';
  readonly rows: readonly ComparisonRow[];
  readonly leftOut: readonly LeftOut[];
}

interface Value {
  readonly value: number;
  readonly missingSplits: readonly string[];
}

/**
 * The evaluation of a run that counts. Where none was chosen, as in a private run whose evaluation data are not public, the last one
 * stands for the best, as it does in listings.
 */
export function evaluationAt(
  { best, last }: Pick<ComparedRun, 'best' | 'last'>,
  at: 'best' | 'last',
): EvaluatedStep | null {
  return at === 'best' ? (best ?? last) : last;
}

/** The number of a run that the comparison is of. */
function valueOf(run: ComparedRun, task: string, metric: string, at: 'best' | 'last'): Value | null {
  const splits = evaluationAt(run, at)?.splits;
  if (splits === undefined) return null;
  if (metric === 'score') {
    const found = taskScore(task, splits);
    return found === null ? null : { value: found.score, missingSplits: found.missingSplits };
  }
  const slash = metric.indexOf('/');
  const [split, name] = slash < 0 ? ['dev', metric] : [metric.slice(0, slash), metric.slice(slash + 1)];
  const value = splits[split]?.[name];
  return typeof value === 'number' ? { value, missingSplits: [] } : null;
}

/** A setting as text: names as they are, everything else as JSON. */
export function settingText(value: Json | undefined): string {
  if (value === undefined || value === null) return '–';
  return typeof value === 'string' ? value : canonical(value);
}

type InWords = (value: Json | undefined, runs: readonly ComparedRun[], words: RowWords) => string;

function hasPrivacy({ config, epsilon }: ComparedRun): boolean {
  return epsilon !== null || [...settingsOf(config)].some(([path, value]) => value !== null && liesIn(path, 'privacy'));
}

function withValue(words: string, value: Json | undefined): string {
  return words.replaceAll('{value}', () => settingText(value));
}

/** A number that means nothing without its sign; private runs need not set it, and without privacy there is none. */
function ofPrivacy(set: keyof RowWords, unset: keyof RowWords): InWords {
  return (value, runs, words) => {
    if (value !== undefined && value !== null) return withValue(words[set], value);
    return runs.some(hasPrivacy) ? words[unset] : words.noPrivacy;
  };
}

/** Settings whose values alone tell nobody what they are of. */
const inWords: Readonly<Record<string, InWords>> = {
  'privacy.epsilon': ofPrivacy('rowEpsilon', 'rowNoEpsilon'),
  'privacy.delta': ofPrivacy('rowDelta', 'rowNoDelta'),
  'privacy.noiseMultiplier': ofPrivacy('rowNoise', 'rowNoNoise'),
  'training.seed': (value, _, words) => withValue(words.rowSeed, value),
};

/** What a row that is made by this setting is called by it. */
function rowPart(path: string, { settings, runs }: Group<ComparedRun>, words: RowWords): string {
  const value = settings.get(path);
  const say = Object.hasOwn(inWords, path) ? inWords[path] : undefined;
  return say === undefined ? settingText(value) : say(value, runs, words);
}

function rangeOf(values: readonly number[]): Range | null {
  return values.length === 0 ? null : { low: Math.min(...values), high: Math.max(...values) };
}

/** A run without privacy has no bound on its loss, and a group is as private as the least private of its runs. */
function epsilonRange(runs: readonly ComparedRun[]): Range | null {
  const range = rangeOf(runs.flatMap(({ epsilon }) => epsilon ?? []));
  return range !== null && runs.some(({ epsilon }) => epsilon === null) ? { ...range, high: Infinity } : range;
}

function parameterRanges(runs: readonly ComparedRun[]): ParameterRanges | null {
  const counts = runs.flatMap(({ parameters }) => parameters ?? []);
  const [method, head, total] = [
    rangeOf(counts.map((count) => count.method)),
    rangeOf(counts.map((count) => count.head)),
    rangeOf(counts.map((count) => count.total)),
  ];
  return method === null || head === null || total === null ? null : { method, head, total };
}

function meanSeconds(runs: readonly ComparedRun[]): number | null {
  const seconds = runs.flatMap(({ trainSeconds }) => trainSeconds ?? []);
  return seconds.length === 0 ? null : seconds.reduce((sum, each) => sum + each, 0) / seconds.length;
}

/** `rank` for `method.rank` and `model` for `model.id`, unless another of the paths is called so too. */
function shortNames(paths: readonly string[]): ReadonlyMap<string, string> {
  const endOf = (path: string): string => {
    const named = path.endsWith('.id') ? path.slice(0, -'.id'.length) : path;
    return named.slice(named.lastIndexOf('.') + 1);
  };
  return new Map(
    paths.map((path) => {
      const isAlone = paths.every((other) => other === path || endOf(other) !== endOf(path));
      return [path, isAlone ? endOf(path) : path];
    }),
  );
}

/** What tells how private a run is; with it, privacy settings that all private runs have in common are understood. */
const measuresOfPrivacy: ReadonlySet<string> = new Set(['privacy.epsilon', 'privacy.noiseMultiplier']);

/** The settings in which groups differ, those of privacy that runs without privacy merely lack left out. */
function differingPaths(groups: readonly Group<ComparedRun>[]): readonly string[] {
  const paths = [...new Set(groups.flatMap(({ settings }) => [...settings.keys()]))];
  const privateGroups = groups.filter(({ runs }) => runs.some(hasPrivacy));
  return paths.filter((path) => {
    const isUnderstood = liesIn(path, 'privacy') && !measuresOfPrivacy.has(path);
    const compared = isUnderstood ? privateGroups : groups;
    return new Set(compared.map(({ settings }) => settingText(settings.get(path)))).size > 1;
  });
}

/** The values of those settings that a group has, `rank=8`, by which it is told from its siblings. */
function describe({ settings }: Group<ComparedRun>, paths: readonly string[]): string {
  const names = shortNames(paths);
  const known = paths.filter((path) => settings.has(path));
  return known.map((path) => `${names.get(path) ?? path}=${settingText(settings.get(path))}`).join(' ');
}

/**
 * What tells each group of one method from those that it is compared with, having numbers in the same column: the settings in which they
 * differ. How runs of one task differ from those of another is left out, but for groups that would be called the same without it.
 */
function tellApart(siblings: readonly Group<ComparedRun>[], columnOf: (run: ComparedRun) => string): readonly string[] {
  const sharing = new Map<string, Set<Group<ComparedRun>>>();
  const columnsOf = (group: Group<ComparedRun>): ReadonlySet<string> => new Set(group.runs.map(columnOf));
  for (const group of siblings)
    for (const column of columnsOf(group)) sharing.set(column, (sharing.get(column) ?? new Set()).add(group));
  const differing = new Map([...sharing].map(([column, groups]) => [column, new Set(differingPaths([...groups]))]));
  const all = differingPaths(siblings);
  const brief = siblings.map((group) => {
    const compared = [...columnsOf(group)].flatMap((column) => differing.get(column) ?? []);
    return describe(
      group,
      all.filter((path) => compared.some((paths) => paths.has(path))),
    );
  });
  return siblings.map((group, index) => {
    const told = brief[index] ?? '';
    return brief.filter((other) => other === told).length === 1 ? told : describe(group, all);
  });
}

/** What tells the groups apart: the method's name first, then the settings in which they differ. */
function labelsOf(
  groups: readonly Group<ComparedRun>[],
  rows: readonly string[] | undefined,
  words: RowWords,
  columnOf: (run: ComparedRun) => string,
): readonly string[] {
  if (rows !== undefined) return groups.map((group) => rows.map((path) => rowPart(path, group, words)).join(' · '));
  const methodOf = ({ settings }: Group<ComparedRun>): string => settingText(settings.get('method.id'));
  const families = new Map<string, Group<ComparedRun>[]>();
  for (const group of groups) {
    const family = families.get(methodOf(group));
    if (family === undefined) families.set(methodOf(group), [group]);
    else family.push(group);
  }
  // The method's name says all that its groups agree in; what other methods are set to would only be noise.
  const details = new Map(
    [...families.values()].flatMap((siblings) => {
      const told = tellApart(siblings, columnOf);
      return siblings.map((group, index) => [group, told[index] ?? ''] as const);
    }),
  );
  return groups.map((group) => {
    const told = details.get(group) ?? '';
    return told === '' ? methodOf(group) : `${methodOf(group)} ${told}`;
  });
}

interface Counted {
  readonly run: ComparedRun;
  readonly column: string;
  readonly value: Value;
}

/** The runs that have a number to compare, and why the others have none. */
function countRuns(
  runs: readonly ComparedRun[],
  options: Required<Pick<ComparisonOptions, 'columns' | 'metric' | 'at' | 'states'>>,
) {
  const leftOut: LeftOut[] = [];
  const counted: Counted[] = [];
  const ended = runs.filter((run) => {
    const isWanted = options.states.includes(run.state);
    if (!isWanted) leftOut.push({ run: run.id, reason: 'state' });
    return isWanted;
  });
  const { runs: single, repeated } = withoutRepetitions(ended);
  leftOut.push(...repeated.map(({ id }): LeftOut => ({ run: id, reason: 'repeated' })));
  for (const run of single) {
    const flat = settingsOf(run.config);
    const column = settingAt(flat, options.columns);
    const task = settingAt(flat, 'task');
    const value = valueOf(run, typeof task === 'string' ? task : '', options.metric, options.at);
    if (column === undefined) leftOut.push({ run: run.id, reason: 'no-column' });
    else if (value === null) leftOut.push({ run: run.id, reason: 'no-value' });
    else counted.push({ run, column: settingText(column), value });
  }
  return { counted, leftOut };
}

/** GLUE's tasks in the order of its table, then other texts by the alphabet, numbers by size. */
function compareColumns(a: string, b: string): number {
  const place = (name: string): number => {
    const found = glueAverageTasks.indexOf(name);
    return found < 0 ? glueAverageTasks.length : found;
  };
  const [one, other] = [Number(a), Number(b)];
  if (place(a) !== place(b)) return place(a) - place(b);
  if (!Number.isNaN(one) && !Number.isNaN(other)) return one - other;
  return a < b ? -1 : Number(a > b);
}

/** The place of each mean among those of its column. Means that differ by rounding alone are equal. */
function placesOf(means: readonly (number | null)[]): readonly ComparisonCell['place'][] {
  const rounded = means.map((mean) => (mean === null ? null : Number(mean.toPrecision(12))));
  const known = rounded.filter((mean) => mean !== null);
  const [best, second] = [...new Set(known)].sort((a, b) => b - a);
  return rounded.map((mean) => {
    if (mean === null || known.length < 2) return null;
    if (mean === best) return 'best';
    return mean === second ? 'second' : null;
  });
}

/**
 * Compares runs in a table: a row for each group of settings, a column for each value of one setting (the task), in each cell the
 * mean over seeds with its interval and n.
 * @param runs in the order in which they were started
 */
export function compareRuns(runs: readonly ComparedRun[], options: ComparisonOptions = {}): Comparison {
  const { rows: rowKeys, columns: columnKey = 'task', metric = 'score', at = 'best', interval = {} } = options;
  const { states = ['finished'], words = englishRowWords } = options;
  const { counted, leftOut } = countRuns(runs, { columns: columnKey, metric, at, states });
  const columns = [...new Set(counted.map(({ column }) => column))].sort(compareColumns);
  const byRun = new Map(counted.map((each) => [each.run, each]));
  const groups = groupRuns(
    counted.map(({ run }) => run),
    rowKeys === undefined ? { except: [columnKey] } : { by: rowKeys },
  );
  const labels = labelsOf(groups, rowKeys, words, (run) => byRun.get(run)?.column ?? '');

  const cellsOf = (group: Group<ComparedRun>): readonly (Omit<ComparisonCell, 'place'> | null)[] =>
    columns.map((column) => {
      const members = group.runs.filter((run) => byRun.get(run)?.column === column);
      const values = members.flatMap((run) => byRun.get(run)?.value ?? []);
      const summary = summarise(
        values.map(({ value }) => value),
        interval,
      );
      if (summary === null) return null;
      return {
        summary,
        runs: members.map(({ id }) => id),
        configurations: groupRuns(members).length,
        missingSplits: [...new Set(values.flatMap(({ missingSplits }) => missingSplits))],
        parameters: parameterRanges(members),
        epsilon: epsilonRange(members),
        trainSeconds: meanSeconds(members),
      };
    });
  const cells = groups.map(cellsOf);
  const places = columns.map((_, index) => placesOf(cells.map((row) => row[index]?.summary.mean ?? null)));

  const averageOf = (row: (typeof cells)[number]): GlueAverage | null => {
    if (columnKey !== 'task' || metric !== 'score') return null;
    const means = columns.map((column, index) => [column, row[index]?.summary.mean] as const);
    if (columns.filter((column) => glueAverageTasks.includes(column)).length < 2) return null;
    return glueAverage(Object.fromEntries(means));
  };

  return {
    columnKey,
    columns,
    metric,
    at,
    leftOut,
    rows: groups.map((group, index) => {
      const row = cells[index] ?? [];
      return {
        label: labels[index] ?? '',
        settings: Object.fromEntries(group.settings),
        parameters: parameterRanges(group.runs),
        epsilon: epsilonRange(group.runs),
        trainSeconds: meanSeconds(group.runs),
        cells: row.map((cell, column) => (cell === null ? null : { ...cell, place: places[column]?.[index] ?? null })),
        average: averageOf(row),
      };
    }),
  };
}

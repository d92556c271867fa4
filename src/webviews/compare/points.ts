import type { Comparison, ComparisonCell, ComparisonRow, Range } from '../../analysis/comparison.ts';
import { settingText } from '../../analysis/comparison.ts';
import type { Json } from '../../analysis/json.ts';
import { paretoFront } from '../../analysis/pareto.ts';
import type { View } from './messages.ts';

/** The chart's points, before they are drawn. */

/** Where a point lies along the horizontal axis; `apart` is a category of its own beside the scale. */
export type Place =
  | { readonly kind: 'value'; readonly value: number }
  /** `none`: nothing is trained, which a log scale can't show, or no privacy is promised, which is no number. */
  | { readonly kind: 'apart'; readonly category: 'none' };

export interface Point {
  /** The same for the same point, whatever else changes. */
  readonly key: string;
  readonly label: string;
  readonly method: string;
  readonly column: string;
  readonly runs: readonly string[];
  readonly place: Place;
  /** A fraction. */
  readonly score: number;
  readonly interval: { readonly low: number; readonly high: number } | null;
  readonly n: number;
  readonly parameters: Range | null;
  readonly epsilon: Range | null;
  /** The panel that it is drawn in. */
  readonly facet: string;
  /** No other point of its panel is as good for less. */
  readonly isOnFront: boolean;
}

/** A panel of the chart. */
export interface Facet {
  readonly key: string;
  readonly points: readonly Point[];
  /** The front from left to right. */
  readonly front: readonly Point[];
}

/** Columns that the chart can show. */
export const averageColumn = 'average';

/** The columns that the chart can show: the tasks, and their average where some row has one. */
export function columnsOf(comparison: Comparison): readonly string[] {
  const hasAverage = comparison.rows.some(({ average }) => average !== null && average.average !== null);
  return hasAverage ? [...comparison.columns, averageColumn] : comparison.columns;
}

/** The column that a view shows of a comparison: the one it asks for where that is there, else the one with most rows. */
export function shownColumn(comparison: Comparison, view: Pick<View, 'column'>): string | undefined {
  if (view.column !== null && columnsOf(comparison).includes(view.column)) return view.column;
  const counts = comparison.columns.map((_, index) => comparison.rows.filter(({ cells }) => cells[index]).length);
  return comparison.columns[counts.indexOf(Math.max(...counts))];
}

/** The method of a row, for its symbol. */
export function methodOf(row: Pick<ComparisonRow, 'label' | 'settings'>): string {
  const { settings } = row;
  const id: Json | undefined = settings['method.id'] ?? settings.method;
  return id === undefined ? row.label : settingText(id);
}

/** The limits between the panels of privacy losses; the smallest loss protects most. */
const epsilonLimits = [1, 3, 8] as const;

/** Whether every run has a privacy loss: one that has none leaves the whole group without a bound. */
function isBounded(epsilon: Range | null): epsilon is Range {
  return epsilon !== null && epsilon.high !== Infinity;
}

/** The panel of a privacy loss: `none` without any, else `≤1`, `1–3`, `3–8`, `>8`. */
export function privacyFacet(epsilon: Range | null): string {
  if (!isBounded(epsilon)) return 'none';
  const index = epsilonLimits.findIndex((limit) => epsilon.high <= limit);
  return index < 0 ? String(epsilonLimits.length) : String(index);
}

/** The limits of a panel of privacy losses. */
export function facetLimits(facet: string): { readonly low: number | null; readonly high: number | null } | null {
  if (facet === 'none') return null;
  const index = Number(facet);
  return { low: epsilonLimits[index - 1] ?? null, high: epsilonLimits[index] ?? null };
}

function middle({ low, high }: Range): number {
  return low === high ? low : (low + high) / 2;
}

function placeOf(
  point: Pick<Point, 'parameters' | 'epsilon'>,
  view: Pick<View, 'axis' | 'count'>,
  range: Range | null,
): Place | null {
  if (view.axis === 'epsilon') {
    return isBounded(point.epsilon)
      ? { kind: 'value', value: middle(point.epsilon) }
      : { kind: 'apart', category: 'none' };
  }
  if (range === null) return null;
  const value = middle(range);
  return value > 0 ? { kind: 'value', value } : { kind: 'apart', category: 'none' };
}

type Bare = Omit<Point, 'place' | 'facet' | 'isOnFront'> & { readonly counted: Range | null };

/** What tells a row from every other of its comparison. */
export function rowKey({ label, settings }: Pick<ComparisonRow, 'label' | 'settings'>): string {
  return `${label}\n${JSON.stringify(settings)}`;
}

/** A run, and the column of the comparison that its number stands in. */
export interface ColumnRun {
  readonly column: string;
  readonly run: string;
}

/** The runs behind a row, column by column. */
export function runsOfRow({ columns }: Pick<Comparison, 'columns'>, { cells }: ComparisonRow): readonly ColumnRun[] {
  return columns.flatMap((column, index) => (cells[index]?.runs ?? []).map((run) => ({ column, run })));
}

function cellPoints(row: ComparisonRow, column: string, cell: ComparisonCell, view: View): readonly Bare[] {
  const common = {
    label: row.label,
    method: methodOf(row),
    column,
    parameters: cell.parameters?.total ?? null,
    counted: cell.parameters?.[view.count] ?? null,
    epsilon: cell.epsilon,
  };
  const key = `${column}\n${rowKey(row)}`;
  if (view.points === 'means')
    return [
      {
        ...common,
        key,
        runs: cell.runs,
        score: cell.summary.mean,
        interval: cell.summary.interval,
        n: cell.summary.n,
      },
    ];
  return cell.runs.map((run, index) => ({
    ...common,
    key: `${key}\n${run}`,
    runs: [run],
    score: cell.summary.values[index] ?? NaN,
    interval: null,
    n: 1,
  }));
}

/** The tasks that the most complete average is over, as one text; averages over others can't be held against it. */
export function averagedTasks(rows: readonly Pick<ComparisonRow, 'average'>[]): string {
  const lists = rows.flatMap(({ average }) => (average === null ? [] : [average.tasks]));
  return lists.reduce((most, tasks) => (tasks.length > most.length ? tasks : most), []).join(', ');
}

function averagePoint(row: ComparisonRow, tasks: string, view: View): readonly Bare[] {
  if (row.average === null || row.average.average === null || averagedTasks([row]) !== tasks) return [];
  const runs = row.cells.flatMap((cell) => cell?.runs ?? []);
  return [
    {
      key: `${averageColumn}\n${rowKey(row)}`,
      label: row.label,
      method: methodOf(row),
      column: averageColumn,
      runs,
      parameters: row.parameters?.total ?? null,
      counted: row.parameters?.[view.count] ?? null,
      epsilon: row.epsilon,
      score: row.average.average,
      interval: null,
      n: runs.length,
    },
  ];
}

/** A privacy loss to the digits that tell losses apart: runs calibrated to the same ε by different versions may differ in its fifth. */
export function distinctLoss(epsilon: number): number {
  return Number(epsilon.toPrecision(3));
}

/** What a point costs: the fewer parameters, or the smaller privacy loss, the better; no privacy costs most. */
function costOf(place: Place, axis: View['axis']): number {
  if (place.kind === 'value') return axis === 'epsilon' ? distinctLoss(place.value) : place.value;
  return axis === 'epsilon' ? Infinity : 0;
}

/**
 * The panels of the chart with their points and Pareto fronts: of the means, or of single runs, in one column of the comparison.
 * A row without a number there, or without a count of parameters when that is the axis, has no point; nor has an average over
 * fewer tasks than others.
 */
export function facetsOf(comparison: Comparison, view: View): readonly Facet[] {
  const column = shownColumn(comparison, view);
  if (column === undefined) return [];
  const index = comparison.columns.indexOf(column);
  const tasks = averagedTasks(comparison.rows);
  const bare = comparison.rows.flatMap((row) => {
    const cell = row.cells[index] ?? null;
    if (column === averageColumn && index < 0) return averagePoint(row, tasks, view);
    return cell === null ? [] : cellPoints(row, column, cell, view);
  });
  const placed = bare.flatMap(({ counted, ...point }) => {
    const place = placeOf(point, view, counted);
    if (place === null || !Number.isFinite(point.score)) return [];
    return [{ ...point, place, facet: view.facet === 'privacy' ? privacyFacet(point.epsilon) : 'all' }];
  });
  // From the strictest to no privacy at all.
  const keys = [...new Set(placed.map(({ facet }) => facet))].sort((a, b) =>
    a === 'none' ? 1 : b === 'none' ? -1 : a.localeCompare(b),
  );
  return keys.map((key) => {
    const members = placed.filter(({ facet }) => facet === key);
    const front = new Set(
      paretoFront(members.map((point) => ({ cost: costOf(point.place, view.axis), gain: point.score, point }))).map(
        ({ point }) => point,
      ),
    );
    const points = members.map((point): Point => ({ ...point, isOnFront: front.has(point) }));
    const byCost = points
      .filter(({ isOnFront }) => isOnFront)
      .sort((a, b) => costOf(a.place, view.axis) - costOf(b.place, view.axis));
    return { key, points, front: byCost };
  });
}

/** The metrics that runs can be compared by: `score` first, then those of the dev part, then `split/metric`. */
export function metricsOf(runs: Iterable<{ readonly best: Splits; readonly last: Splits }>): readonly string[] {
  const names = new Set<string>();
  for (const { best, last } of runs)
    for (const [split, metrics] of [...Object.entries(best?.splits ?? {}), ...Object.entries(last?.splits ?? {})])
      for (const name of Object.keys(metrics))
        if (name !== 'score') names.add(split === 'dev' ? name : `${split}/${name}`);
  return [
    'score',
    ...[...names].sort((a, b) => Number(a.includes('/')) - Number(b.includes('/')) || a.localeCompare(b)),
  ];
}

type Splits = { readonly splits: Readonly<Record<string, Readonly<Record<string, unknown>>>> } | null;

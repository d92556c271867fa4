import type { Comparison, ComparisonCell, Range } from '../../analysis/comparison.ts';
import { scoreMetrics } from '../../analysis/glue-score.ts';
import type { SampleSummary } from '../../analysis/sample.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import type { Scope, View } from './messages.ts';
import { averageColumn, averagedTasks, facetLimits, type Facet, type Point } from './points.ts';
import { taskTitle } from './task-titles.ts';

/** What the compare panel says in words. Names come from configurations and stay plain text. */

/** `93.5 ± 0.4`, `93.5 [93.1, 93.8]`; the mean alone without an interval. */
export function scoreText({ mean, interval }: Pick<SampleSummary, 'mean' | 'interval'>, formats: Formats): string {
  if (interval === null) return formats.percent(mean);
  if (interval.method === 'student') return `${formats.percent(mean)} ± ${formats.percent(interval.high - mean)}`;
  return `${formats.percent(mean)} [${formats.percent(interval.low)}, ${formats.percent(interval.high)}]`;
}

/** A number, or the least and the greatest where the runs differ. */
export function rangeText(range: Range | null, strings: Strings, formats: Formats): string {
  if (range === null) return strings.noValue;
  const one = (value: number): string =>
    value === Infinity ? '∞' : Number.isInteger(value) ? formats.integer(value) : formats.number(value);
  return range.low === range.high ? one(range.low) : `${one(range.low)}–${one(range.high)}`;
}

/** `1 run`, `3 runs`. */
export function runsText(n: number, strings: Strings): string {
  return n === 1 ? strings.oneRun : fill(strings.runs, { n });
}

/** The title of a column: a task's, or the average's. */
export function columnText(column: string, strings: Strings): string {
  return column === averageColumn ? strings.average : taskTitle(column);
}

/** The title of a part of the chart: which epsilons it shows, or that it shows runs without privacy. */
export function facetText(facet: string, strings: Strings): string {
  const limits = facetLimits(facet);
  if (limits === null) return strings.noPrivacy;
  const { low, high } = limits;
  if (high === null) return fill(strings.privacyAbove, { low: low ?? 0 });
  return low === null ? fill(strings.privacyUpTo, { high }) : fill(strings.privacyBetween, { low, high });
}

/** Where a point lies along the axis, in words. */
export function placeText(point: Pick<Point, 'place'>, view: View, strings: Strings, formats: Formats): string {
  const { place } = point;
  if (view.axis === 'epsilon')
    return place.kind === 'value' ? fill(strings.xEpsilon, { n: formats.number(place.value) }) : strings.noPrivacy;
  return fill(strings.xParameters, { n: formats.integer(place.kind === 'value' ? place.value : 0) });
}

/** `93.5 ± 0.4 (n = 3)`; of a single run the score alone. */
export function pointScoreText(point: Pick<Point, 'score' | 'interval' | 'n'>, formats: Formats): string {
  const { score, interval, n } = point;
  if (interval === null) return n === 1 ? formats.percent(score) : `${formats.percent(score)} (n = ${n})`;
  // Student's interval lies evenly about the mean, the bootstrap's need not.
  const isEven = Math.abs(interval.high + interval.low - 2 * score) < 1e-9;
  const spread = isEven
    ? `± ${formats.percent(interval.high - score)}`
    : `[${formats.percent(interval.low)}, ${formats.percent(interval.high)}]`;
  return `${formats.percent(score)} ${spread}${n === 1 ? '' : ` (n = ${n})`}`;
}

/** What the score of a column is made of, as far as that is known. */
function scoreName(column: string | undefined, strings: Strings): string {
  if (column === averageColumn) return strings.average;
  const metrics = column === undefined ? undefined : scoreMetrics(column);
  if (metrics === undefined) return strings.score;
  const [only, another] = metrics;
  return only !== undefined && another === undefined
    ? fill(strings.scoreOf, { metric: only })
    : fill(strings.scoreOfSeveral, { metrics: metrics.join(', ') });
}

/** The title of the vertical axis: what is measured, and in what. */
export function scoreAxisText(metric: string, points: readonly Pick<Point, 'column'>[], strings: Strings): string {
  return fill(strings.inPercent, { name: metric === 'score' ? scoreName(points[0]?.column, strings) : metric });
}

/** A point in one sentence: what a screen reader says of it, and its tooltip. */
export function pointText(point: Point, view: View, strings: Strings, formats: Formats): string {
  return fill(strings.pointSummary, {
    label: point.label,
    task: columnText(point.column, strings),
    score: pointScoreText(point, formats),
    x: placeText(point, view, strings, formats),
    front: point.isOnFront ? strings.onFront : strings.dominated,
  });
}

/** The chart in a few sentences, for those who can't see it: how much there is, what is best, what the front holds. */
export function chartText(facets: readonly Facet[], view: View, strings: Strings, formats: Formats): readonly string[] {
  return facets.flatMap((facet) => {
    const [first] = facet.points;
    if (first === undefined) return [];
    const best = facet.points.reduce((a, b) => (b.score > a.score ? b : a));
    const methods = new Set(facet.points.map(({ method }) => method));
    const name = (point: Point): string => `${point.label} (${formats.percent(point.score)})`;
    const title = facets.length > 1 ? `${facetText(facet.key, strings)}: ` : '';
    const frontShown = facet.front.slice(0, 12).map(name);
    const hidden = facet.front.length - frontShown.length;
    const list = frontShown.join(', ');
    return [
      title +
        fill(facet.points.length === 1 ? strings.summaryOne : strings.summaryCount, {
          points: formats.integer(facet.points.length),
          methods: methods.size === 1 ? best.method : `${methods.size} ${strings.legend.toLowerCase()}`,
          task: columnText(first.column, strings),
        }) +
        ' ' +
        fill(strings.summaryBest, {
          label: best.label,
          score: pointScoreText(best, formats),
          x: placeText(best, view, strings, formats),
        }) +
        ' ' +
        fill(strings.summaryFront, { list: hidden > 0 ? fill(strings.andMore, { list, n: hidden }) : list }),
    ];
  });
}

/** The signs behind a cell's number, explained by the notes. */
export function signsOf(cell: ComparisonCell): string {
  return `${cell.configurations > 1 ? '‡' : ''}${cell.missingSplits.length > 0 ? '†' : ''}`;
}

const leftOutTexts = {
  state: 'leftOutState',
  'no-value': 'leftOutNoValue',
  'no-column': 'leftOutNoColumn',
  repeated: 'leftOutRepeated',
} as const;

/** What must be known to read the table's numbers. */
export function notesOf(comparison: Comparison, strings: Strings, formats: Formats): readonly string[] {
  const cells = comparison.rows.flatMap((row) => row.cells).filter((cell) => cell !== null);
  const notes: string[] = [];
  if (cells.length > 0)
    notes.push(
      fill(strings.percentLegend, { metric: comparison.metric === 'score' ? strings.score : comparison.metric }),
    );
  const interval = cells.find(({ summary }) => summary.interval !== null)?.summary.interval;
  if (interval !== undefined && interval !== null) {
    const level = formats.number(100 * interval.level);
    notes.push(fill(interval.method === 'student' ? strings.studentLegend : strings.bootstrapLegend, { level }));
  }
  if (cells.some(({ place }) => place !== null)) notes.push(strings.bestLegend);
  if (cells.some(({ configurations }) => configurations > 1)) notes.push(strings.mixedLegend);
  const missing = new Set(cells.flatMap(({ missingSplits }) => missingSplits));
  if (missing.size > 0) notes.push(fill(strings.missingLegend, { splits: [...missing].join(', ') }));
  const averaged = averagedTasks(comparison.rows);
  if (comparison.rows.some(({ average }) => average !== null && averagedTasks([{ average }]) !== averaged))
    notes.push(fill(strings.averageLegend, { tasks: averaged }));
  const left = Object.entries(leftOutTexts).flatMap(([reason, key]) => {
    const n = comparison.leftOut.filter((each) => each.reason === reason).length;
    return n === 0 ? [] : [fill(strings[key], { n: formats.integer(n) })];
  });
  if (left.length > 0) notes.push(fill(strings.leftOut, { list: left.join(', ') }));
  return notes;
}

/** Which runs are compared: all, a sweep's, or those that were selected. */
export function scopeText(scope: Scope | undefined, runs: number, strings: Strings, formats: Formats): string {
  if (scope === undefined) return '';
  if (scope.kind === 'all') return `${strings.allRuns} (${formats.integer(runs)})`;
  if (scope.kind === 'sweep') return fill(strings.sweepRuns, { name: scope.name });
  return scope.count === 1 ? strings.selectedRun : fill(strings.selectedRuns, { n: formats.integer(scope.count) });
}

import { html, type TemplateResult } from 'lit';
import type { Comparison, ComparisonRow } from '../../analysis/comparison.ts';
import type { SortState } from '../components/sorting.ts';
import { table, type Column } from '../components/table.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import type { Mark } from './marks.ts';
import type { View } from './messages.ts';
import { methodCell } from './method-marks.ts';
import { averagedTasks, methodOf, rowKey, shownColumn, type Point } from './points.ts';
import { columnText, pointScoreText, rangeText, scoreText, signsOf } from './texts.ts';

export interface ComparedTable<Row> {
  readonly marks: ReadonlyMap<string, Mark>;
  readonly view: View;
  readonly strings: Strings;
  readonly formats: Formats;
  readonly onSort: (sort: SortState) => void;
  /** Undefined where no run can be opened. */
  readonly onOpen: ((row: Row) => void) | undefined;
}

function methodColumn<Row extends { readonly label: string }>(
  { marks, strings }: ComparedTable<Row>,
  method: (row: Row) => string,
): Column<Row> {
  return {
    id: 'method',
    title: strings.method,
    sortBy: ({ label }) => label,
    cell: (row) => methodCell(marks.get(method(row)), row.label),
    isHeader: true,
  };
}

/** The chart's points as a table, for those who read rather than look. */
export function pointsTable(points: readonly Point[], shared: ComparedTable<Point>): TemplateResult {
  const { view, strings, formats, onSort, onOpen } = shared;
  return table<Point>({
    caption: strings.pointsCaption,
    rows: points,
    key: ({ key }) => key,
    sort: view.pointSort ?? { column: 'score', descending: true },
    onSort,
    ...(onOpen === undefined ? {} : { onOpen }),
    columns: [
      methodColumn(shared, ({ method }) => method),
      {
        id: 'place',
        title: view.axis === 'epsilon' ? strings.privacyLoss : strings.trainedParameters,
        isNumeric: true,
        sortBy: ({ place }) => (place.kind === 'value' ? place.value : view.axis === 'epsilon' ? Infinity : 0),
        cell: ({ place }) =>
          place.kind === 'apart'
            ? view.axis === 'epsilon'
              ? strings.noPrivacy
              : formats.integer(0)
            : Number.isInteger(place.value)
              ? formats.integer(place.value)
              : formats.number(place.value),
      },
      {
        id: 'score',
        title: view.metric === 'score' ? strings.score : view.metric,
        isNumeric: true,
        sortBy: ({ score }) => score,
        cell: (point) => pointScoreText({ ...point, n: 1 }, formats),
      },
      {
        id: 'front',
        title: strings.front,
        sortBy: ({ isOnFront }) => (isOnFront ? 0 : 1),
        cell: ({ isOnFront }) => (isOnFront ? strings.onFront : strings.dominated),
      },
      { id: 'runs', title: strings.n, isNumeric: true, sortBy: ({ n }) => n, cell: ({ n }) => formats.integer(n) },
    ],
  });
}

/** Methods against tasks: mean, interval and number of runs in each cell, the best of a column marked. */
export function methodsTable(comparison: Comparison, shared: ComparedTable<ComparisonRow>): TemplateResult {
  const { view, strings, formats, onSort, onOpen } = shared;
  const { rows, columns } = comparison;
  const hasEpsilon = rows.some(({ epsilon }) => epsilon !== null);
  const hasAverage = rows.some(({ average }) => average !== null);
  const averaged = averagedTasks(rows);
  const title = {
    method: strings.methodParameters,
    head: strings.headParameters,
    total: strings.trainedParameters,
  }[view.count];
  const tasks = columns.map((column, index): Column<ComparisonRow> => ({
    id: `task ${column}`,
    title: columnText(column, strings),
    isNumeric: true,
    sortBy: ({ cells }) => cells[index]?.summary.mean ?? null,
    cell: ({ cells }) => {
      const cell = cells[index];
      if (cell === null || cell === undefined) return strings.noValue;
      return html`<span class=${cell.place ?? ''}>${scoreText(cell.summary, formats)}${signsOf(cell)}</span>
        <span class="quiet">n=${cell.summary.n}</span>`;
    },
  }));
  const shown = shownColumn(comparison, view);
  return table<ComparisonRow>({
    caption: strings.tableCaption,
    rows,
    key: rowKey,
    ...(view.sort !== null
      ? { sort: view.sort }
      : shown !== undefined && columns.includes(shown)
        ? { sort: { column: `task ${shown}`, descending: true } }
        : {}),
    onSort,
    ...(onOpen === undefined ? {} : { onOpen }),
    columns: [
      methodColumn(shared, methodOf),
      {
        id: 'parameters',
        title,
        isNumeric: true,
        sortBy: ({ parameters }) => parameters?.[view.count].high ?? null,
        cell: ({ parameters }) => rangeText(parameters?.[view.count] ?? null, strings, formats),
      },
      ...(hasEpsilon
        ? [
            {
              id: 'epsilon',
              title: strings.epsilon,
              isNumeric: true,
              // No privacy is the greatest loss there is.
              sortBy: ({ epsilon }: ComparisonRow) => epsilon?.high ?? Infinity,
              cell: ({ epsilon }: ComparisonRow) =>
                epsilon === null ? strings.noPrivacy : rangeText(epsilon, strings, formats),
            },
          ]
        : []),
      ...tasks,
      ...(hasAverage
        ? [
            {
              id: 'average',
              title: strings.average,
              isNumeric: true,
              // An average over easier tasks is none the better.
              sortBy: (row: ComparisonRow) =>
                averagedTasks([row]) === averaged ? (row.average?.average ?? null) : null,
              cell: ({ average }: ComparisonRow) => {
                if (average?.average === null || average === null) return strings.noValue;
                const { tasks: known, missing } = average;
                const of = fill(strings.averageOf, { n: known.length, total: known.length + missing.length });
                return missing.length === 0
                  ? formats.percent(average.average)
                  : html`${formats.percent(average.average)} <span class="quiet">${of}</span>`;
              },
            },
          ]
        : []),
      {
        id: 'duration',
        title: strings.duration,
        isNumeric: true,
        sortBy: ({ trainSeconds }) => trainSeconds,
        cell: ({ trainSeconds }) => (trainSeconds === null ? strings.noValue : formats.duration(1000 * trainSeconds)),
      },
    ],
  });
}

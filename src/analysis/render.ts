import { csvField } from '../base/csv.ts';
import { fixed, widthOf } from '../base/format.ts';
import type { Against, PairedDifference } from './against.ts';
import type { Comparison, ComparisonCell, ComparisonRow, Range } from './comparison.ts';
import type { SampleSummary } from './sample.ts';

/** Drawing of comparisons as text. CSV and JSON hold the numbers as they are; the others round and show percentages. */

export type ComparisonFormat = 'table' | 'csv' | 'json' | 'markdown';

export interface RenderOptions {
  readonly format?: ComparisonFormat;
  /** Which count of trained numbers the tables show; the total unless said otherwise. */
  readonly parameters?: 'method' | 'head' | 'total';
  /** Digits after the point of percentages. */
  readonly digits?: number;
  /** Differences to draw below the table; CSV, which is one table, has no place for them. */
  readonly against?: Against;
}

interface Style {
  readonly against: Against | undefined;
  readonly parameters: 'method' | 'head' | 'total';
  readonly digits: number;
}

const nothing = '–';

function percent(value: number, digits: number): string {
  return fixed(100 * value, digits);
}

/** `93.5 ± 0.4 (n=3)`; without an interval only mean and n. */
function summaryText({ mean, interval, n }: SampleSummary, digits: number): string {
  const count = `(n=${n})`;
  if (interval === null) return `${percent(mean, digits)} ${count}`;
  if (interval.method === 'student')
    return `${percent(mean, digits)} ± ${percent(interval.high - mean, digits)} ${count}`;
  return `${percent(mean, digits)} [${percent(interval.low, digits)}, ${percent(interval.high, digits)}] ${count}`;
}

function numberText(value: number): string {
  if (value === Infinity) return '∞';
  return Number.isInteger(value) ? value.toLocaleString('en-US') : String(Number(value.toPrecision(4)));
}

function rangeText(range: Range | null | undefined): string {
  if (range === null || range === undefined) return nothing;
  return range.low === range.high ? numberText(range.low) : `${numberText(range.low)} to ${numberText(range.high)}`;
}

function secondsText(seconds: number | null): string {
  if (seconds === null) return nothing;
  return seconds < 10 ? seconds.toFixed(1) : Math.round(seconds).toLocaleString('en-US');
}

const parameterTitles = { method: 'method parameters', head: 'head parameters', total: 'trained parameters' } as const;

interface Grid {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
}

interface Marks {
  readonly best: (text: string) => string;
  readonly second: (text: string) => string;
  readonly legend: string;
}

function signsOf(cell: ComparisonCell): string {
  return `${cell.configurations > 1 ? '‡' : ''}${cell.missingSplits.length > 0 ? '†' : ''}`;
}

function cellText(cell: ComparisonCell | null, style: Style, marks: Marks): string {
  if (cell === null) return nothing;
  const text = `${summaryText(cell.summary, style.digits)}${signsOf(cell)}`;
  return cell.place === null ? text : marks[cell.place](text);
}

function averageText({ average }: ComparisonRow, digits: number): string {
  if (average === null || average.average === null) return nothing;
  const isWhole = average.missing.length === 0;
  return `${percent(average.average, digits)}${isWhole ? '' : ` (${average.tasks.length} of ${average.tasks.length + average.missing.length})`}`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

const reasons = {
  state: 'not finished',
  'no-value': 'without this number',
  'no-column': 'without the setting of the columns',
  repeated: 'repeated later with the same configuration and seed',
} as const;

/** What must be known to read the numbers. */
function notesOf(comparison: Comparison, marks: Marks): readonly string[] {
  const { rows, leftOut, metric, at, columns } = comparison;
  const cells = rows.flatMap((row) => row.cells).filter((cell) => cell !== null);
  const interval = cells.find(({ summary }) => summary.interval !== null)?.summary.interval;
  const level = Number(percent(interval?.level ?? NaN, 10));
  const notes = [`${metric} in percent, at the ${at} evaluation; n counts the runs (seeds).`];
  if (rows.some(({ trainSeconds }) => trainSeconds !== null)) notes.push('seconds is the mean training time of a run.');
  if (interval?.method === 'student')
    notes.push(`± is the half-width of the ${level} % interval of the mean (Student's t).`);
  if (interval?.method === 'bootstrap') notes.push(`[ ] is the ${level} % bootstrap interval of the mean.`);
  if (cells.some(({ place }) => place !== null)) notes.push(marks.legend);
  if (cells.some(({ configurations }) => configurations > 1))
    notes.push('‡ The runs differ in more than the seed, so the spread is not that of seeds alone.');
  const missing = new Set(cells.flatMap(({ missingSplits }) => missingSplits));
  if (missing.size > 0) notes.push(`† Without ${[...missing].join(', ')}, which the number should include.`);
  const averages = rows.flatMap(({ average }) => (average === null ? [] : [average]));
  const lacking = averages[0]?.missing.filter((task) => !columns.includes(task)) ?? [];
  if (lacking.length > 0) notes.push(`The average is without ${lacking.join(', ')}.`);
  for (const [reason, says] of Object.entries(reasons)) {
    const count = leftOut.filter((each) => each.reason === reason).length;
    if (count > 0) notes.push(`Left out: ${plural(count, 'run')} ${says}.`);
  }
  return notes;
}

/** The texts of the table, the same for every way to draw one. */
function gridOf(comparison: Comparison, style: Style, marks: Marks): Grid {
  const { rows, columns } = comparison;
  const hasEpsilon = rows.some(({ epsilon }) => epsilon !== null);
  const hasAverage = rows.some(({ average }) => average !== null);
  const hasSeconds = rows.some(({ trainSeconds }) => trainSeconds !== null);
  return {
    header: [
      'method',
      parameterTitles[style.parameters],
      ...(hasEpsilon ? ['ε'] : []),
      ...columns,
      ...(hasAverage ? ['GLUE average'] : []),
      ...(hasSeconds ? ['seconds'] : []),
    ],
    rows: rows.map((row) => [
      row.label,
      rangeText(row.parameters?.[style.parameters]),
      ...(hasEpsilon ? [rangeText(row.epsilon)] : []),
      ...row.cells.map((cell) => cellText(cell, style, marks)),
      ...(hasAverage ? [averageText(row, style.digits)] : []),
      ...(hasSeconds ? [secondsText(row.trainSeconds)] : []),
    ]),
    notes: notesOf(comparison, marks),
  };
}

function pText(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`;
}

const untestable = {
  'too-few-pairs': 'too few pairs',
  'no-variation': 'all equal',
  'several-configurations': 'more than seeds differ',
} as const;

function differenceText(difference: PairedDifference | undefined, digits: number): string {
  if (difference === undefined) return nothing;
  const { n, meanDifference, adjustedP, reason } = difference;
  const why = reason === null ? (adjustedP === null ? '' : pText(adjustedP)) : untestable[reason];
  if (meanDifference === null) return why;
  const text = percent(meanDifference, digits);
  return `${Number(text) > 0 ? '+' : ''}${text} (n=${n}, ${why})`;
}

/** The differences as a table of their own: a row for each row but the one that they are from. */
function differencesOf({ columns }: Comparison, { row, differences }: Against, digits: number): Grid {
  const labels = [...new Set(differences.map((each) => each.row))];
  return {
    header: [`less ${row}`, ...columns],
    rows: labels.map((label) => [
      label,
      ...columns.map((column) =>
        differenceText(
          differences.find((each) => each.row === label && each.column === column),
          digits,
        ),
      ),
    ]),
    notes: [
      `Mean differences from ${row} in percentage points, over the n seeds that both have; p of Student's paired t-test, two-sided, corrected by Holm's method for all tests shown.`,
    ],
  };
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}

const plainMarks: Marks = {
  best: (text) => `${text} *`,
  second: (text) => `${text} +`,
  legend: '* best and + second best of the column.',
};

function drawTable(comparison: Comparison, style: Style): string {
  if (comparison.rows.length === 0)
    return ['No runs to compare.', ...notesOf(comparison, plainMarks).slice(1)].join('\n') + '\n';
  const { against } = style;
  const grids = [
    gridOf(comparison, style, plainMarks),
    ...(against === undefined ? [] : [differencesOf(comparison, against, style.digits)]),
  ];
  return `${grids.map(drawGrid).join('\n\n')}\n`;
}

function drawGrid({ header, rows, notes }: Grid): string {
  const lines = [header, ...rows].map((cells) => cells.map(oneLine));
  const widths = header.map((_, column) => Math.max(...lines.map((cells) => widthOf(cells[column] ?? ''))));
  const draw = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - widthOf(cell));
        // Names to the left, numbers to the right.
        return column === 0 ? cell + padding : padding + cell;
      })
      .join('  ')
      .trimEnd();
  const [first = [], ...rest] = lines;
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [draw(first), rule, ...rest.map(draw), '', ...notes].join('\n');
}

const markdownMarks: Marks = {
  best: (text) => `**${text}**`,
  second: (text) => `*${text}*`,
  legend: '**Bold** is the best of the column, *italic* the second best.',
};

function markdownText(text: string): string {
  return oneLine(text).replaceAll(/[\\`*_[\]<>|~]/g, (sign) => `\\${sign}`);
}

function drawMarkdown(comparison: Comparison, style: Style): string {
  // Names come from outside and are escaped; what is drawn here holds marks on purpose.
  const escaped: Comparison = {
    ...comparison,
    columns: comparison.columns.map(markdownText),
    metric: markdownText(comparison.metric),
    rows: comparison.rows.map((row) => ({ ...row, label: markdownText(row.label) })),
  };
  const { against } = style;
  const differences =
    against === undefined
      ? []
      : [
          differencesOf(
            escaped,
            {
              ...against,
              row: markdownText(against.row),
              differences: against.differences.map((each) => ({
                ...each,
                row: markdownText(each.row),
                column: markdownText(each.column),
              })),
            },
            style.digits,
          ),
        ];
  return `${[gridOf(escaped, style, markdownMarks), ...differences].map(drawMarkdownGrid).join('\n\n')}\n`;
}

function drawMarkdownGrid({ header, rows, notes }: Grid): string {
  const draw = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = header.map((_, column) => (column === 0 ? '---' : '---:'));
  return [draw(header), draw(rule), ...rows.map(draw), '', ...notes.map((note) => `- ${note}`)].join('\n');
}

/** One line a cell, so that any program can pivot it. */
function drawCsv(comparison: Comparison): string {
  const header = [
    'row',
    comparison.columnKey,
    'metric',
    'at',
    'n',
    'mean',
    'standard_deviation',
    'median',
    'interval_low',
    'interval_high',
    'interval_level',
    'interval_method',
    'place',
    'configurations',
    'missing_splits',
    'method_parameters',
    'head_parameters',
    'total_parameters',
    'epsilon',
    'train_seconds',
    'runs',
  ];
  // A range that is no single number has no place in a column of numbers.
  const single = (range: Range | null | undefined): number | null =>
    range !== null && range !== undefined && range.low === range.high ? range.low : null;
  const lines = comparison.rows.flatMap((row) =>
    row.cells.flatMap((cell, index) => {
      if (cell === null) return [];
      const { n, mean, standardDeviation, median, interval } = cell.summary;
      return [
        [
          row.label,
          comparison.columns[index],
          comparison.metric,
          comparison.at,
          n,
          mean,
          standardDeviation,
          median,
          interval?.low,
          interval?.high,
          interval?.level,
          interval?.method,
          cell.place,
          cell.configurations,
          cell.missingSplits.join(' '),
          single(cell.parameters?.method),
          single(cell.parameters?.head),
          single(cell.parameters?.total),
          single(cell.epsilon),
          cell.trainSeconds,
          cell.runs.join(' '),
        ],
      ];
    }),
  );
  return [header, ...lines].map((fields) => `${fields.map(csvField).join(',')}\r\n`).join('');
}

function drawJson(comparison: Comparison, { against }: Style): string {
  return `${JSON.stringify(against === undefined ? comparison : { ...comparison, against }, undefined, 2)}\n`;
}

const renderers: Readonly<Record<ComparisonFormat, (comparison: Comparison, style: Style) => string>> = {
  table: drawTable,
  csv: drawCsv,
  json: drawJson,
  markdown: drawMarkdown,
};

/** The formats that {@link renderComparison} draws. */
export const comparisonFormats = Object.keys(renderers) as readonly ComparisonFormat[];

/** The comparison as text that ends in a line feed. */
export function renderComparison(comparison: Comparison, options: RenderOptions = {}): string {
  const { format = 'table', parameters = 'total', digits = 1, against } = options;
  return renderers[format](comparison, { parameters, digits, against });
}

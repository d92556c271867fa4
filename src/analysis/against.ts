import { UserError } from '../base/errors.ts';
import { suggestion } from '../base/suggest.ts';
import type { ComparedRun, Comparison, ComparisonCell } from './comparison.ts';
import { settingText } from './comparison.ts';
import { seedKey } from './aggregate.ts';
import { settingAt, settingsOf } from './json.ts';
import { differencesBySeed, holm, pairedTTest, type SeededScore, type TestResult } from './significance.ts';

/** How a row differs from another in one column, by the seeds that both have. */
export interface PairedDifference {
  readonly row: string;
  readonly column: string;
  /** Seeds in common. */
  readonly n: number;
  /** The mean of the differences; null where no seed is in common. */
  readonly meanDifference: number | null;
  /** Of Student's paired t-test, two-sided; null where it has no answer, and `reason` says why. */
  readonly pValue: number | null;
  /** Corrected by Holm's method for the number of differences that were tested. */
  readonly adjustedP: number | null;
  /** `several-configurations`: a cell's runs differ in more than the seed, so that seeds make no pairs. */
  readonly reason: Extract<TestResult, { kind: 'untestable' }>['reason'] | 'several-configurations' | null;
}

/** The differences of all rows of a comparison from one of them. */
export interface Against {
  /** The label of the row that the others are held against. */
  readonly row: string;
  readonly test: 'paired-t';
  readonly differences: readonly PairedDifference[];
}

/**
 * The row that a text means: the one with that label, or the only one of the method of that name.
 * @throws UserError when there is none or more than one
 */
function rowOf({ rows }: Comparison, text: string): Comparison['rows'][number] {
  const labelled = rows.filter(({ label }) => label === text);
  const found =
    labelled.length > 0
      ? labelled
      : rows.filter(({ settings }) => settingText(settingAt(new Map(Object.entries(settings)), 'method')) === text);
  const [only, another] = found;
  if (only !== undefined && another === undefined) return only;
  if (only !== undefined)
    throw new UserError(
      `--against: "${text}" could be ${found.length} rows`,
      `Name one as the table does: ${found.map(({ label }) => `"${label}"`).join(', ')}.`,
    );
  throw new UserError(
    `--against: there is no row "${text}"`,
    suggestion(
      text,
      rows.map(({ label }) => label),
    ),
  );
}

/** A cell's values with the seeds of their runs. */
function scoresOf({ runs, summary }: ComparisonCell, seeds: ReadonlyMap<string, number>): readonly SeededScore[] {
  return runs.flatMap((id, index) => {
    const [seed, score] = [seeds.get(id), summary.values[index]];
    return seed === undefined || score === undefined ? [] : [{ seed, score }];
  });
}

function differenceOf(
  cell: ComparisonCell,
  other: ComparisonCell,
  seeds: ReadonlyMap<string, number>,
): Pick<PairedDifference, 'n' | 'meanDifference' | 'pValue' | 'reason'> {
  if (cell.configurations > 1 || other.configurations > 1)
    return { n: 0, meanDifference: null, pValue: null, reason: 'several-configurations' };
  const differences = differencesBySeed(scoresOf(cell, seeds), scoresOf(other, seeds));
  const result = pairedTTest(differences);
  const { n, meanDifference } = result;
  return result.kind === 'tested'
    ? { n, meanDifference, pValue: result.pValue, reason: null }
    : { n, meanDifference, pValue: null, reason: result.reason };
}

/**
 * Holds every row of a comparison against one of them, column by column, by the seeds that both have: a seed fixes the order of the
 * examples and the initial head, so that differences by seed vary less than the scores do.
 * @param runs those that the comparison was made of
 * @param against the label of a row, or the name of its method
 * @throws UserError when no row, or more than one, is meant
 */
export function differencesAgainst(comparison: Comparison, runs: readonly ComparedRun[], against: string): Against {
  const reference = rowOf(comparison, against);
  const seeds = new Map(
    runs.flatMap(({ id, config }) => {
      const seed = settingsOf(config).get(seedKey);
      return typeof seed === 'number' ? [[id, seed] as const] : [];
    }),
  );
  const untold = comparison.rows.flatMap((row) =>
    row === reference
      ? []
      : row.cells.flatMap((cell, index) => {
          const other = reference.cells[index];
          if (cell === null || other === null || other === undefined) return [];
          const column = comparison.columns[index] ?? '';
          return [{ row: row.label, column, ...differenceOf(cell, other, seeds) }];
        }),
  );
  const tested = untold.filter(({ pValue }) => pValue !== null);
  const adjusted = new Map(holm(tested.map(({ pValue }) => pValue ?? 1)).map((p, index) => [tested[index], p]));
  return {
    row: reference.label,
    test: 'paired-t',
    differences: untold.map((each) => ({ ...each, adjustedP: adjusted.get(each) ?? null })),
  };
}

import { runReader, standingOf, type Standing } from './derive.ts';
import { conditionOf, type RunFilter } from './listing.ts';
import { membersOf, type Members } from './records.ts';
import { allAsArrays, type Database } from './sqlite.ts';
import { summaryColumns, summaryOf, type RunSummary, type SummaryTuple } from './summaries.ts';

/** One run as comparisons need it. */
export interface ComparisonRow extends RunSummary, Standing {
  /** The configuration as it was started. */
  readonly config: Members | null;
}

/** The runs that meet the filter with their configurations and metrics, oldest first. */
export function comparisonRows(database: Database, filter: RunFilter = {}): readonly ComparisonRow[] {
  const { sql, parameters } = conditionOf(filter);
  const rows = allAsArrays(
    database,
    `SELECT key, config, ${summaryColumns.join(', ')} FROM runs LEFT JOIN configurations ON run = key
     WHERE ${sql} ORDER BY created_at, id`,
    ...parameters,
  ) as readonly (readonly [key: number, config: string | null, ...summary: SummaryTuple])[];
  const reader = runReader(database);
  return rows.map(([key, config, ...row]) => {
    const segments = reader.segments(key);
    return {
      ...summaryOf(row),
      ...standingOf(reader.evaluations(key, segments.horizon), reader.ending(key, segments)),
      config: membersOf(config),
    };
  });
}

import { runReader, standingOf, type EvaluationRow, type Standing } from './derive.ts';
import { membersOf, type Mark, type Members } from './records.ts';
import { every, first, numberOf, numberOrNull, textOf, textOrNull } from './rows.ts';
import { allAsArrays, type Database } from './sqlite.ts';
import { summaryColumns, summaryOf, type RunSummary, type SummaryTuple } from './summaries.ts';

export interface SegmentDetail {
  readonly segment: number;
  readonly startedAt: number | null;
  readonly fromStep: number | null;
  readonly totalSteps: number | null;
  readonly stepsPerEpoch: number | null;
  readonly trainExamples: number | null;
  readonly processId: number | null;
  readonly provider: string | null;
  readonly threads: number | null;
  readonly deviceReason: string | null;
}

export interface CheckpointDetail {
  readonly kind: string;
  /** Relative to the run's folder. */
  readonly path: string;
  readonly step: number | null;
  readonly time: number;
}

export interface DiagnosticDetail {
  readonly file: string;
  /** The byte at which the line begins. */
  readonly position: number;
  readonly problem: string;
  /** The beginning of the line. */
  readonly excerpt: string;
}

/** Everything of one run but its curves and logs. */
export interface RunDetail extends RunSummary, Standing {
  readonly config: Members | null;
  readonly environment: Members | null;
  readonly segmentDetails: readonly SegmentDetail[];
  /** Those that hold: a later segment replaces the steps that it repeats. */
  readonly evaluations: readonly EvaluationRow[];
  /** The newest of each path. */
  readonly checkpoints: readonly CheckpointDetail[];
  /** The names of the curves that the run has. */
  readonly metrics: readonly string[];
  readonly marks: readonly Mark[];
  readonly diagnosticDetails: readonly DiagnosticDetail[];
}

function checkpointsOf(database: Database, key: number): readonly CheckpointDetail[] {
  const rows = every(
    database.prepare(
      `SELECT kind, path, step, time FROM checkpoints JOIN events USING (run, segment, seq)
       WHERE run = ? ORDER BY segment, seq`,
    ),
    key,
  );
  const newest = new Map<string, CheckpointDetail>();
  for (const row of rows) {
    const path = textOf(row, 'path');
    newest.delete(path);
    newest.set(path, {
      kind: textOf(row, 'kind'),
      path,
      step: numberOrNull(row, 'step'),
      time: numberOf(row, 'time'),
    });
  }
  return [...newest.values()];
}

/** The names of the curves of a run, in alphabetical order. */
function metricNames(database: Database, key: number): readonly string[] {
  // One seek a name: points are ordered by run and metric.
  const statement = database.prepare(
    'SELECT name FROM metrics WHERE EXISTS (SELECT 1 FROM points WHERE run = ? AND metric = metrics.id) ORDER BY name',
  );
  return every(statement, key).map((row) => textOf(row, 'name'));
}

/** One run, or undefined where there is none of that id. Deleted runs are shown too, while their folder is there. */
export function showRun(database: Database, id: string): RunDetail | undefined {
  const [row] = allAsArrays(
    database,
    `SELECT ${summaryColumns.join(', ')} FROM runs WHERE id = ?`,
    id,
  ) as readonly SummaryTuple[];
  const document = first(
    database.prepare('SELECT key, config, environment FROM runs LEFT JOIN configurations ON run = key WHERE id = ?'),
    id,
  );
  if (row === undefined || document === undefined) return undefined;
  const key = numberOf(document, 'key');
  const reader = runReader(database);
  const segments = reader.segments(key);
  const evaluations = reader.evaluations(key, segments.horizon);
  const diagnostics = database.prepare(
    'SELECT file, position, problem, excerpt FROM diagnostics WHERE run = ? ORDER BY file, position',
  );
  return {
    ...summaryOf(row),
    ...standingOf(evaluations, reader.ending(key, segments)),
    config: membersOf(textOrNull(document, 'config')),
    environment: membersOf(textOrNull(document, 'environment')),
    segmentDetails: segments.rows.map((part) => ({
      segment: numberOf(part, 'segment'),
      startedAt: numberOrNull(part, 'started_at'),
      fromStep: numberOrNull(part, 'from_step'),
      totalSteps: numberOrNull(part, 'total_steps'),
      stepsPerEpoch: numberOrNull(part, 'steps_per_epoch'),
      trainExamples: numberOrNull(part, 'train_examples'),
      processId: numberOrNull(part, 'process_id'),
      provider: textOrNull(part, 'provider'),
      threads: numberOrNull(part, 'threads'),
      deviceReason: textOrNull(part, 'device_reason'),
    })),
    evaluations,
    checkpoints: checkpointsOf(database, key),
    metrics: metricNames(database, key),
    marks: reader.marks(key),
    diagnosticDetails: every(diagnostics, key).map((line) => ({
      file: textOf(line, 'file'),
      position: numberOf(line, 'position'),
      problem: textOf(line, 'problem'),
      excerpt: textOf(line, 'excerpt'),
    })),
  };
}

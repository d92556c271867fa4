import { smooth, type Smoothing } from '../base/smoothing.ts';
import type { RunState } from '../runs/events.ts';
import { limitOf, runReader, standingOf, type EvaluationRow, type Standing } from './derive.ts';
import { thin, type Thinning } from './downsample.ts';
import { isMembers, parse, type Counts, type Mark, type Members } from './records.ts';
import { every, first, numberOf, numberOrNull, textOf, textOrNull } from './rows.ts';
import { allAsArrays, type Database } from './sqlite.ts';
import { visible } from './visibility.ts';

/** One row of a listing. Times are milliseconds since 1970; null stands for not known (yet). */
export interface RunSummary {
  readonly id: string;
  readonly state: RunState;
  readonly name: string | null;
  readonly model: string | null;
  readonly task: string | null;
  readonly method: string | null;
  readonly seed: number | null;
  readonly tags: readonly string[];
  readonly note: string;
  readonly starred: boolean;
  /** Trained numbers. */
  readonly parameters: Counts | null;
  /** The task's single number on the selecting split: at the best step, and at the last evaluation. */
  readonly score: number | null;
  readonly bestStep: number | null;
  readonly lastScore: number | null;
  /** The privacy loss at the run's delta that was told last, at the end of an epoch; null also where the noise comes from a known seed. */
  readonly epsilon: number | null;
  readonly step: number | null;
  readonly totalSteps: number | null;
  readonly epoch: number | null;
  readonly loss: number | null;
  readonly examplesPerSecond: number | null;
  readonly remainingMs: number | null;
  readonly peakBytes: number | null;
  readonly trainSeconds: number | null;
  readonly provider: string | null;
  readonly host: string | null;
  /** How often the run was started. */
  readonly segments: number;
  /** Lines of its files that could not be read. */
  readonly diagnostics: number;
  readonly createdAt: number | null;
  readonly startedAt: number | null;
  readonly updatedAt: number | null;
  readonly endedAt: number | null;
  /** Why the run failed (`user`, `diverged`, `defect`) or was `interrupted`. */
  readonly failure: { readonly kind: string | null; readonly message: string | null } | null;
  /** The same for all runs of one sweep; null for a run by itself. */
  readonly sweep: string | null;
  /** The settings that tell it from the other runs of its sweep, by dotted path. */
  readonly label: Members;
}

const sortColumns = {
  id: 'id',
  state: 'state',
  name: 'name',
  model: 'model',
  task: 'task',
  method: 'method',
  seed: 'seed',
  starred: 'starred',
  parameters: 'parameters_total',
  methodParameters: 'parameters_method',
  score: 'score',
  lastScore: 'last_score',
  epsilon: 'epsilon',
  step: 'step',
  loss: 'loss',
  examplesPerSecond: 'examples_per_second',
  peakBytes: 'peak_bytes',
  trainSeconds: 'train_seconds',
  createdAt: 'created_at',
  startedAt: 'started_at',
  updatedAt: 'updated_at',
  endedAt: 'ended_at',
} as const;

export type SortKey = keyof typeof sortColumns;

/** The keys that a listing can be sorted by. */
export const sortKeys = Object.keys(sortColumns) as readonly SortKey[];

/** Which runs: every condition must hold, and a list is met by any of its members. */
export interface RunFilter {
  readonly ids?: readonly string[];
  /** Words that must all occur in id, name, model, task, method, tags or note, in any case. */
  readonly text?: string;
  readonly states?: readonly RunState[];
  readonly models?: readonly string[];
  readonly tasks?: readonly string[];
  readonly methods?: readonly string[];
  /** Tags that the run must all have. */
  readonly tags?: readonly string[];
  readonly starred?: boolean;
  readonly sweeps?: readonly string[];
}

export interface RunQuery extends RunFilter {
  /** The newest first unless said otherwise; runs without a value come last either way. */
  readonly sort?: { readonly by: SortKey; readonly descending?: boolean };
  readonly offset?: number;
  readonly limit?: number;
}

export interface RunPage {
  readonly runs: readonly RunSummary[];
  /** How many runs meet the filter, on all pages. */
  readonly total: number;
}

/**
 * A listing's row as SQLite hands it out: the columns of {@link summaryColumns} in their order. Rows travel so between threads,
 * because ten thousand small arrays are made and copied several times faster than objects. The schema is STRICT, so the types
 * hold.
 */
export type SummaryTuple = readonly [
  id: string,
  state: RunState,
  name: string | null,
  model: string | null,
  task: string | null,
  method: string | null,
  seed: number | null,
  tags: string,
  note: string,
  starred: 0 | 1,
  parametersMethod: number | null,
  parametersHead: number | null,
  parametersTotal: number | null,
  parametersFrozen: number | null,
  score: number | null,
  bestStep: number | null,
  lastScore: number | null,
  epsilon: number | null,
  step: number | null,
  totalSteps: number | null,
  epoch: number | null,
  loss: number | null,
  examplesPerSecond: number | null,
  remainingMs: number | null,
  peakBytes: number | null,
  trainSeconds: number | null,
  provider: string | null,
  host: string | null,
  segments: number,
  diagnostics: number,
  createdAt: number | null,
  startedAt: number | null,
  updatedAt: number | null,
  endedAt: number | null,
  failureKind: string | null,
  failureMessage: string | null,
  sweep: string | null,
  label: string,
];

const summaryColumns = `id, state, name, model, task, method, seed, tags, note, starred,
  parameters_method, parameters_head, parameters_total, parameters_frozen,
  score, best_step, last_score, epsilon, step, total_steps, epoch, loss, examples_per_second, remaining_ms,
  peak_bytes, train_seconds, provider, host, segments, diagnostics,
  created_at, started_at, updated_at, ended_at, failure_kind, failure_message, sweep, label`;

const noLabel: Members = {};

function stringsOf(json: string): readonly string[] {
  if (json === '[]') return [];
  const parsed = parse(json);
  return Array.isArray(parsed) ? parsed.filter((item): item is string => typeof item === 'string') : [];
}

/** The row as an object. */
export function summaryOf(row: SummaryTuple): RunSummary {
  const [
    id,
    state,
    name,
    model,
    task,
    method,
    seed,
    tags,
    note,
    starred,
    methodCount,
    head,
    total,
    frozen,
    score,
    bestStep,
    lastScore,
    epsilon,
    step,
    totalSteps,
    epoch,
    loss,
    examplesPerSecond,
    remainingMs,
    peakBytes,
    trainSeconds,
    provider,
    host,
    segments,
    diagnostics,
    createdAt,
    startedAt,
    updatedAt,
    endedAt,
    kind,
    message,
    sweep,
    label,
  ] = row;
  const isCounted = methodCount !== null && head !== null && total !== null;
  return {
    id,
    state,
    name,
    model,
    task,
    method,
    seed,
    tags: stringsOf(tags),
    note,
    starred: starred === 1,
    parameters: isCounted ? { method: methodCount, head, total, frozen } : null,
    score,
    bestStep,
    lastScore,
    epsilon,
    step,
    totalSteps,
    epoch,
    loss,
    examplesPerSecond,
    remainingMs,
    peakBytes,
    trainSeconds,
    provider,
    host,
    segments,
    diagnostics,
    createdAt,
    startedAt,
    updatedAt,
    endedAt,
    failure: kind === null && message === null ? null : { kind, message },
    sweep,
    label: label === '{}' ? noLabel : (membersOrNull(label) ?? noLabel),
  };
}

interface Condition {
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
}

/** The SQL holds fixed texts only; everything that the user gave is a parameter. */
function conditionOf(filter: RunFilter): Condition {
  const parts: Condition[] = [{ sql: 'deleted = 0', parameters: [] }];
  const among = (
    column: 'id' | 'state' | 'model' | 'task' | 'method' | 'sweep',
    values: readonly string[] | undefined,
  ): void => {
    if (values === undefined) return;
    parts.push({ sql: `${column} IN (SELECT value FROM json_each(?))`, parameters: [JSON.stringify(values)] });
  };
  among('id', filter.ids);
  among('state', filter.states);
  among('model', filter.models);
  among('task', filter.tasks);
  among('method', filter.methods);
  among('sweep', filter.sweeps);
  for (const word of (filter.text ?? '').toLowerCase().split(/\s+/u)) {
    if (word !== '') parts.push({ sql: 'instr(search, ?) > 0', parameters: [word] });
  }
  for (const tag of filter.tags ?? []) {
    parts.push({
      sql: "tags <> '[]' AND EXISTS (SELECT 1 FROM json_each(runs.tags) WHERE value = ?)",
      parameters: [tag],
    });
  }
  if (filter.starred !== undefined) parts.push({ sql: 'starred = ?', parameters: [Number(filter.starred)] });
  return { sql: parts.map(({ sql }) => sql).join(' AND '), parameters: parts.flatMap(({ parameters }) => parameters) };
}

/** A page of a listing before its rows are made objects. */
export interface RowPage {
  readonly rows: readonly SummaryTuple[];
  readonly total: number;
}

/** The page as objects. */
export function runPage({ rows, total }: RowPage): RunPage {
  return { runs: rows.map(summaryOf), total };
}

/** The runs that meet the query, one page of them; {@link runPage} makes objects of them. */
export function listRuns(database: Database, query: RunQuery = {}): RowPage {
  const { sql, parameters } = conditionOf(query);
  const { by, descending = false } = query.sort ?? { by: 'createdAt', descending: true };
  const column = sortColumns[by];
  const direction = descending ? 'DESC' : 'ASC';
  // By its id, which every run has, the index gives the order and nothing has to be sorted, whatever the page.
  const order = by === 'id' ? `ORDER BY id ${direction}` : `ORDER BY ${column} IS NULL, ${column} ${direction}, id`;
  const { limit, offset = 0 } = query;
  const isWhole = limit === undefined && offset === 0;
  // Sorting whole rows costs four times what sorting their keys does.
  const chosen = isWhole ? sql : `key IN (SELECT key FROM runs WHERE ${sql} ${order} LIMIT ? OFFSET ?)`;
  const rows = allAsArrays(
    database,
    `SELECT ${summaryColumns} FROM runs WHERE ${chosen} ${order}`,
    ...parameters,
    ...(isWhole ? [] : [limit ?? -1, offset]),
  ) as readonly SummaryTuple[];
  if (isWhole) return { rows, total: rows.length };
  const counted = first(database.prepare(`SELECT count(*) AS n FROM runs WHERE ${sql}`), ...parameters);
  return { rows, total: numberOf(counted ?? {}, 'n') };
}

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

function membersOrNull(document: string | null): Members | null {
  const parsed = document === null ? undefined : parse(document);
  return isMembers(parsed) ? parsed : null;
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
  const [row] = allAsArrays(database, `SELECT ${summaryColumns} FROM runs WHERE id = ?`, id) as readonly SummaryTuple[];
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
    config: membersOrNull(textOrNull(document, 'config')),
    environment: membersOrNull(textOrNull(document, 'environment')),
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
    `SELECT key, config, ${summaryColumns} FROM runs LEFT JOIN configurations ON run = key
     WHERE ${sql} ORDER BY created_at, id`,
    ...parameters,
  ) as readonly (readonly [key: number, config: string | null, ...summary: SummaryTuple])[];
  const reader = runReader(database);
  return rows.map(([key, config, ...row]) => {
    const segments = reader.segments(key);
    return {
      ...summaryOf(row),
      ...standingOf(reader.evaluations(key, segments.horizon), reader.ending(key, segments)),
      config: membersOrNull(config),
    };
  });
}

export interface CurveQuery {
  readonly run: string;
  /** `loss`, `learningRate`, …; of evaluations `dev/score`, `dev/loss`, …; of resources `residentBytes`, … */
  readonly metric: string;
  /** The first and the last step, both included. */
  readonly fromStep?: number;
  readonly toStep?: number;
  /** At most this many points; all without it. */
  readonly points?: number;
  readonly thinning?: Thinning;
  /** Also the moving average with this weight of the past (base/smoothing.ts), over every point before any is thinned out. */
  readonly smoothing?: number;
}

/** A curve by columns, by ascending step, no step twice. */
export interface Curve {
  readonly run: string;
  readonly metric: string;
  readonly step: Float64Array;
  /** Epochs done, NaN where the event doesn't say. */
  readonly epoch: Float64Array;
  /** Milliseconds since 1970. */
  readonly time: Float64Array;
  /** NaN where the number was NaN or infinite. */
  readonly value: Float64Array;
  /** How many points there are before thinning. */
  readonly total: number;
  /** Where it was asked for: the average at each step, and its state after the last one, to go on from there. */
  readonly smoothed?: { readonly value: Float64Array; readonly state: Smoothing };
}

type PointTuple = readonly [step: number, epoch: number | null, time: number, value: number | null];

interface Point {
  readonly segment: number;
  readonly step: number;
  readonly epoch: number;
  readonly time: number;
  readonly value: number;
}

/** The curve; an empty one where run or metric are not there. */
export function curveOf(database: Database, query: CurveQuery): Curve {
  const { run, metric, fromStep = 0, toStep = Number.MAX_SAFE_INTEGER, points, thinning = 'minmax', smoothing } = query;
  const found = first(database.prepare('SELECT key FROM runs WHERE id = ?'), run);
  const key = found === undefined ? -1 : numberOf(found, 'key');
  const { newestFirst, horizon } = runReader(database).segments(key);
  const sql = `SELECT e.step, e.epoch, e.time, p.value
     FROM points p JOIN events e ON e.run = p.run AND e.segment = p.segment AND e.seq = p.seq
     WHERE p.run = ? AND p.metric = (SELECT id FROM metrics WHERE name = ?) AND p.segment = ? AND e.step BETWEEN ? AND ?
     ORDER BY p.seq`;
  const rows = newestFirst.toReversed().flatMap((segment) => {
    const last = Math.min(toStep, limitOf(horizon, segment) - 1);
    // An average depends on all that came before.
    const first = smoothing === undefined ? fromStep : 0;
    const found = allAsArrays(database, sql, key, metric, segment, first, last) as readonly PointTuple[];
    return found.map(([step, epoch, time, value]): Point => ({
      segment,
      step,
      epoch: epoch ?? NaN,
      time,
      value: value ?? NaN,
    }));
  });
  const all = visible(rows, horizon);
  const begin = all.findIndex(({ step }) => step >= fromStep);
  const skipped = begin < 0 ? all.length : begin;
  const shown = all.slice(skipped);
  const indices =
    points === undefined
      ? shown.map((_, index) => index)
      : thin(
          shown.map(({ step }) => step),
          shown.map(({ value }) => value),
          points,
          thinning,
        );
  const kept = indices.map((index) => shown[index] as Point);
  const average =
    smoothing === undefined
      ? undefined
      : smooth(
          all.map(({ value }) => value),
          smoothing,
        );
  return {
    run,
    metric,
    step: Float64Array.from(kept, ({ step }) => step),
    epoch: Float64Array.from(kept, ({ epoch }) => epoch),
    time: Float64Array.from(kept, ({ time }) => time),
    value: Float64Array.from(kept, ({ value }) => value),
    total: shown.length,
    ...(average === undefined
      ? {}
      : {
          smoothed: {
            value: Float64Array.from(indices, (index) => average.values[skipped + index] as number),
            state: average.state,
          },
        }),
  };
}

/** Where a log was left off, to go on from there. */
export interface LogPosition {
  readonly segment: number;
  readonly seq: number;
}

export interface LogLine extends LogPosition {
  readonly time: number;
  readonly level: string;
  readonly message: string;
}

export interface LogQuery {
  readonly run: string;
  /** Only what was written after this line. */
  readonly after?: LogPosition;
  /** The newest this many. */
  readonly limit?: number;
}

/** What the trainer logged, oldest first. */
export function logsOf(database: Database, { run, after, limit }: LogQuery): readonly LogLine[] {
  const statement = database.prepare(
    `SELECT segment, seq, time, level, message FROM logs JOIN events USING (run, segment, seq)
     WHERE run = (SELECT key FROM runs WHERE id = ?) AND (segment, seq) > (?, ?)
     ORDER BY segment DESC, seq DESC LIMIT ?`,
  );
  return every(statement, run, after?.segment ?? -1, after?.seq ?? -1, limit ?? -1)
    .map((row) => ({
      segment: numberOf(row, 'segment'),
      seq: numberOf(row, 'seq'),
      time: numberOf(row, 'time'),
      level: textOf(row, 'level'),
      message: textOf(row, 'message'),
    }))
    .reverse();
}

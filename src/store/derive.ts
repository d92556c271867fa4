import type { StatementSync } from 'node:sqlite';
import { isRecord } from '../base/is-record.ts';
import type { RunState } from '../runs/events.ts';
import { metricsOf, number, parse, text, type Mark, type Members, type Metrics } from './records.ts';
import { every, first, numberOf, numberOrNull, textOf, textOrNull, type Row } from './rows.ts';
import { configurationFacts, environmentFacts } from './run-folder.ts';
import type { Database } from './sqlite.ts';
import { summaryColumns, type SummaryColumn } from './summaries.ts';
import { brokenOffAt, deriveState, interruptionOf, summariseMarks, type LatestSegment } from './state.ts';
import { horizonOf, visible, type Horizon } from './visibility.ts';

/**
 * The columns of `runs` that listings show. They are a function of the run's other rows alone, so that every order of reading
 * the files, and a rebuild, ends in the same row.
 */

/** An evaluation that holds (see visibility.ts). */
export interface EvaluationRow {
  readonly segment: number;
  readonly seq: number;
  readonly step: number;
  readonly epoch: number | null;
  readonly time: number;
  readonly split: string;
  readonly examples: number | null;
  readonly loss: number | null;
  readonly seconds: number | null;
  readonly best: boolean;
  readonly metrics: Metrics;
}

/** The metrics of every split at one step. */
export interface SplitMetrics {
  readonly step: number;
  readonly splits: Readonly<Record<string, Metrics>>;
}

/** The best and the last evaluation of a run. */
export interface Standing {
  readonly best: SplitMetrics | null;
  readonly last: SplitMetrics | null;
}

/** The split whose score selects the best step, where no evaluation says otherwise. */
const selectingSplit = 'dev';

function detailOf(row: Row | undefined): Members {
  const detail = row === undefined ? undefined : parse(textOf(row, 'detail'));
  return isRecord(detail) ? detail : {};
}

/** Rows of `segments` and the horizon that follows from them. */
export interface Segments {
  readonly rows: readonly Row[];
  readonly newestFirst: readonly number[];
  readonly horizon: Horizon;
}

/** The horizon as a number that SQLite can compare with. */
export function limitOf(horizon: Horizon, segment: number): number {
  return Math.min(horizon(segment), Number.MAX_SAFE_INTEGER);
}

/**
 * The best and the last evaluation. Best is the last one that the trainer called so; where the evaluations are lost, what the
 * `finished` event says of them.
 */
export function standingOf(evaluations: readonly EvaluationRow[], ending: Members): Standing {
  const at = (step: number): SplitMetrics => ({
    step,
    splits: Object.fromEntries(
      evaluations.filter((row) => row.step === step).map(({ split, metrics }) => [split, metrics]),
    ),
  });
  const chosen = evaluations.findLast(({ best }) => best);
  const split = chosen?.split ?? selectingSplit;
  const last = evaluations.findLast((row) => row.split === split) ?? evaluations.at(-1);
  if (chosen !== undefined) return { best: at(chosen.step), last: last === undefined ? null : at(last.step) };

  const best = isRecord(ending.best) ? ending.best : {};
  const [bestMetrics, bestStep] = [metricsOf(best.metrics), number(best.step)];
  const [lastMetrics, lastStep] = [metricsOf(ending.last), number(ending.step)];
  return {
    best: bestMetrics === null || bestStep === null ? null : { step: bestStep, splits: { [split]: bestMetrics } },
    last:
      last !== undefined
        ? at(last.step)
        : lastMetrics === null || lastStep === null || Object.keys(lastMetrics).length === 0
          ? null
          : { step: lastStep, splits: { [split]: lastMetrics } },
  };
}

function scoreIn(metrics: SplitMetrics | null): number | null {
  if (metrics === null) return null;
  const split = metrics.splits[selectingSplit] ?? Object.values(metrics.splits)[0];
  return split?.score ?? null;
}

/** Reads what the rows of one run say, for refreshing its row and for showing it. */
export interface RunReader {
  segments(run: number): Segments;
  evaluations(run: number, horizon: Horizon): readonly EvaluationRow[];
  /** The members of the newest segment's last terminal event; empty where it has not ended. */
  ending(run: number, segments: Segments): Members;
  marks(run: number): readonly Mark[];
}

/** Prepares the reader's statements. */
export function runReader(database: Database): RunReader {
  const segments = database.prepare('SELECT * FROM segments WHERE run = ? ORDER BY segment');
  const evaluations = database.prepare(
    `SELECT segment, seq, step, epoch, time, split, examples, loss, seconds, best, metrics
     FROM evaluations JOIN events USING (run, segment, seq) WHERE run = ? ORDER BY segment, seq`,
  );
  const ending = database.prepare(
    'SELECT type, detail FROM endings WHERE run = ? AND segment = ? ORDER BY seq DESC LIMIT 1',
  );
  const marks = database.prepare('SELECT type, time, detail FROM marks WHERE run = ? ORDER BY position');
  return {
    segments(run) {
      const rows = every(segments, run);
      const starts = rows.map((row) => ({
        segment: numberOf(row, 'segment'),
        fromStep: numberOrNull(row, 'from_step'),
      }));
      return { rows, newestFirst: starts.map(({ segment }) => segment).reverse(), horizon: horizonOf(starts) };
    },
    evaluations(run, horizon) {
      const rows = every(evaluations, run).map((row): EvaluationRow => {
        const metrics = metricsOf(parse(textOf(row, 'metrics')));
        return {
          segment: numberOf(row, 'segment'),
          seq: numberOf(row, 'seq'),
          step: numberOf(row, 'step'),
          epoch: numberOrNull(row, 'epoch'),
          time: numberOf(row, 'time'),
          split: textOf(row, 'split'),
          examples: numberOrNull(row, 'examples'),
          loss: numberOrNull(row, 'loss'),
          seconds: numberOrNull(row, 'seconds'),
          best: numberOf(row, 'best') === 1,
          metrics: metrics ?? {},
        };
      });
      return visible(rows, horizon, ({ split }) => split);
    },
    ending(run, { newestFirst }) {
      const [newest] = newestFirst;
      return newest === undefined ? {} : detailOf(first(ending, run, newest));
    },
    marks(run) {
      return every(marks, run).map((row) => ({
        type: textOf(row, 'type'),
        time: numberOrNull(row, 'time'),
        members: detailOf(row),
      }));
    },
  };
}

interface Progress {
  readonly step: number | null;
  readonly epoch: number | null;
  readonly loss: number | null;
  readonly examplesPerSecond: number | null;
  readonly epsilon: number | null;
  readonly peakBytes: number | null;
  readonly remainingMs: number | null;
}

function progressReader(database: Database): (run: number, segments: Segments) => Progress {
  const lastStep = database.prepare(
    `SELECT seq, step, epoch FROM events
     WHERE run = ? AND segment = ? AND type = 'step' AND step < ? ORDER BY seq DESC LIMIT 1`,
  );
  const point = (condition: string): StatementSync =>
    database.prepare(
      `SELECT value FROM points JOIN events USING (run, segment, seq)
       WHERE run = ? AND metric = (SELECT id FROM metrics WHERE name = ?) AND segment = ? AND ${condition}
       ORDER BY seq DESC LIMIT 1`,
    );
  const pointAt = point('seq = ?');
  const lastPoint = point('step < ?');
  // What was released stays so, also of steps that a later segment repeats. NULL stands for a loss without bound.
  const spent = database.prepare(
    `SELECT CASE WHEN count(*) = count(value) THEN max(value) END AS epsilon FROM points
     WHERE run = ? AND metric = (SELECT id FROM metrics WHERE name = 'epsilon')`,
  );
  const value = (
    statement: StatementSync,
    run: number,
    name: string,
    segment: number,
    bound: number,
  ): number | null => {
    const row = first(statement, run, name, segment, bound);
    return row === undefined ? null : numberOrNull(row, 'value');
  };
  return (run, { rows, newestFirst, horizon }) => {
    let at: { segment: number; row: Row } | undefined;
    for (const segment of newestFirst) {
      const row = first(lastStep, run, segment, limitOf(horizon, segment));
      if (row === undefined) continue;
      at = { segment, row };
      break;
    }
    const seq = at === undefined ? null : numberOf(at.row, 'seq');
    const atStep = (name: string): number | null =>
      at === undefined || seq === null ? null : value(pointAt, run, name, at.segment, seq);
    const peaks = newestFirst.flatMap(
      (segment) => value(lastPoint, run, 'peakResidentBytes', segment, Number.MAX_SAFE_INTEGER) ?? [],
    );
    const newest = rows.at(-1);
    return {
      step: at === undefined ? null : numberOrNull(at.row, 'step'),
      epoch: at === undefined ? null : numberOrNull(at.row, 'epoch'),
      loss: atStep('loss'),
      examplesPerSecond: atStep('examplesPerSecond'),
      epsilon: numberOrNull(first(spent, run) ?? {}, 'epsilon'),
      peakBytes: peaks.length === 0 ? null : Math.max(...peaks),
      remainingMs: newest === undefined ? null : numberOrNull(newest, 'remaining_ms'),
    };
  };
}

/** What a summary shows, and what only filters look at. */
type DerivedColumn = Exclude<SummaryColumn, 'id'> | 'deleted' | 'search';

const derivedColumns: readonly DerivedColumn[] = [
  ...summaryColumns.filter((column) => column !== 'id'),
  'deleted',
  'search',
];

function least(...values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((value) => typeof value === 'number');
  return known.length === 0 ? null : Math.min(...known);
}

function greatest(...values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((value) => typeof value === 'number');
  return known.length === 0 ? null : Math.max(...known);
}

/** Prepares the function that recomputes the row of a run; call it in the transaction that changed the run's other rows. */
export function refresher(database: Database): (run: number) => void {
  const reader = runReader(database);
  const progress = progressReader(database);
  const run = database.prepare('SELECT id FROM runs WHERE key = ?');
  const documents = database.prepare('SELECT config, environment FROM configurations WHERE run = ?');
  const seen = database.prepare("SELECT seen_time FROM sources WHERE run = ? AND file = 'config.json'");
  const firstEvent = database.prepare('SELECT time FROM events WHERE run = ? ORDER BY segment, seq LIMIT 1');
  const lastEvent = database.prepare('SELECT time FROM events WHERE run = ? AND segment = ? ORDER BY seq DESC LIMIT 1');
  const began = database.prepare(
    "SELECT 1 FROM events WHERE run = ? AND segment = ? AND type NOT IN ('log', 'resources') LIMIT 1",
  );
  const diagnostics = database.prepare('SELECT count(*) AS n FROM diagnostics WHERE run = ?');
  const update = database.prepare(
    `UPDATE runs SET ${derivedColumns.map((name) => `${name} = :${name}`).join(', ')} WHERE key = :key`,
  );

  function latestOf(key: number, { rows, newestFirst }: Segments, ending: Members): LatestSegment | undefined {
    const [segment] = newestFirst;
    const newest = rows.at(-1);
    const last = segment === undefined ? undefined : first(lastEvent, key, segment);
    if (segment === undefined || newest === undefined || last === undefined) return undefined;
    const { type } = ending;
    return {
      segment,
      lastAt: numberOf(last, 'time'),
      began: first(began, key, segment) !== undefined,
      ending: type === 'finished' || type === 'stopped' || type === 'failed' ? type : undefined,
    };
  }

  function timesOf(
    key: number,
    createdAt: number | null,
    marks: readonly Mark[],
    segments: Segments,
    latest: LatestSegment | undefined,
  ) {
    const opened = first(seen, key);
    const opening = first(firstEvent, key);
    const markTimes = marks.map(({ time }) => time);
    return {
      created_at:
        createdAt ??
        least(
          markTimes.find((time) => time !== null),
          opening === undefined ? null : numberOf(opening, 'time'),
        ) ??
        (opened === undefined ? null : numberOf(opened, 'seen_time')),
      started_at: least(...segments.rows.map((row) => numberOrNull(row, 'started_at'))),
      updated_at: greatest(latest?.lastAt, ...markTimes.slice(-1)),
    };
  }

  function endedAt(state: RunState, latest: LatestSegment | undefined, marks: readonly Mark[]): number | null {
    if (latest !== undefined && state === latest.ending) return latest.lastAt;
    const isOver = state === 'interrupted' || state === 'stopped' || state === 'failed' || state === 'finished';
    return isOver ? (brokenOffAt(marks) ?? latest?.lastAt ?? null) : null;
  }

  function failureOf(state: RunState, ending: Members, marks: readonly Mark[]) {
    if (state === 'failed') return { failure_kind: text(ending.kind), failure_message: text(ending.message) };
    if (state === 'interrupted') return { failure_kind: 'interrupted', failure_message: interruptionOf(marks) };
    return { failure_kind: null, failure_message: null };
  }

  return (key) => {
    const id = textOf(first(run, key) ?? {}, 'id');
    const document = first(documents, key) ?? {};
    const facts = configurationFacts(textOrNull(document, 'config'));
    const environment = environmentFacts(textOrNull(document, 'environment'));
    const marks = reader.marks(key);
    const marked = summariseMarks(marks, facts);
    const segments = reader.segments(key);
    const ending = reader.ending(key, segments);
    const latest = latestOf(key, segments, ending);
    const state = deriveState(latest, marks);
    const standing = standingOf(reader.evaluations(key, segments.horizon), ending);
    const now = progress(key, segments);
    const counted = segments.rows.findLast((row) => row.parameters_total !== null) ?? {};
    const newest = segments.rows.at(-1) ?? {};
    const search = [id, facts.name, facts.model, facts.task, facts.method, marked.note, ...marked.tags];
    const row: Record<DerivedColumn, string | number | null> = {
      ...timesOf(key, environment.createdAt, marks, segments, latest),
      state,
      name: facts.name,
      model: facts.model,
      task: facts.task,
      method: facts.method,
      seed: facts.seed,
      host: environment.host ?? marked.host,
      tags: JSON.stringify(marked.tags),
      note: marked.note,
      starred: Number(marked.starred),
      deleted: Number(marked.deleted),
      search: search
        .filter((part) => part !== null)
        .join('\n')
        .toLowerCase(),
      parameters_method: numberOrNull(counted, 'parameters_method'),
      parameters_head: numberOrNull(counted, 'parameters_head'),
      parameters_total: numberOrNull(counted, 'parameters_total'),
      parameters_frozen: numberOrNull(counted, 'parameters_frozen'),
      // A private run chooses no checkpoint by its evaluations: the last one counts.
      score: scoreIn(standing.best ?? standing.last),
      best_step: standing.best?.step ?? null,
      last_score: scoreIn(standing.last),
      epsilon: facts.insecure ? null : (now.epsilon ?? number(ending.epsilon)),
      step: now.step,
      total_steps: numberOrNull(newest, 'total_steps'),
      epoch: now.epoch,
      loss: now.loss,
      examples_per_second: now.examplesPerSecond,
      remaining_ms: state === 'running' ? now.remainingMs : null,
      peak_bytes: greatest(now.peakBytes, number(ending.peakResidentBytes)),
      train_seconds: number(ending.trainSeconds),
      provider: textOrNull(newest, 'provider'),
      segments: segments.rows.length,
      diagnostics: numberOf(first(diagnostics, key) ?? {}, 'n'),
      ended_at: endedAt(state, latest, marks),
      ...failureOf(state, ending, marks),
      sweep: environment.sweep,
      label: JSON.stringify(environment.label),
    };
    update.run({ ...row, key });
  };
}

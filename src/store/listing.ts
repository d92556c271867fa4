import type { RunState } from '../runs/events.ts';
import { first, numberOf } from './rows.ts';
import { allAsArrays, type Database } from './sqlite.ts';
import { summaryColumns, summaryOf, type RunSummary, type SummaryColumn, type SummaryTuple } from './summaries.ts';

/** The column that each key sorts by. */
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
} as const satisfies Readonly<Record<string, SummaryColumn>>;

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

/** A part of a WHERE clause over `runs`, with what its question marks stand for. */
interface Condition {
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
}

/** The SQL holds fixed texts only; everything that the user gave is a parameter. */
export function conditionOf(filter: RunFilter): Condition {
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
    `SELECT ${summaryColumns.join(', ')} FROM runs WHERE ${chosen} ${order}`,
    ...parameters,
    ...(isWhole ? [] : [limit ?? -1, offset]),
  ) as readonly SummaryTuple[];
  if (isWhole) return { rows, total: rows.length };
  const counted = first(database.prepare(`SELECT count(*) AS n FROM runs WHERE ${sql}`), ...parameters);
  return { rows, total: numberOf(counted ?? {}, 'n') };
}

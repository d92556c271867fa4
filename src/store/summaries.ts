import type { RunState } from '../runs/events.ts';
import { membersOf, parse, type Counts, type Members } from './records.ts';

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

/** What a column holds. The schema is STRICT, so the types hold. */
interface Kinds {
  readonly text: string;
  readonly 'text?': string | null;
  readonly number: number;
  readonly 'number?': number | null;
  readonly flag: 0 | 1;
  readonly state: RunState;
}

/** The columns of `runs` that make a summary, in the order in which a row has them. */
const columns = [
  ['id', 'text'],
  ['state', 'state'],
  ['name', 'text?'],
  ['model', 'text?'],
  ['task', 'text?'],
  ['method', 'text?'],
  ['seed', 'number?'],
  ['tags', 'text'],
  ['note', 'text'],
  ['starred', 'flag'],
  ['parameters_method', 'number?'],
  ['parameters_head', 'number?'],
  ['parameters_total', 'number?'],
  ['parameters_frozen', 'number?'],
  ['score', 'number?'],
  ['best_step', 'number?'],
  ['last_score', 'number?'],
  ['epsilon', 'number?'],
  ['step', 'number?'],
  ['total_steps', 'number?'],
  ['epoch', 'number?'],
  ['loss', 'number?'],
  ['examples_per_second', 'number?'],
  ['remaining_ms', 'number?'],
  ['peak_bytes', 'number?'],
  ['train_seconds', 'number?'],
  ['provider', 'text?'],
  ['host', 'text?'],
  ['segments', 'number'],
  ['diagnostics', 'number'],
  ['created_at', 'number?'],
  ['started_at', 'number?'],
  ['updated_at', 'number?'],
  ['ended_at', 'number?'],
  ['failure_kind', 'text?'],
  ['failure_message', 'text?'],
  ['sweep', 'text?'],
  ['label', 'text'],
] as const satisfies readonly (readonly [name: string, kind: keyof Kinds])[];

type Columns = typeof columns;

export type SummaryColumn = Columns[number][0];

export const summaryColumns: readonly SummaryColumn[] = columns.map(([name]) => name);

type ValuesOf<C extends readonly (readonly [string, keyof Kinds])[]> = { readonly [I in keyof C]: Kinds[C[I][1]] };

/**
 * A listing's row as SQLite hands it out. Rows travel so between threads, because ten thousand small arrays are made and copied several
 * times faster than objects.
 */
export type SummaryTuple = ValuesOf<Columns>;

/** Where each column stands in a row. */
type Places = { readonly [I in keyof Columns as I extends `${number}` ? Columns[I][0] : never]: I };

const at = Object.fromEntries(summaryColumns.map((name, place) => [name, place])) as unknown as Places;

const noLabel: Members = {};

function stringsOf(json: string): readonly string[] {
  if (json === '[]') return [];
  const parsed = parse(json);
  return Array.isArray(parsed) ? parsed.filter((item): item is string => typeof item === 'string') : [];
}

/** The row as an object. Written out, because a loop over the columns takes four times as long. */
export function summaryOf(row: SummaryTuple): RunSummary {
  const [method, head, total] = [row[at.parameters_method], row[at.parameters_head], row[at.parameters_total]];
  const [kind, message] = [row[at.failure_kind], row[at.failure_message]];
  const label = row[at.label];
  return {
    id: row[at.id],
    state: row[at.state],
    name: row[at.name],
    model: row[at.model],
    task: row[at.task],
    method: row[at.method],
    seed: row[at.seed],
    tags: stringsOf(row[at.tags]),
    note: row[at.note],
    starred: row[at.starred] === 1,
    parameters:
      method !== null && head !== null && total !== null
        ? { method, head, total, frozen: row[at.parameters_frozen] }
        : null,
    score: row[at.score],
    bestStep: row[at.best_step],
    lastScore: row[at.last_score],
    epsilon: row[at.epsilon],
    step: row[at.step],
    totalSteps: row[at.total_steps],
    epoch: row[at.epoch],
    loss: row[at.loss],
    examplesPerSecond: row[at.examples_per_second],
    remainingMs: row[at.remaining_ms],
    peakBytes: row[at.peak_bytes],
    trainSeconds: row[at.train_seconds],
    provider: row[at.provider],
    host: row[at.host],
    segments: row[at.segments],
    diagnostics: row[at.diagnostics],
    createdAt: row[at.created_at],
    startedAt: row[at.started_at],
    updatedAt: row[at.updated_at],
    endedAt: row[at.ended_at],
    failure: kind === null && message === null ? null : { kind, message },
    sweep: row[at.sweep],
    label: label === '{}' ? noLabel : (membersOf(label) ?? noLabel),
  };
}

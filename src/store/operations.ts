import { FileError, messageOf, UserError } from '../base/errors.ts';
import { errorCode } from '../runs/files.ts';
import { DatabaseError, type DatabaseProblem } from './errors.ts';
import type { IngestReport } from './ingest.ts';
import type { ComparisonRow } from './comparison-rows.ts';
import type { Curve, CurveQuery } from './curves.ts';
import type { RunFilter, RowPage, RunQuery } from './listing.ts';
import type { LogLine, LogQuery } from './logs.ts';
import type { RunDetail } from './run-detail.ts';
import type { JournalMode } from './sqlite.ts';

/** What the store's thread can be asked. Inputs and outputs are plain data, because they are copied from thread to thread. */
export interface Operations {
  readonly list: { readonly input: RunQuery; readonly output: RowPage };
  readonly show: { readonly input: string; readonly output: RunDetail | undefined };
  readonly curves: { readonly input: readonly CurveQuery[]; readonly output: readonly Curve[] };
  readonly comparison: { readonly input: RunFilter; readonly output: readonly ComparisonRow[] };
  readonly logs: { readonly input: LogQuery; readonly output: readonly LogLine[] };
  readonly ingest: { readonly input: readonly string[] | undefined; readonly output: IngestReport };
  readonly remove: { readonly input: string; readonly output: boolean };
  readonly reindex: { readonly input: undefined; readonly output: IngestReport };
  readonly check: { readonly input: undefined; readonly output: readonly string[] };
  readonly close: { readonly input: undefined; readonly output: undefined };
}

export type OperationName = keyof Operations;

/** What a worker thread is started with. */
export interface WorkerSetting {
  readonly path: string;
  readonly journalMode: JournalMode;
  readonly runsFolder: string;
  readonly timeoutMs?: number;
}

/** From the client to the thread. */
export type Request =
  | { readonly kind: 'ask'; readonly id: number; readonly operation: OperationName; readonly input: unknown }
  | { readonly kind: 'cancel'; readonly id: number };

/** From the thread to the client. */
export type Reply =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly error: PortableError }
  | { readonly kind: 'done'; readonly id: number; readonly output: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PortableError }
  | { readonly kind: 'notice'; readonly message: string };

/** An error as plain data, which keeps its class on the other side. */
export type PortableError =
  | { readonly kind: 'database'; readonly problem: DatabaseProblem; readonly message: string }
  | { readonly kind: 'file'; readonly file: string; readonly line: number | undefined; readonly problem: string }
  | { readonly kind: 'user'; readonly message: string }
  | { readonly kind: 'cancelled' }
  | {
      readonly kind: 'defect';
      readonly name: string;
      readonly message: string;
      readonly stack: string | undefined;
      readonly code: string | undefined;
    };

/** Packs whatever was thrown for the way to the other thread. */
export function packError(thrown: unknown): PortableError {
  const message = messageOf(thrown);
  if (thrown instanceof DatabaseError) return { kind: 'database', problem: thrown.problem, message };
  if (thrown instanceof FileError) {
    const { file, line } = thrown;
    // The message begins with the place, which the error on the other side puts there again.
    return { kind: 'file', file, line, problem: message.slice(new FileError(file, line, '').message.length) };
  }
  if (thrown instanceof UserError) return { kind: 'user', message };
  const error = thrown instanceof Error ? thrown : undefined;
  return { kind: 'defect', name: error?.name ?? 'Error', message, stack: error?.stack, code: errorCode(thrown) };
}

/** The error again, of the same class; a defect keeps the stack of the thread where it happened, the system's errors their code. */
export function unpackError(packed: PortableError): Error {
  switch (packed.kind) {
    case 'database':
      return new DatabaseError(packed.problem, packed.message);
    case 'file':
      return new FileError(packed.file, packed.line, packed.problem);
    case 'user':
      return new UserError(packed.message);
    case 'cancelled':
      return new DOMException('The request was cancelled', 'AbortError');
    case 'defect': {
      const error = new Error(packed.message);
      error.name = packed.name;
      if (packed.stack !== undefined) error.stack = packed.stack;
      return packed.code === undefined ? error : Object.assign(error, { code: packed.code });
    }
  }
}

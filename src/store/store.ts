import { Worker } from 'node:worker_threads';
import { DatabaseError } from './errors.ts';
import type { IngestReport } from './ingest.ts';
import {
  unpackError,
  type OperationName,
  type Operations,
  type Reply,
  type Request,
  type WorkerSetting,
} from './operations.ts';
import type { ComparisonRow } from './comparison-rows.ts';
import type { Curve, CurveQuery } from './curves.ts';
import { runPage, type RunFilter, type RunPage, type RunQuery } from './listing.ts';
import type { LogLine, LogQuery } from './logs.ts';
import type { RunDetail } from './run-detail.ts';
import { loadSqlite } from './sqlite.ts';

export interface StoreOptions extends WorkerSetting {
  /** The module of the thread; by default the one beside this file (`worker.ts`, in a bundle `store-worker.js` or `.mjs`). */
  readonly worker?: URL | string;
  /** Told in one sentence when the database was damaged and rebuilt. */
  readonly onNotice?: (message: string) => void;
}

export interface AskOptions {
  /** Gives the request up: at once where it waits, before its next step where it is being worked on. */
  readonly signal?: AbortSignal;
}

/**
 * The database of a workspace, held by a thread of its own. Every method rejects with a DatabaseError when the database can't
 * be used, and with the signal's reason when it was aborted. An idle store keeps no process alive.
 */
export interface Store {
  /** A page of the runs that meet the query. */
  list(query?: RunQuery, options?: AskOptions): Promise<RunPage>;
  /** One run, or undefined where there is none of that id. */
  show(id: string, options?: AskOptions): Promise<RunDetail | undefined>;
  /** The curves in the order of the queries. */
  curves(queries: readonly CurveQuery[], options?: AskOptions): Promise<readonly Curve[]>;
  /** The runs that meet the filter with configurations and metrics, oldest first. */
  comparison(filter?: RunFilter, options?: AskOptions): Promise<readonly ComparisonRow[]>;
  /** What a run's trainer logged, oldest first. */
  logs(query: LogQuery, options?: AskOptions): Promise<readonly LogLine[]>;
  /** Reads what was appended to the journals and marks of these runs, or of all; forgets runs whose folder is gone. */
  ingest(ids?: readonly string[], options?: AskOptions): Promise<IngestReport>;
  /** Deletes the rows of a run; they come back with the next ingest unless its folder is gone. */
  remove(id: string, options?: AskOptions): Promise<boolean>;
  /** Rebuilds the database from the run folders and puts the new content in place of the old at once. */
  reindex(options?: AskOptions): Promise<IngestReport>;
  /** Reads the whole database for damage, and rebuilds it when there is any; answers what was wrong. */
  check(options?: AskOptions): Promise<readonly string[]>;
  /** Finishes what is under way, gives up what waits, and ends the thread. */
  close(): Promise<void>;
}

interface Asked {
  readonly id: number;
  readonly operation: OperationName;
  readonly input: unknown;
  readonly resolve: (output: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/** Requests of one kind: one is with the thread, the others wait here, where they can be given up. */
interface Lane {
  readonly waiting: Asked[];
  current: Asked | undefined;
}

function defaultWorker(): URL {
  const here = import.meta.url;
  const ending = here.slice(here.lastIndexOf('.'));
  return new URL(ending === '.ts' ? './worker.ts' : `./store-worker${ending}`, here);
}

/**
 * Starts the thread and opens the database there, creating it where it is not there.
 * @throws DatabaseError
 */
export async function openStore({
  worker: module = defaultWorker(),
  onNotice,
  ...setting
}: StoreOptions): Promise<Store> {
  // Here too, so that a host without it hears of it before a thread is started.
  loadSqlite();
  const thread = new Worker(module, { workerData: setting satisfies WorkerSetting, name: 'peft-lab store' });
  const lanes: Readonly<Record<'questions' | 'work', Lane>> = {
    questions: { waiting: [], current: undefined },
    work: { waiting: [], current: undefined },
  };
  const all = Object.values(lanes);
  let count = 0;
  let closed = false;

  function post(request: Request): void {
    thread.postMessage(request);
  }

  function advance(lane: Lane): void {
    if (lane.current === undefined) {
      const next = lane.waiting.shift();
      lane.current = next;
      if (next !== undefined) post({ kind: 'ask', id: next.id, operation: next.operation, input: next.input });
    }
    if (closed || all.some(({ current }) => current !== undefined)) thread.ref();
    else thread.unref();
  }

  function fail(reason: Error): void {
    for (const lane of all) {
      lane.current?.reject(reason);
      for (const asked of lane.waiting) asked.reject(reason);
      lane.current = undefined;
      lane.waiting.length = 0;
    }
  }

  function settle(reply: Extract<Reply, { kind: 'done' | 'failed' }>): void {
    const lane = all.find(({ current }) => current?.id === reply.id);
    const asked = lane?.current;
    if (lane === undefined || asked === undefined) return;
    lane.current = undefined;
    if (reply.kind === 'done') asked.resolve(reply.output);
    else asked.reject(unpackError(reply.error));
    advance(lane);
  }

  const opened = new Promise<void>((resolve, reject) => {
    thread.on('message', (reply: Reply) => {
      if (reply.kind === 'opened') resolve();
      else if (reply.kind === 'refused') reject(unpackError(reply.error));
      else if (reply.kind === 'notice') onNotice?.(reply.message);
      else settle(reply);
    });
    thread.on('error', (thrown: Error) => {
      closed = true;
      reject(thrown);
      fail(thrown);
    });
    thread.on('exit', () => {
      closed = true;
      const reason = new DatabaseError('closed', `the thread of the database ${setting.path} has ended`);
      reject(reason);
      fail(reason);
    });
  });
  await opened;
  thread.unref();

  function ask<N extends OperationName>(
    laneName: keyof typeof lanes,
    operation: N,
    input: Operations[N]['input'],
    { signal }: AskOptions = {},
  ): Promise<Operations[N]['output']> {
    return new Promise((resolve, reject) => {
      if (closed) throw new DatabaseError('closed', `the database ${setting.path} is closed`);
      signal?.throwIfAborted();
      const lane = lanes[laneName];
      const onAbort = (): void => {
        const place = lane.waiting.indexOf(asked);
        if (place >= 0) lane.waiting.splice(place, 1);
        else post({ kind: 'cancel', id: asked.id });
        reject(signal?.reason as Error);
      };
      const leave = (): void => signal?.removeEventListener('abort', onAbort);
      const asked: Asked = {
        id: count++,
        operation,
        input,
        resolve: (output) => {
          leave();
          resolve(output as Operations[N]['output']);
        },
        reject: (reason) => {
          leave();
          reject(reason);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      lane.waiting.push(asked);
      advance(lane);
    });
  }

  return {
    list: async (query = {}, options) => runPage(await ask('questions', 'list', query, options)),
    show: (id, options) => ask('questions', 'show', id, options),
    curves: (queries, options) => ask('questions', 'curves', queries, options),
    comparison: (filter = {}, options) => ask('questions', 'comparison', filter, options),
    logs: (query, options) => ask('questions', 'logs', query, options),
    ingest: (ids, options) => ask('work', 'ingest', ids, options),
    remove: (id, options) => ask('work', 'remove', id, options),
    reindex: (options) => ask('work', 'reindex', undefined, options),
    check: (options) => ask('work', 'check', undefined, options),
    async close() {
      if (closed) return;
      const reason = new DatabaseError('closed', `the database ${setting.path} is closed`);
      for (const lane of all) for (const asked of lane.waiting.splice(0)) asked.reject(reason);
      const done = ask('work', 'close', undefined);
      closed = true;
      const exited = new Promise((resolve) => thread.once('exit', resolve));
      thread.ref();
      await done;
      await exited;
    },
  };
}

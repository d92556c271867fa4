import { parentPort, workerData } from 'node:worker_threads';
import { ingest, remover } from './ingest.ts';
import {
  packError,
  type OperationName,
  type Operations,
  type Reply,
  type Request,
  type WorkerSetting,
} from './operations.ts';
import { comparisonRows } from './comparison-rows.ts';
import { curveOf } from './curves.ts';
import { listRuns } from './listing.ts';
import { logsOf } from './logs.ts';
import { showRun } from './run-detail.ts';
import { openSession, type Session } from './session.ts';
import { inTransaction } from './sqlite.ts';

/**
 * The thread that holds the database (see store.ts for the other side). Questions are answered at once; work that writes is done
 * one after the other, in steps between which questions have their turn.
 */

type Answer<N extends OperationName> = (
  session: Session,
  input: Operations[N]['input'],
  pause: () => Promise<void>,
) => Operations[N]['output'] | Promise<Operations[N]['output']>;

async function stepwise<T>(steps: Generator<void, T>, pause: () => Promise<void>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await pause();
  }
}

const answers: { readonly [N in OperationName]: Answer<N> } = {
  list: (session, query) => session.use((database) => listRuns(database, query)),
  show: (session, id) => session.use((database) => showRun(database, id)),
  curves: (session, queries) => session.use((database) => queries.map((query) => curveOf(database, query))),
  comparison: (session, filter) => session.use((database) => comparisonRows(database, filter)),
  logs: (session, query) => session.use((database) => logsOf(database, query)),
  ingest: (session, ids, pause) =>
    stepwise(
      session.useSteps((database) => ingest(database, setting.runsFolder, ids === undefined ? {} : { ids })),
      pause,
    ),
  remove: (session, id) => session.use((database) => inTransaction(database, () => remover(database)(id))),
  reindex: (session, _, pause) => session.reindex(pause),
  check: (session) => session.check(),
  close: (session) => {
    session.close();
    return undefined;
  },
};

const questions: ReadonlySet<OperationName> = new Set(['list', 'show', 'curves', 'comparison', 'logs']);

const setting = workerData as WorkerSetting;
const underWay = new Set<number>();
const cancelled = new Set<number>();

class Cancelled extends Error {}

function post(reply: Reply): void {
  parentPort?.postMessage(reply);
}

function start(): Session | undefined {
  try {
    const session = openSession({ ...setting, onNotice: (message) => post({ kind: 'notice', message }) });
    post({ kind: 'opened' });
    return session;
  } catch (thrown) {
    post({ kind: 'refused', error: packError(thrown) });
    return undefined;
  }
}

async function answer(session: Session, request: Extract<Request, { kind: 'ask' }>): Promise<void> {
  const { id, operation, input } = request;
  const pause = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    if (cancelled.has(id)) throw new Cancelled();
  };
  try {
    if (cancelled.has(id)) throw new Cancelled();
    // The client pairs each operation with its input; the message channel forgets the pairing.
    const output = await (answers[operation] as Answer<OperationName>)(session, input as never, pause);
    post({ kind: 'done', id, output });
  } catch (thrown) {
    post({ kind: 'failed', id, error: thrown instanceof Cancelled ? { kind: 'cancelled' } : packError(thrown) });
  } finally {
    underWay.delete(id);
    cancelled.delete(id);
  }
  if (operation === 'close') parentPort?.close();
}

const session = start();
let work = Promise.resolve();

parentPort?.on('message', (request: Request) => {
  if (session === undefined) return;
  if (request.kind === 'cancel') {
    if (underWay.has(request.id)) cancelled.add(request.id);
    return;
  }
  underWay.add(request.id);
  if (questions.has(request.operation)) void answer(session, request);
  else work = work.then(() => answer(session, request));
});
if (session === undefined) parentPort?.close();

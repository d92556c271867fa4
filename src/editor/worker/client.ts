import { Worker } from 'node:worker_threads';
import { unpackError } from '../../store/operations.ts';
import type { OperationName, Operations, Reply, Request, WorkerSetting } from './operations.ts';

export interface AskOptions {
  /** When it is aborted the question rejects with its reason, and what the thread started for it ends. */
  readonly signal?: AbortSignal;
}

/** The extension's worker thread, started when it is first asked something. */
export interface WorkerClient {
  ask<N extends OperationName>(
    operation: N,
    input: Operations[N]['input'],
    options?: AskOptions,
  ): Promise<Operations[N]['output']>;
  close(): Promise<void>;
}

interface Asked {
  readonly resolve: (output: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * @param module the thread's program
 * @param onCrash told when the thread ended by itself; the next question starts another
 */
export function workerClient(
  module: URL | string,
  setting: WorkerSetting,
  onCrash: (reason: Error) => void,
): WorkerClient {
  const asked = new Map<number, Asked>();
  let thread: Worker | undefined;
  let count = 0;
  let closed = false;

  function fail(reason: Error): void {
    for (const { reject } of asked.values()) reject(reason);
    asked.clear();
  }

  function start(): Worker {
    const started = new Worker(module, { workerData: setting, name: 'peft-lab runs' });
    started.on('message', (reply: Reply) => {
      const question = asked.get(reply.id);
      asked.delete(reply.id);
      if (reply.kind === 'done') question?.resolve(reply.output);
      else question?.reject(unpackError(reply.error));
      // An idle thread keeps no process alive.
      if (asked.size === 0) started.unref();
    });
    const end = (reason: Error): void => {
      if (thread !== started) return;
      thread = undefined;
      if (!closed) onCrash(reason);
      fail(reason);
    };
    started.on('error', end);
    started.on('exit', (code) => end(new Error(`the worker thread ended with code ${code}`)));
    return started;
  }

  return {
    ask(operation, input, { signal } = {}) {
      return new Promise((resolve, reject) => {
        if (closed) throw new Error('the worker thread is closed');
        signal?.throwIfAborted();
        thread ??= start();
        const asking = thread;
        const id = count++;
        const post = (request: Request): void => asking.postMessage(request);
        const onAbort = (): void => {
          post({ kind: 'cancel', id });
          reject(signal?.reason as Error);
        };
        const leave = (): void => signal?.removeEventListener('abort', onAbort);
        signal?.addEventListener('abort', onAbort, { once: true });
        asked.set(id, {
          resolve: (output) => {
            leave();
            resolve(output as never);
          },
          reject: (reason) => {
            leave();
            reject(reason);
          },
        });
        asking.ref();
        post({ kind: 'ask', id, operation, input });
      });
    },
    async close() {
      closed = true;
      const ending = thread;
      thread = undefined;
      fail(new Error('the worker thread is closed'));
      await ending?.terminate();
    },
  };
}

import { hasEnded, runState, type RunStatus } from './run-state.ts';

interface EndAwaited {
  readonly pollMs: number;
  /** Whether a trainer that died is still to be recorded by someone here, who is then waited for. */
  readonly isSupervised: () => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Waits until a run has ended and its process is gone. @throws the signal's reason, or what reading the run's folder throws */
export function awaitEnd(folder: string, { pollMs, isSupervised, signal }: EndAwaited): Promise<RunStatus> {
  return new Promise((resolve, reject) => {
    let poll: NodeJS.Timeout | undefined;
    const abandon = (): void => {
      clearTimeout(poll);
      reject(signal?.reason instanceof Error ? signal.reason : new Error('no longer waited for'));
    };
    const look = (): void => {
      try {
        const status = runState(folder);
        if (hasEnded(status) && (status.holder === 'none' || (status.holder === 'dead' && !isSupervised()))) {
          signal?.removeEventListener('abort', abandon);
          resolve(status);
        } else poll = setTimeout(look, pollMs);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    signal?.addEventListener('abort', abandon, { once: true });
    if (signal?.aborted === true) abandon();
    else look();
  });
}

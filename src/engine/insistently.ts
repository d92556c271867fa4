import { setTimeout as delay } from 'node:timers/promises';
import { systemErrorCode } from './text-files.ts';

/**
 * Windows refuses to open, replace or delete a file that a reader, a virus scanner, an indexer or a synchronised folder holds at that moment.
 * That passes within milliseconds, so it is tried again for about a second before it counts.
 */

const passingCodes: ReadonlySet<string | undefined> = new Set(['EPERM', 'EACCES', 'EBUSY']);

const ATTEMPTS = 20;

/** @returns milliseconds until the next attempt; nothing where the error is no passing one, or that was the last */
function pauseAfter(error: unknown, attempt: number, platform: NodeJS.Platform): number | undefined {
  const passes = platform === 'win32' && attempt < ATTEMPTS && passingCodes.has(systemErrorCode(error));
  return passes ? 5 * attempt : undefined;
}

/** What a synchronous call on files gives, tried again where Windows refused it for the moment. @throws what the last attempt threw */
export function insistently<T>(call: () => T, platform: NodeJS.Platform = process.platform): T {
  for (let attempt = 1; ; attempt++) {
    try {
      return call();
    } catch (error) {
      const pauseMs = pauseAfter(error, attempt, platform);
      if (pauseMs === undefined) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    }
  }
}

/** As {@link insistently}, for calls that give a promise. */
export async function insist<T>(call: () => Promise<T>, platform: NodeJS.Platform = process.platform): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const pauseMs = pauseAfter(error, attempt, platform);
      if (pauseMs === undefined) throw error;
      await delay(pauseMs);
    }
  }
}

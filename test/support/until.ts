import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `probe` gives something. @throws Error naming what did not come */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  seconds = 120,
): Promise<T> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    const value = await probe();
    if (value !== undefined && value !== false && value !== null) return value;
    await delay(100);
  }
  throw new Error(`waited ${seconds} s for ${what}`);
}

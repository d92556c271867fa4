import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export interface Finished {
  readonly stdout: string;
  /** From the start of the process to its end. */
  readonly seconds: number;
  /** The sum of what the process and its descendants had resident at most, each by itself; undefined where there is no /proc. */
  readonly peakBytes: number | undefined;
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return undefined; // It ended between two looks, or this is no Linux.
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      (readProc(`${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function look(pid: number, peaks: Map<number, number>): void {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(`${pid}/status`) ?? '')?.[1];
  if (kilobytes !== undefined) peaks.set(pid, Number(kilobytes) * 1024);
  for (const child of childrenOf(pid)) look(child, peaks);
}

/**
 * Runs a program to its end and watches the memory of all its processes.
 * @throws Error when it fails, with the end of its stderr
 */
export async function runWatched(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const began = performance.now();
  const child = spawn(program, [...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000);
  });
  const peaks = new Map<number, number>();
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve(code ?? 1);
    });
  });
  let code: number | undefined;
  const remembered = ended.then((found) => {
    code = found;
    return (performance.now() - began) / 1000;
  });
  while (code === undefined) {
    if (child.pid !== undefined) look(child.pid, peaks);
    await Promise.race([remembered, pause(100)]);
  }
  if (code !== 0) throw new Error(`${program} ${args[0] ?? ''} ended with ${code}\n${stderr}`);
  const peakBytes = peaks.size === 0 ? undefined : [...peaks.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { stdout, seconds: await remembered, peakBytes };
}

import { execFile } from 'node:child_process';

/** How a program ended that was asked for something. */
export type ProgramAnswer =
  | { readonly kind: 'answered'; readonly stdout: string }
  /** `end` is a signal, an exit code, or why it could not be started. */
  | { readonly kind: 'failed'; readonly end: string; readonly stdout: string; readonly stderr: string }
  /** It did not end in time; `ended` settles when it does. */
  | { readonly kind: 'silent'; readonly ended: Promise<void> };

export interface Patience {
  readonly milliseconds: number;
  /** What ends it when that is over; another one in tests. */
  readonly killSignal?: NodeJS.Signals;
}

const MOST_BYTES = 1 << 20;

/**
 * Runs a program to its end and gives what it prints; no longer than it has patience. One that a driver keeps in the kernel no signal
 * ends: it is left behind, and keeps this process neither waiting nor alive.
 */
export function askProgram(
  program: string,
  args: readonly string[],
  { milliseconds, killSignal = 'SIGKILL' }: Patience,
): Promise<ProgramAnswer> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { windowsHide: true, maxBuffer: MOST_BYTES }, (error, stdout, stderr) => {
      clearTimeout(timer);
      if (error === null) resolve({ kind: 'answered', stdout });
      else resolve({ kind: 'failed', end: error.signal ?? `exit code ${error.code ?? 0}`, stdout, stderr });
    });
    const ended = new Promise<void>((closed) => child.once('close', () => closed()));
    const timer = setTimeout(() => {
      child.kill(killSignal);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      child.unref();
      resolve({ kind: 'silent', ended });
    }, milliseconds);
  });
}

import type { Launcher, LaunchStatus } from './launcher.ts';
import { appendMarks } from './marks.ts';

const nativeCrash = 'outside of JavaScript, in the runtime or a driver; peft-lab doctor tries them';
const missingInstructions = 'a library uses instructions that this processor lacks; peft-lab doctor tries them';

/** What signals of a crash mean, and exit codes of Windows (NTSTATUS). JavaScript itself causes none of them. */
const crashes: Readonly<Record<string, string>> = {
  SIGSEGV: nativeCrash,
  SIGBUS: nativeCrash,
  SIGFPE: nativeCrash,
  SIGILL: missingInstructions,
  '0xC0000005': nativeCrash,
  '0xC0000374': nativeCrash,
  '0xC000001D': missingInstructions,
  '0xC0000017': 'there was no memory left',
  '0xC000012D': 'there was no memory left',
};

/** The least exit code by which Windows tells of a crash. */
const LEAST_CRASH = 0xc0000000;

/** How a trainer ended whose run did not. */
export function describeEnd(status: LaunchStatus | undefined): string {
  if (status === undefined || status.state !== 'ended') return 'the trainer is gone';
  const { signal, exitCode } = status;
  if (signal === 'SIGKILL') return 'the trainer was killed by SIGKILL, perhaps for want of memory';
  const code =
    exitCode !== undefined && exitCode >= LEAST_CRASH ? `0x${exitCode.toString(16).toUpperCase()}` : undefined;
  const crash = crashes[signal ?? code ?? ''];
  if (crash !== undefined) return `the trainer crashed (${signal ?? code ?? ''}): ${crash}`;
  if (signal !== undefined) return `the trainer was killed by ${signal}`;
  if (status.exitCode !== undefined) return `the trainer ended with exit code ${status.exitCode} before its run did`;
  return status.detail ?? 'the trainer is gone; it was killed, or crashed';
}

/** The line of a crash's output that says most: the error itself rather than its stack. */
function telling(output: string | undefined): string | undefined {
  const lines = (output ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^Node\.js v\d/.test(line));
  return lines.findLast((line) => /^(\w*Error( \[\w+\])?|FATAL ERROR|fatal): /i.test(line)) ?? lines.at(-1);
}

/** How a launched process ended, or that it has not; nothing where none was launched. */
export async function launchStatus(launcher: Launcher, handle: unknown): Promise<LaunchStatus | undefined> {
  return handle === undefined ? undefined : (await launcher.poll([handle]))[0];
}

/** Records in a run's folder how its trainer ended before its run did, and what it wrote last. */
export async function recordInterruption(launcher: Launcher, handle: unknown, folder: string): Promise<void> {
  const status = await launchStatus(launcher, handle);
  const output = launcher.output(handle, folder);
  const line = telling(output);
  appendMarks(folder, [
    {
      type: 'interrupted',
      reason: `${describeEnd(status)}${line === undefined ? '' : `: ${line}`}`,
      ...(status?.state === 'ended' && status.exitCode !== undefined ? { exitCode: status.exitCode } : {}),
      ...(status?.state === 'ended' && status.signal !== undefined ? { signal: status.signal } : {}),
      ...(output === undefined ? {} : { output }),
    },
  ]);
}

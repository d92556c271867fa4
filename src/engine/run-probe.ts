import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Probe, ProbeResult } from './device.ts';

/** Long enough for a driver that compiles its first shaders on a busy machine; one that hangs is given up. */
const PATIENCE_MS = 60_000;

/** The probe's program: beside the bundle, or the source itself. */
function probeEntry(): string {
  const bundled = import.meta.url.endsWith('.js');
  return fileURLToPath(new URL(bundled ? './device-probe.js' : './device-probe.ts', import.meta.url));
}

function readResult(stdout: string): ProbeResult | undefined {
  try {
    const result: unknown = JSON.parse(stdout);
    if (typeof result !== 'object' || result === null || !('kind' in result)) return undefined;
    if (result.kind === 'fails' && 'reason' in result) return { kind: 'fails', reason: String(result.reason) };
    if (result.kind !== 'works') return undefined;
    const { rate, cpuRate, secondsPerOperation } = { rate: NaN, cpuRate: NaN, secondsPerOperation: NaN, ...result };
    if (![rate, cpuRate, secondsPerOperation].every(Number.isFinite)) return undefined;
    return { kind: 'works', rate, cpuRate, secondsPerOperation };
  } catch {
    return undefined;
  }
}

/** Tries a provider in a process of its own: whatever a driver does there, this process goes on. */
export function probeWith(entry: string, patienceMs = PATIENCE_MS): Probe {
  return (provider, threads, precision) =>
    new Promise((resolve) => {
      const options = { timeout: patienceMs, killSignal: 'SIGKILL', windowsHide: true, env: process.env } as const;
      execFile(process.execPath, [entry, provider, `${threads}`, precision], options, (error, stdout, stderr) => {
        const result = readResult(stdout);
        if (result !== undefined) resolve(result);
        else if (error?.killed === true)
          resolve({ kind: 'fails', reason: `it did not answer within ${patienceMs / 1000} s` });
        else {
          const said = stderr.trim().split('\n').at(-1) ?? '';
          const ended = error?.signal ?? `exit code ${error?.code ?? 0}`;
          resolve({ kind: 'fails', reason: `trying it ended with ${ended}${said === '' ? '' : `: ${said}`}` });
        }
      });
    });
}

export const runProbe: Probe = (...wish) => probeWith(probeEntry())(...wish);

import { fileURLToPath } from 'node:url';
import { askProgram } from './ask-program.ts';
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
  return async (provider, threads, precision) => {
    const args = [entry, provider, `${threads}`, precision];
    const answer = await askProgram(process.execPath, args, { milliseconds: patienceMs });
    if (answer.kind === 'silent') return { kind: 'fails', reason: `it did not answer within ${patienceMs / 1000} s` };
    const result = readResult(answer.stdout);
    if (result !== undefined) return result;
    const { end, stderr } = { end: 'exit code 0', stderr: '', ...answer };
    const said = stderr.trim().split('\n').at(-1) ?? '';
    return { kind: 'fails', reason: `trying it ended with ${end}${said === '' ? '' : `: ${said}`}` };
  };
}

export const runProbe: Probe = (...wish) => probeWith(probeEntry())(...wish);

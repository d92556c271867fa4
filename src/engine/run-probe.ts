import { fileURLToPath } from 'node:url';
import { askProgram } from './ask-program.ts';
import type { Probe, ProbeResult } from './device.ts';
import { printedProbe } from './probe-result.ts';

/** Long enough for a driver that compiles its first shaders on a busy machine; one that hangs is given up. */
const PATIENCE_MS = 60_000;

/** The probe's program: beside the bundle, or the source itself. */
function probeEntry(): string {
  const bundled = import.meta.url.endsWith('.js');
  return fileURLToPath(new URL(bundled ? './device-probe.js' : './device-probe.ts', import.meta.url));
}

function readResult(stdout: string): ProbeResult | undefined {
  try {
    return printedProbe.safeParse(JSON.parse(stdout)).data;
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

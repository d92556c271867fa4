import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { askProgram } from './ask-program.ts';

const resultSchema = z.discriminatedUnion('kind', [
  /** What was found, and where. */
  z.object({ kind: z.literal('works'), text: z.string() }),
  z.object({ kind: z.literal('absent') }),
  z.object({ kind: z.literal('fails'), reason: z.string() }),
]);

/** What came of looking for TensorFlow.js. */
export type TfjsProbeResult = z.output<typeof resultSchema>;

/** It is a large library, on a machine that may be busy. */
const PATIENCE_MS = 60_000;

function readResult(stdout: string): TfjsProbeResult | undefined {
  try {
    // What is loaded may have printed something of its own before.
    return resultSchema.safeParse(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).data;
  } catch {
    return undefined;
  }
}

/** Looks for TensorFlow.js and loads it in a process of its own, from the folder on in which this one works. */
export async function runTfjsProbe(): Promise<TfjsProbeResult> {
  const bundled = import.meta.url.endsWith('.js');
  const entry = fileURLToPath(new URL(bundled ? './tfjs-probe.js' : './tfjs-probe.ts', import.meta.url));
  const answer = await askProgram(process.execPath, [entry], { milliseconds: PATIENCE_MS });
  if (answer.kind === 'silent') return { kind: 'fails', reason: `it was not loaded within ${PATIENCE_MS / 1000} s` };
  const result = readResult(answer.stdout);
  if (result !== undefined) return result;
  const { end, stderr } = { end: 'exit code 0', stderr: '', ...answer };
  // What comes after its own words is the trace of a crash.
  const said = stderr.trim().split('\n')[0] ?? '';
  return { kind: 'fails', reason: `loading it ended with ${end}${said === '' ? '' : `: ${said}`}` };
}

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../src/base/errors.ts';

const found = z.object({
  versions: z.record(z.string(), z.string()),
  /** Whether torch.compile can work: it needs a C++ compiler. */
  compiles: z.boolean(),
  /** Whether MKL, which torch multiplies matrices with, leaves this processor's AVX-512 unused because it is not Intel's. */
  mklHoldsBack: z.boolean(),
});

export interface Python extends z.output<typeof found> {
  readonly path: string;
}

export const peerFolder = join(import.meta.dirname, 'peers');

/**
 * Environment under which MKL takes the processor for one of Intel's, and so uses its AVX-512: a library put before it that answers
 * the question in MKL's place. Nobody is told to run PyTorch like this, but it shows what a processor of Intel's would give.
 * @param folder where the library is compiled; undefined where there is no need for it or no C compiler
 */
export function mklOnItsIntelPath(
  { mklHoldsBack }: Python,
  folder: string,
): Readonly<Record<string, string>> | undefined {
  if (!mklHoldsBack) return undefined;
  const library = join(folder, 'intel.so');
  const source = 'int mkl_serv_intel_cpu_true(void) { return 1; }\nint mkl_serv_intel_cpu(void) { return 1; }\n';
  const { status } = spawnSync('cc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', library], { input: source });
  return status === 0 ? { LD_PRELOAD: library } : undefined;
}

function probe(path: string): Python | string {
  const { status, stdout, stderr, error } = spawnSync(path, [join(peerFolder, 'probe.py')], { encoding: 'utf8' });
  if (error !== undefined) return error.message;
  if (status !== 0) return stderr.trim().split('\n').at(-1) ?? `exit code ${String(status)}`;
  return { path, ...found.parse(JSON.parse(stdout)) };
}

/**
 * The Python that runs the peers: the one asked for, else PEFT_LAB_PYTHON, else `python3` if it has the libraries.
 * @throws UserError when one was asked for and cannot serve
 */
export function findPython(asked: string | undefined): Python | { readonly missing: string } {
  const named = asked ?? process.env['PEFT_LAB_PYTHON'];
  const result = probe(named ?? 'python3');
  if (typeof result !== 'string') return result;
  if (named !== undefined) throw new UserError(`${named} cannot run the peers: ${result}`);
  return { missing: `python3: ${result}` };
}

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../src/base/errors.ts';

const found = z.object({
  versions: z.record(z.string(), z.string()),
  /** Whether torch.compile can work: it needs a C++ compiler. */
  compiles: z.boolean(),
});

export interface Python extends z.output<typeof found> {
  readonly path: string;
}

export const peerFolder = join(import.meta.dirname, 'peers');

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

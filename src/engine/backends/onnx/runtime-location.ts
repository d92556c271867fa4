import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';

/** Which of two copies of the runtime is used: the one that comes with the program, or one with CUDA in the user's own folder. */

/** Written last: a folder without it is half a copy. */
export const marker = 'complete.json';

/** Where this program keeps what it downloads for a user. */
function dataFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const asked = environment['PEFT_LAB_DATA'] ?? '';
  if (asked !== '') return path.resolve(asked);
  const base = environment['XDG_DATA_HOME'] ?? '';
  return path.join(base === '' ? path.join(homedir(), '.local', 'share') : base, 'peft-lab');
}

const packaged = createRequire(import.meta.url);

/** The runtime that comes with the program. */
export function packagedFolder(): string {
  return path.dirname(path.dirname(packaged.resolve('onnxruntime-node')));
}

/** Where the runtime of a version lies with its CUDA provider, once it was brought there. */
export function cudaRuntimeFolder(version: string, environment?: NodeJS.ProcessEnv): string {
  return path.join(dataFolder(environment), 'runtimes', `onnxruntime-node-${version}-cuda12`);
}

/** How modules of the runtime are found: in the user's folder where that has the same version with CUDA, else beside the program. */
export function runtimeRequire(): NodeJS.Require {
  if (process.platform !== 'linux' || process.arch !== 'x64') return packaged;
  try {
    const { version } = packaged('onnxruntime-node/package.json') as { version: string };
    const folder = cudaRuntimeFolder(version);
    return existsSync(path.join(folder, marker)) ? createRequire(path.join(folder, marker)) : packaged;
  } catch {
    return packaged;
  }
}

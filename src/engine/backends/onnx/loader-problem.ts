import { constants } from 'node:os';
import path from 'node:path';
import { messageOf } from '../../../base/errors.ts';
import { addedProviders, runtimeFolder } from './providers.ts';

/**
 * Why the system does not load the library of a provider that was added to the runtime: `libcublasLt.so.12: cannot open shared object file:
 * No such file or directory`. The runtime itself tells that to its log alone.
 * @returns nothing where it can be loaded, and for providers that have no library of their own
 */
export function loaderProblem(provider: string): string | undefined {
  if (process.platform !== 'linux' || !addedProviders().includes(provider)) return undefined;
  const fileOf = (name: string): string => path.join(runtimeFolder(), `libonnxruntime_providers_${name}.so`);
  const { RTLD_LAZY, RTLD_GLOBAL } = constants.dlopen;
  // The others' common part, of which they want symbols.
  load(fileOf('shared'), RTLD_LAZY | RTLD_GLOBAL);
  return load(fileOf(provider), RTLD_LAZY);
}

/** Loads a library as Node loads its own modules, which none of these is. @returns what the loader says */
function load(file: string, flags: number): string | undefined {
  try {
    process.dlopen({ exports: {} }, file, flags);
    return undefined;
  } catch (error) {
    const said = messageOf(error).split('\n')[0] ?? '';
    return said.startsWith('Module did not self-register') ? undefined : said;
  }
}

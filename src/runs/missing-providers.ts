import { FileError, UserError } from '../base/errors.ts';
import { installAdvice, installedProviders } from '../engine/backends/onnx/providers.ts';
import type { NewRun } from './run-folder.ts';
import { labelText } from './sweep.ts';

/** What computes without the runtime's providers, or with whichever works. */
const others: readonly string[] = ['auto', 'tfjs'];

/**
 * Looks for the first run that asks for a provider which the runtime does not have on this machine, so that a sweep need not come to it to
 * fail. Whether a device is there for one that it has, only a computation shows.
 * @param installed the providers that there are
 * @returns what is missing and what would bring it
 */
export function findMissingProvider(
  runs: readonly NewRun[],
  installed: readonly string[] = installedProviders(),
): UserError | undefined {
  const run = runs.find(
    ({ configuration: { device } }) => !others.includes(device.provider) && !installed.includes(device.provider),
  );
  if (run === undefined) return undefined;
  const { provider } = run.configuration.device;
  const { file, label = {} } = run.environment.origin ?? {};
  const of = labelText(label) === '' ? '' : `${labelText(label)}: `;
  const problem = `${of}device: there is no execution provider ${provider} here`;
  const advice = installAdvice(provider, process.platform, process.arch);
  return file === undefined ? new UserError(problem, advice) : new FileError(file, undefined, problem, advice);
}

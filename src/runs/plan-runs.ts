import { dirname, resolve } from 'node:path';
import { FileError, UserError } from '../base/errors.ts';
import { installedCatalogue } from './catalogue.ts';
import { applyOverrides, realPaths, type WrittenConfiguration } from './configuration.ts';
import type { Configuration } from './configuration-schema.ts';
import { collectEnvironment, type Environment } from './environment.ts';
import { findUnfit } from './fitting-methods.ts';
import { findMissingData } from './missing-data.ts';
import { packageVersions, programVersion } from './program.ts';
import type { NewRun } from './run-folder.ts';
import { labelText, planSweep } from './sweep.ts';
import { trainingRequest } from './training-request.ts';

/** What only a training needs is missed here, before there is a run. @throws FileError */
function refuseUntrainable(file: string, configuration: Configuration): void {
  try {
    trainingRequest(configuration);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new FileError(file, undefined, error.message, undefined, { cause: error });
  }
}

/**
 * The runs that a configuration describes, with what they are made from, ready to be submitted.
 * @param overrides `key=value`, as `--set` takes them
 * @param folder what relative paths in the overrides start from; the configuration's own folder when absent
 * @throws FileError for whatever does not fit
 */
export async function planRuns(
  configuration: WrittenConfiguration,
  overrides: readonly string[] = [],
  folder = dirname(configuration.file),
): Promise<readonly NewRun[]> {
  const { file } = configuration;
  const place = { folder, probe: realPaths };
  const plans = planSweep(applyOverrides(configuration, overrides, installedCatalogue, place), installedCatalogue);
  const environment = await collectEnvironment({
    folder: dirname(resolve(file)),
    version: programVersion(),
    packages: packageVersions(['onnxruntime-node']),
  });
  for (const { configuration: planned } of plans) refuseUntrainable(file, planned);
  const wrong = (await findUnfit(plans)) ?? (await findMissingData(plans));
  if (wrong !== undefined) {
    const label = labelText(wrong.plan.label);
    const { message } = wrong.error;
    throw new FileError(file, undefined, label === '' ? message : `${label}: ${message}`, undefined, {
      cause: wrong.error,
    });
  }
  const sweep = plans.length > 1 ? `${resolve(file)} ${environment.created}` : undefined;
  return plans.map(({ configuration: planned, label }) => {
    const origin: Environment['origin'] = {
      file: resolve(file),
      overrides: [...overrides],
      label,
      ...(sweep === undefined ? {} : { sweep }),
    };
    return { configuration: planned, environment: { ...environment, origin } };
  });
}

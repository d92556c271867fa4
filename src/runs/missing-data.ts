import { UserError } from '../base/errors.ts';
import { evaluationFiles, requireSplitFiles } from '../tasks/read/source.ts';
import { findTask } from '../tasks/registry.ts';
import type { Configuration } from './configuration-schema.ts';
import { trainingRequest } from './training-request.ts';

/** @throws UserError where a split that training needs has no file; nothing is read of those that there are */
async function requireData(configuration: Configuration): Promise<void> {
  const { task } = trainingRequest(configuration);
  const read = findTask(task.textsOf ?? task.id);
  // Plain text has no splits that are told by their names.
  if (read.kind === 'masked-words') return;
  await requireSplitFiles(read, task.data, 'train');
  await evaluationFiles(read, task.data);
}

/**
 * Looks for the first configuration whose training or evaluation data are not there, so that neither a run nor a sweep is begun without them.
 * @returns what is wrong with it; nothing where all have their files
 * @throws UserError for a configuration that cannot be trained at all
 */
export async function findMissingData<T extends { readonly configuration: Configuration }>(
  plans: readonly T[],
): Promise<{ readonly plan: T; readonly error: UserError } | undefined> {
  const seen = new Set<string>();
  for (const plan of plans) {
    const { id, data, textsOf } = plan.configuration.task;
    const key = JSON.stringify([id, data, textsOf]);
    if (seen.has(key)) continue;
    seen.add(key);
    try {
      await requireData(plan.configuration);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { plan, error };
    }
  }
  return undefined;
}

import { isAbsolute } from 'node:path';
import { UserError } from '../base/errors.ts';
import { openEncoder, type EncoderCheckpoint } from '../engine/encoder-checkpoint.ts';
import { fitMethod } from '../engine/fit-method.ts';
import { shippedModelFolder } from '../engine/shipped-models.ts';
import { findTask } from '../tasks/registry.ts';
import type { Configuration } from './configuration-schema.ts';

/** More combinations of model, task and method than this are left to the runs themselves: each takes some milliseconds. */
const MOST_COMBINATIONS = 300;

/** The sizes of a model that lies on this machine; nothing of one that would have to be asked for, or that cannot be read. */
async function encoderAt(id: string): Promise<EncoderCheckpoint | undefined> {
  const folder = isAbsolute(id) ? id : shippedModelFolder(id);
  if (folder === undefined) return undefined;
  try {
    return await openEncoder(folder);
  } catch (error) {
    // Who loads the model tells what is wrong with it.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * Looks for the first configuration whose method does not fit the model that it names, so that a sweep need not come to it to fail.
 * @returns what is wrong with it; nothing where all fit, as far as can be told without the hub
 */
export async function findUnfit<T extends { readonly configuration: Configuration }>(
  plans: readonly T[],
): Promise<{ readonly plan: T; readonly error: UserError } | undefined> {
  const encoders = new Map<string, EncoderCheckpoint | undefined>();
  const seen = new Set<string>();
  for (const plan of plans) {
    const { model, task, method } = plan.configuration;
    const key = JSON.stringify([model.id, task.id, task.maxLength, method]);
    if (seen.has(key)) continue;
    if (seen.size === MOST_COMBINATIONS) return undefined;
    seen.add(key);
    if (!encoders.has(model.id)) encoders.set(model.id, await encoderAt(model.id));
    const checkpoint = encoders.get(model.id);
    if (checkpoint === undefined) continue;
    const { id, ...options } = method;
    try {
      fitMethod({ checkpoint, method: { id, options }, task: findTask(task.id) }, task.maxLength);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { plan, error };
    }
  }
  return undefined;
}

import { isJsonObject } from '../../analysis/json.ts';
import type { PlanInputs } from '../../webviews/plan/messages.ts';
import type { StartMemory, StartState } from './start-steps.ts';

/** From a plan to a configuration, and from the answers of "Start Run" to a plan. */

/** A batch that is computed at once has at most so many examples; a private step is made of as many as its draw takes. */
const mostAtOnce = 64;
const fewestAtOnce = 8;

/**
 * An expected batch as batch size and accumulation: the largest part of it that is computed at once, and how many times.
 */
export function splitBatch(expected: number): { readonly batchSize: number; readonly accumulation: number } {
  for (let batchSize = Math.min(mostAtOnce, expected); batchSize >= Math.min(fewestAtOnce, expected); batchSize--)
    if (expected % batchSize === 0) return { batchSize, accumulation: expected / batchSize };
  // A number without a part of that size; whatever is drawn is computed in parts all the same.
  return { batchSize: expected, accumulation: 1 };
}

/** The settings of training that a plan is for. */
export function plannedTraining({ batchSize, epochs }: PlanInputs): Readonly<Record<string, number>> {
  const split = splitBatch(batchSize);
  return {
    epochs,
    batchSize: split.batchSize,
    ...(split.accumulation === 1 ? {} : { accumulation: split.accumulation }),
  };
}

/** The `privacy` of a configuration as a member, to be pasted into one. */
export function privacyMember(privacy: Readonly<Record<string, unknown>>): string {
  return `"privacy": ${JSON.stringify(privacy, undefined, 2).replaceAll(/\n\s*/g, ' ')}`;
}

/** The answers that a plan completes: those it was opened with, else what was chosen the last time. */
export function plannedState(
  inputs: PlanInputs,
  privacy: Readonly<Record<string, unknown>>,
  begun: StartState,
  memory: StartMemory,
): StartState {
  const task = begun.task ?? (inputs.task === null ? undefined : taskOf(inputs.task)) ?? memory.task ?? 'sst2';
  const data = begun.data ?? memory.data?.[task];
  return {
    ...begun,
    model: begun.model ?? memory.model ?? 'sentence-transformers/all-MiniLM-L6-v2',
    task,
    ...(data === undefined ? {} : { data }),
    method: begun.method ?? memory.method ?? 'lora',
    seeds: begun.seeds ?? [0],
    epsilon: null,
    device: begun.device ?? 'auto',
    finish: 'open',
    training: plannedTraining(inputs),
    privacy,
  };
}

const taskPrefix = 'task ';

/** How the planner names the size of a task's data. */
export function sizeOfTask(task: string): string {
  return `${taskPrefix}${task}`;
}

function taskOf(size: string): string | undefined {
  return size.startsWith(taskPrefix) ? size.slice(taskPrefix.length) : undefined;
}

/** Answers that a panel was kept with; whatever is none of them is left out. */
export function keptState(value: unknown): StartState {
  if (!isJsonObject(value)) return {};
  const { folder, model, task, data, method, seeds, device, matrix } = value;
  const text = (name: string, kept: unknown): Readonly<Record<string, string>> =>
    typeof kept === 'string' ? { [name]: kept } : {};
  return {
    ...text('folder', folder),
    ...text('model', model),
    ...text('task', task),
    ...text('data', data),
    ...text('method', method),
    ...text('device', device),
    ...(Array.isArray(seeds) && seeds.every((seed) => Number.isSafeInteger(seed)) ? { seeds: seeds as number[] } : {}),
    ...(matrix === 'example' ? { matrix } : {}),
  };
}

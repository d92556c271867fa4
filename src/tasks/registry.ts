import { UserError } from '../base/errors.ts';
import { suggestion } from '../base/suggest.ts';
import { glueTasks } from './glue.ts';
import { maskedWords } from './masked-words.ts';
import { sampleTasks } from './samples.ts';
import type { Task } from './task.ts';

function key(name: string): string {
  return name.toLowerCase().replaceAll(/[-_ ]/g, '');
}

const tasks: readonly Task[] = [...glueTasks, ...sampleTasks, maskedWords];

const byKey = new Map(tasks.map((task) => [key(task.id), task]));

/** Every task, in the order in which listings show them. */
export function listTasks(): readonly Task[] {
  return tasks;
}

/** What tasks are called, by id. */
export function taskTitles(): Readonly<Record<string, string>> {
  return Object.fromEntries(tasks.map(({ id, title }) => [id, title]));
}

/**
 * The task called `name`: its id, or the literature's spelling of it (`SST-2`, `sts_b`).
 * @throws UserError with a suggestion when there is none
 */
export function findTask(name: string): Task {
  const task = byKey.get(key(name));
  if (task === undefined)
    throw new UserError(
      `there is no task "${name}"`,
      suggestion(
        name,
        tasks.map(({ id }) => id),
      ),
    );
  return task;
}

import { peftMethods } from '../../engine/peft-adapter.ts';
import { methods, methodTitles } from '../../peft/registry.ts';
import { listTasks, taskTitles } from '../../tasks/registry.ts';
import { isPair } from '../../tasks/task.ts';
import type { Titles } from '../core/titles.ts';
import type { MethodChoice, TaskChoice } from './operations.ts';

/** The methods as "Start Run" offers them. */
export function methodChoices(): readonly MethodChoice[] {
  return methods.map(({ id, title, description, citation, options }) => ({
    id,
    title,
    description,
    citation,
    needsOptions: !options.safeParse({}).success,
    peft: peftMethods.has(id),
  }));
}

/** The tasks as "Start Run" offers them. */
export function taskChoices(): readonly TaskChoice[] {
  return listTasks().map((task) => ({
    id: task.id,
    title: task.title,
    description: task.description,
    sample: task.sample === true,
    trainExamples: task.splits.train,
    pair: isPair(task),
    splits: Object.keys(task.splits),
  }));
}

/** What methods and tasks are called. */
export function titles(): Titles {
  return { methods: methodTitles(), tasks: taskTitles() };
}

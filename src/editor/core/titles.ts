import type { MethodTitles } from '../../analysis/compared-run.ts';

/**
 * What methods and tasks are called where people read of them; files and configurations have their ids. The titles are put in place
 * before the first run is shown. Of another version's ids nothing is known, and they are shown as they stand.
 */
export interface Titles {
  /** By id. */
  readonly methods: Readonly<Record<string, string>>;
  readonly tasks: Readonly<Record<string, string>>;
}

let titles: Titles = { methods: {}, tasks: {} };

/** Sets the titles by which views call methods and tasks from now on. */
export function useTitles(known: Titles): void {
  titles = known;
}

/** What a method is called; one that is not known goes by its id. */
export function methodTitle(id: string): string {
  return Object.hasOwn(titles.methods, id) ? (titles.methods[id] ?? id) : id;
}

/** What a task is called; one that is not known goes by its id. */
export function taskTitle(id: string): string {
  return Object.hasOwn(titles.tasks, id) ? (titles.tasks[id] ?? id) : id;
}

/** What a run does, in two words: its method and its task, as far as they are known. */
export function deedOf({ method, task }: { readonly method: string | null; readonly task: string | null }): string {
  return [method === null ? '' : methodTitle(method), task === null ? '' : taskTitle(task)]
    .filter((part) => part !== '')
    .join(' · ');
}

/** The titles of all tasks, by id. */
export function taskTitles(): Readonly<Record<string, string>> {
  return titles.tasks;
}

/** The titles of all methods, by id. */
export function methodTitles(): MethodTitles {
  return titles.methods;
}

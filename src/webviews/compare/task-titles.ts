/** What tasks are called, by their ids, by which they are compared. The host tells it; a task that it does not know goes by its id. */
let titles: Readonly<Record<string, string>> = {};

/** Sets what tasks are called from now on. */
export function useTaskTitles(known: Readonly<Record<string, string>>): void {
  titles = known;
}

/** What a task is called; one that is not known goes by its id. */
export function taskTitle(id: string): string {
  return Object.hasOwn(titles, id) ? (titles[id] ?? id) : id;
}

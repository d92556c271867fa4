import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Task } from './task.ts';

/** The folder of a sample task's data, wherever this program lies; nothing for a task whose data does not ship. */
export function sampleFolder(task: Task): string | undefined {
  if (task.sample !== true) return undefined;
  // The source and the bundle stand at different depths below the folder that holds samples/.
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'samples', task.id);
    if (existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) throw new Error(`the data of ${task.id} is not beside this program`);
  }
}

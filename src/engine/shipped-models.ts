import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder `models` beside this program, if it has one. */
function modelsFolder(): string | undefined {
  // The source and the bundle stand at different depths below the folder that holds models/.
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'models');
    if (existsSync(join(candidate, 'SHIPPED.md'))) return candidate;
    if (dirname(folder) === folder) return undefined;
  }
}

/** The names of the encoders that ship with this program: what a configuration's `model` may say on any machine. */
export function shippedModels(): readonly string[] {
  const folder = modelsFolder();
  if (folder === undefined) return [];
  return readdirSync(folder).filter((name) => existsSync(join(folder, name, 'config.json')));
}

/** Where an encoder that ships lies; nothing for any other name. */
export function shippedModelFolder(name: string): string | undefined {
  const folder = modelsFolder();
  return folder !== undefined && shippedModels().includes(name) ? join(folder, name) : undefined;
}

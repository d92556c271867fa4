import { pathBelow } from '../../engine/path-below.ts';
import type { Configuration } from '../../runs/configuration-schema.ts';

/** A path as it would be written beside a configuration in `base`: relative where that stays inside of it, else as it is. */
export function writtenPath(path: string, base: string): string {
  const below = pathBelow(base, path);
  return below === undefined || below === '' ? path : `./${below}`;
}

/**
 * A run's configuration as the text of a configuration file in the folder `base`, to be changed and started again. Everything that the
 * run was started with is written out, so that defaults of a later version change nothing.
 */
export function cloneText(configuration: Configuration, base: string): string {
  const { name, model, task, tags: _tags, note: _note, launcher: _launcher, ...others } = configuration;
  const { data } = task;
  const written = {
    name: `${name ?? task.id} (changed)`,
    model: {
      ...model,
      id: /[\\/]/.test(model.id) && !/^[\w.-]+\/[\w.-]+$/.test(model.id) ? writtenPath(model.id, base) : model.id,
    },
    task: {
      ...task,
      ...(data === undefined
        ? {}
        : {
            data:
              typeof data === 'string'
                ? writtenPath(data, base)
                : Object.fromEntries(Object.entries(data).map(([split, path]) => [split, writtenPath(path, base)])),
          }),
    },
    ...others,
  };
  return `${JSON.stringify(written, undefined, 2)}\n`;
}

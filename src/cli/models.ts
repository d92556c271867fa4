import { statSync } from 'node:fs';
import { bytes } from '../base/format.ts';
import { knownEncoders } from '../engine/encoders/known-sizes.ts';
import { hubCacheFolder } from '../engine/hub/environment.ts';
import { listLocalModels } from '../engine/model-folder.ts';
import { UserError } from '../base/errors.ts';
import type { App } from './app.ts';
import { plainLines, printJson, table } from './output.ts';

/** `peft-lab models [FOLDER…]`: the models on this machine, and the sizes that `params` knows without one. */
export async function modelsCommand(app: App, folders: readonly string[]): Promise<number> {
  const missing = folders.find((folder) => statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true);
  if (missing !== undefined) throw new UserError(`there is no folder ${missing}`);
  const cache = hubCacheFolder();
  const models = await listLocalModels({ folders });
  if (app.json) {
    const known = models.map(({ name, path, source, commit, revisions, family, weightBytes, problem }) => ({
      name,
      path,
      source,
      commit: commit ?? null,
      revisions,
      family: family ?? null,
      weightBytes,
      problem: problem ?? null,
    }));
    printJson(app.terminal, { models: known, cache, builtIn: Object.keys(knownEncoders) });
    return 0;
  }
  if (models.length === 0) app.terminal.out(`no models in the hub's cache ${cache}\n`);
  else
    app.terminal.out(
      table(
        models,
        [
          { title: 'model', cell: ({ name }) => name, shrinks: 20 },
          { title: 'family', cell: ({ family }) => family ?? '-', drops: 3 },
          { title: 'weights', cell: ({ weightBytes }) => bytes(weightBytes), align: 'right', drops: 2 },
          { title: 'revision', cell: ({ revisions, commit }) => revisions[0] ?? commit?.slice(0, 8) ?? '', drops: 4 },
          {
            title: 'problem',
            cell: ({ problem }) => plainLines(problem ?? '').split('\n')[0] ?? '',
            shrinks: 20,
            drops: 1,
          },
        ],
        app.terminal.width,
      ),
    );
  app.terminal.out(`\nSizes that params knows without weights: ${Object.keys(knownEncoders).join(', ')}\n`);
  return 0;
}

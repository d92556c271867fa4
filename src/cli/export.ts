import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { readCheckpoint } from '../engine/checkpoint-file.ts';
import { openEncoder } from '../engine/encoder-checkpoint.ts';
import { resolveModel } from '../engine/model-folder.ts';
import { exportEncoder, type ExportOptions } from '../engine/pretraining/export-encoder.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { readConfiguration, runFolder } from '../runs/run-folder.ts';
import { readWorkspace, type App } from './app.ts';
import { plain, printJson } from './output.ts';
import { findRuns } from './runs.ts';

export interface ExportCommandOptions extends ExportOptions {
  readonly at: 'best' | 'last';
}

/** Writes the encoder that a run trained. @throws UserError when the run trained none, or has no checkpoint */
export async function exportRun(
  app: App,
  id: string,
  folder: string,
  { at, precision }: ExportCommandOptions,
): Promise<void> {
  const run = runFolder(readWorkspace(app), id);
  const file = join(run, 'checkpoints', `${at}.safetensors`);
  if (!existsSync(file)) throw new UserError(`the run ${id} has no checkpoint "${at}"`);
  const { model } = readConfiguration(run, installedCatalogue);
  const { values } = await readCheckpoint(file);
  if (![...values.keys()].some((name) => name.startsWith('base.')))
    throw new UserError(
      `the run ${id} trained no tensor of the encoder`,
      'Only runs that train the encoder itself can be written as one.',
    );
  const source = await resolveModel(model.id, model.revision === undefined ? {} : { revision: model.revision });
  await exportEncoder(resolve(folder), await openEncoder(source.path), values, { precision });
}

/** `peft-lab export RUN FOLDER`: the trained encoder as a model folder in Hugging Face layout. */
export async function exportCommand(
  app: App,
  run: string,
  folder: string,
  options: ExportCommandOptions,
): Promise<number> {
  const [id = ''] = findRuns(readWorkspace(app), [run]);
  await exportRun(app, id, folder, options);
  if (app.json) printJson(app.terminal, { run: id, folder: resolve(folder) });
  else app.terminal.out(`${plain(resolve(folder))}\n`);
  return 0;
}

import { resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { requireFree } from '../engine/export-folder.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { realPaths } from '../runs/configuration.ts';
import { planRuns } from '../runs/plan-runs.ts';
import { makeStartEncoder, pretrainingConfiguration } from '../runs/pretraining.ts';
import { makeWorkspace, type App } from './app.ts';
import { exportRun, requireNamed } from './export.ts';
import { startRuns } from './run.ts';

export interface PretrainOptions {
  readonly model?: string;
  readonly fromScratch?: string;
  readonly wordsOf?: string;
  readonly vocabularySize?: number;
  readonly wholeWords: boolean;
  readonly set: readonly string[];
  readonly detach: boolean;
  readonly exceedBudget: boolean;
  readonly out?: string;
  /** Write into `out` although it is not empty. */
  readonly overwrite: boolean;
}

const usualVocabulary = 8192;

/** A model folder as the current folder has it; any other name stays what it is. */
function inCurrentFolder(model: string | undefined): string | undefined {
  return model !== undefined && realPaths.isFolder(resolve(model)) ? resolve(model) : model;
}

/** `peft-lab pretrain FILE`: learns masked words, as a run like any other. @returns the exit code */
export async function pretrainCommand(app: App, file: string, options: PretrainOptions): Promise<number> {
  const { model, fromScratch, wordsOf, vocabularySize, out, detach, overwrite } = options;
  if (model !== undefined && fromScratch !== undefined)
    throw new UserError('--model and --from-scratch exclude one another');
  if (wordsOf !== undefined && fromScratch === undefined)
    throw new UserError(
      '--words-of needs --from-scratch',
      'An encoder that is there already has its own word embeddings.',
    );
  if (vocabularySize !== undefined && fromScratch === undefined)
    throw new UserError(
      '--vocabulary-size needs --from-scratch',
      'An encoder that is there already has its own vocabulary.',
    );
  if (out !== undefined && detach)
    throw new UserError(
      '--out needs the end of the run, which --detach does not wait for',
      'Write the encoder afterwards with: peft-lab export RUN FOLDER.',
    );
  // Better now than after hours of training.
  if (out !== undefined) {
    requireNamed(out);
    await requireFree(resolve(out), { overwrite });
  }
  const start =
    fromScratch === undefined
      ? inCurrentFolder(model)
      : await makeStartEncoder(makeWorkspace(app), fromScratch, file, vocabularySize ?? usualVocabulary, 0, wordsOf);
  const written = pretrainingConfiguration({ file, model: start, wholeWords: options.wholeWords }, installedCatalogue);
  const { ids, code } = await startRuns(app, await planRuns(written, options.set, process.cwd()), options);
  const [id] = ids;
  if (code === 0 && out !== undefined && id !== undefined)
    await exportRun(app, id, out, { precision: 'float32', at: 'last', overwrite });
  return code;
}

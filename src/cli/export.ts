import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { onnxBackend } from '../engine/backends/onnx/onnx-backend.ts';
import { readCheckpoint } from '../engine/checkpoint-file.ts';
import { openEncoder, type EncoderCheckpoint } from '../engine/encoder-checkpoint.ts';
import { prefixedName } from '../engine/encoders/tensor-names.ts';
import { foldingOf, foldModel } from '../engine/fold.ts';
import { resolveModel } from '../engine/model-folder.ts';
import { exportEncoder, requireTarget, type ExportOptions } from '../engine/pretraining/export-encoder.ts';
import { modelPlanOf } from '../engine/training-setup.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import type { Configuration } from '../runs/configuration-schema.ts';
import { readConfiguration, runFolder } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import { findTask } from '../tasks/registry.ts';
import { readWorkspace, type App } from './app.ts';
import { plain, printJson } from './output.ts';
import { findRuns } from './runs.ts';

export interface ExportCommandOptions extends ExportOptions {
  readonly at: 'best' | 'last';
}

/**
 * Writes the encoder that a run trained, its method worked into it where that is not the encoder itself.
 * @throws UserError when the folder is not free, the method does not fold into the encoder or changes nothing of it, or the run has no checkpoint
 */
export async function exportRun(
  app: App,
  id: string,
  folder: string,
  { at, precision, overwrite = false }: ExportCommandOptions,
): Promise<void> {
  const run = runFolder(readWorkspace(app), id);
  const file = join(run, 'checkpoints', `${at}.safetensors`);
  const { state } = runState(run);
  if (state === 'queued' || state === 'starting' || state === 'running')
    throw new UserError(
      `the run ${id} is ${state}: what it would write now is not what it ends with`,
      `Wait for it with "peft-lab logs -f ${id.slice(-6)}", or stop it.`,
    );
  if (!existsSync(file)) {
    const other = at === 'last' ? 'best' : 'last';
    const hasOther = existsSync(join(run, 'checkpoints', `${other}.safetensors`));
    throw new UserError(`the run ${id} has no checkpoint "${at}"`, hasOther ? `Try --at ${other}.` : undefined);
  }
  const configuration = readConfiguration(run, installedCatalogue);
  const { model } = configuration;
  const { values } = await readCheckpoint(file);
  const source = await resolveModel(model.id, model.revision === undefined ? {} : { revision: model.revision });
  const checkpoint = await openEncoder(source.path);
  await requireTarget(resolve(folder), checkpoint, { overwrite });
  const encoder = [...values.keys()].some((name) => name.startsWith('method.'))
    ? await foldedEncoder(id, configuration, checkpoint, values)
    : values;
  if (![...encoder.keys()].some((name) => name.startsWith('base.')))
    throw new UserError(
      `the run ${id} trained no tensor of the encoder`,
      'Only runs that train the encoder, or a method that folds into it, can be written as one.',
    );
  await exportEncoder(resolve(folder), checkpoint, encoder, { precision, overwrite });
}

/** The encoder's changed tensors with the run's method in them, by the names of trained ones. */
async function foldedEncoder(
  id: string,
  { method: { id: method, ...options }, task, training }: Configuration,
  checkpoint: EncoderCheckpoint,
  values: ReadonlyMap<string, Float32Array>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const plan = modelPlanOf({ checkpoint, method: { id: method, options }, task: findTask(task.id) });
  const folding = foldingOf(plan);
  const why =
    folding.kind === 'stays'
      ? folding.reason
      : folding.remainder === undefined
        ? undefined
        : 'leaves something beside the encoder';
  if (why !== undefined)
    throw new UserError(
      `the run ${id} can't be written as an encoder: ${method} ${why}`,
      'Methods that fold into the encoder are LoRA, IA3, SLaSh, BitFit and intrinsic SAID, without gates.',
    );
  const folded = await foldModel(
    { plan, checkpoint, values, seed: training.seed },
    { backend: onnxBackend, device: { provider: 'cpu', threads: 0 } },
  );
  return new Map(
    [...folded.encoder].map(([name, data]) => [`base.${prefixedName(checkpoint.config, name)}`, data] as const),
  );
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

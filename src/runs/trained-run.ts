import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FileError, UserError } from '../base/errors.ts';
import { readCheckpoint } from '../engine/checkpoint-file.ts';
import { openEncoder, type EncoderCheckpoint } from '../engine/encoder-checkpoint.ts';
import { resolveModel, type ModelFolder } from '../engine/model-folder.ts';
import { buildModel, type ModelGraph, type ModelPlan } from '../engine/model-graph.ts';
import { modelFiles } from '../engine/prepare.ts';
import { misfit, sizesOf, type TrainerState } from '../engine/trainer-state.ts';
import { modelPlanOf } from '../engine/training-setup.ts';
import { findTask } from '../tasks/registry.ts';
import type { Task } from '../tasks/task.ts';
import { installedCatalogue } from './catalogue.ts';
import { checkpointPath, type CheckpointKind } from './checkpoints.ts';
import type { Configuration } from './configuration-schema.ts';
import { fingerprintFiles } from './fingerprint.ts';
import { readConfiguration, readEnvironment } from './run-folder.ts';
import { hasEnded, runState } from './run-state.ts';

/** What a run trained, with the encoder that it began from. */
export interface TrainedRun {
  readonly configuration: Configuration;
  readonly task: Task;
  readonly plan: ModelPlan;
  /** The plan's graph, without dropout. */
  readonly model: ModelGraph;
  readonly folder: ModelFolder;
  readonly checkpoint: EncoderCheckpoint;
  /** The trained tensors by name. */
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly at: CheckpointKind;
  /** The optimiser step after which the checkpoint was written. */
  readonly step: number;
}

function methodOf({ method: { id, ...options } }: Configuration): ModelPlan['method'] {
  return { id, options };
}

/** @throws UserError where a checkpoint holds something else than the run's configuration trains */
function requireFitting(file: string, values: TrainedRun['values'], { trained }: ModelGraph): void {
  const problem = misfit(sizesOf(trained), values);
  if (problem === undefined) return;
  throw new UserError(
    `${file} does not belong to this run: ${problem}`,
    'Put config.json of the run and its model back as they were.',
  );
}

/** A checkpoint, which nobody has but this run: what is said of files that can be had again does not help. @throws FileError */
async function readOwn(file: string, advice: string | undefined): Promise<TrainerState> {
  try {
    return await readCheckpoint(file);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const [problem = ''] = error.message.split('\n');
    throw new FileError(file, undefined, problem.replace(`${file}: `, ''), advice, { cause: error });
  }
}

/**
 * Opens what a run trained.
 * @param run its folder
 * @param wanted the checkpoint; the best where it has one, else the last, when absent
 * @throws UserError when it still trains, has no such checkpoint, or configuration or model's files are others now
 */
export async function openTrainedRun(run: string, id: string, wanted?: CheckpointKind): Promise<TrainedRun> {
  const { state } = runState(run);
  if (!hasEnded({ state }))
    throw new UserError(
      `the run ${id} is ${state}: what it has trained now is not what it ends with`,
      `Wait for it with "peft-lab logs -f ${id.slice(-6)}", or stop it.`,
    );
  const fileOf = (kind: CheckpointKind): string => join(run, checkpointPath(kind));
  const at = wanted ?? (existsSync(fileOf('best')) ? 'best' : 'last');
  const other = at === 'last' ? 'best' : 'last';
  const advice = existsSync(fileOf(other)) ? `Try --at ${other}.` : undefined;
  if (!existsSync(fileOf(at)))
    throw new UserError(
      `the run ${id} has no checkpoint "${at}"`,
      advice ?? `It was removed, or the run came to none; "peft-lab show ${id.slice(-6)}" tells how it ended.`,
    );
  const configuration = readConfiguration(run, installedCatalogue);
  const { model } = configuration;
  const { values, progress } = await readOwn(fileOf(at), advice);
  const folder = await resolveModel(model.id, model.revision === undefined ? {} : { revision: model.revision });
  const checkpoint = await openEncoder(folder.path);
  const { digest } = readEnvironment(run).model ?? {};
  if (
    digest !== undefined &&
    digest !== (await fingerprintFiles(model.id, modelFiles(folder.config, checkpoint))).digest
  )
    throw new UserError(
      `the files of ${model.id} are no longer those that the run ${id} was trained with`,
      'Put them back as they were: what was trained beside them fits no others.',
    );
  const task = findTask(configuration.task.id);
  const plan = modelPlanOf({ checkpoint, method: methodOf(configuration), task });
  const built = buildModel(plan, { dropout: 'off' });
  requireFitting(fileOf(at), values, built);
  return { configuration, task, plan, model: built, folder, checkpoint, values, at, step: progress.step };
}

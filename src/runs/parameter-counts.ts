import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { closestName } from '../base/suggest.ts';
import { openEncoder } from '../engine/encoder-checkpoint.ts';
import { parseEncoderConfig, type EncoderConfig } from '../engine/encoders/config.ts';
import { shippedModelFolder, shippedModels } from '../engine/shipped-models.ts';
import { knownEncoders } from '../engine/encoders/known-sizes.ts';
import { isHubId } from '../engine/hub/snapshot.ts';
import { inspectModelFolder, resolveModel } from '../engine/model-folder.ts';
import {
  buildModel,
  countParameters,
  type ModelPlan,
  type Objective,
  type ParameterCounts,
} from '../engine/model-graph.ts';
import { readJson } from '../engine/text-files.ts';
import { objectiveOf } from '../engine/training-setup.ts';
import type { TextKind } from '../peft/method.ts';
import { findMethod } from '../peft/registry.ts';
import { isPair, outputCount, type Task } from '../tasks/task.ts';
import { writtenSchema } from './configuration-json-schema.ts';
import { describeProblem, problemsOf } from './configuration-problems.ts';

/** How many numbers a method trains on a model, from the model's sizes alone. */

/** What counting needs to know of a model. */
export interface SizedModel {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
}

/** A checkpoint without weights is taken to be complete, and BERT's to have the pooler that its own head reads. */
function withoutWeights(config: EncoderConfig): SizedModel {
  return { config, hasPooler: config.family === 'bert' };
}

async function readConfig(file: string): Promise<EncoderConfig> {
  return parseEncoderConfig(await readJson(file), file);
}

async function folderSizes(folder: string): Promise<SizedModel> {
  const { weights, config } = await inspectModelFolder(folder, { require: ['config'] });
  if (weights.length === 0) return withoutWeights(await readConfig(config));
  const { config: sizes, hasPooler } = await openEncoder(folder);
  return { config: sizes, hasPooler };
}

/**
 * The sizes of a model by name, folder or file; a name is looked up on the hub only where it is none of the well-known ones.
 * @throws UserError where there is no such model
 */
export async function sizesOf(name: string): Promise<SizedModel> {
  const stat = statSync(name, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true && existsSync(join(name, 'config.json'))) return folderSizes(name);
  if (stat?.isFile() === true) return withoutWeights(await readConfig(name));
  // No model on the hub is called so.
  if (basename(name) === 'config.json') throw new UserError(`there is no file ${name}`);
  const shipped = shippedModelFolder(name);
  if (shipped !== undefined) return folderSizes(shipped);
  const known = knownEncoders[name.replace(/^(google-bert|FacebookAI)\//i, '').toLowerCase()];
  if (known !== undefined) return withoutWeights(known);
  if (stat?.isDirectory() === true) return folderSizes(name);
  const ids = [...shippedModels(), ...Object.keys(knownEncoders)];
  const close = closestName(name, ids);
  if (!name.includes('/') || !isHubId(name)) {
    const hint = `Built in are ${ids.join(', ')}; others are given by folder, config.json or hub id (owner/name).`;
    throw new UserError(`there is no model "${name}"`, close === undefined ? hint : `Did you mean "${close}"? ${hint}`);
  }
  const folder = await resolveModel(name, { require: ['config'] });
  return folder.weights.length > 0 ? folderSizes(folder.path) : withoutWeights(await readConfig(folder.config));
}

/** The options of a method with its defaults. @throws UserError naming every one that does not fit, with the closest name */
export function methodOptions(id: string, given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const method = findMethod(id);
  const parsed = method.options.safeParse(given);
  if (parsed.success) return method.parse(given);
  const schema = writtenSchema(method.options);
  const problems = problemsOf(parsed.error.issues, given, schema).map(describeProblem);
  const known = Object.keys(schema.properties ?? {});
  throw new UserError(
    `${id}: ${problems.join('; ')}`,
    known.length === 0 ? `${id} has no options.` : `The options of ${id}: ${known.join(', ')}.`,
  );
}

/** The number of the encoder's own weights. */
export function encoderSize(sized: SizedModel): number {
  // As its own classifier uses it, pooler included where it has one.
  const { frozen } = buildModel(
    {
      encoder: sized.config,
      hasPooler: sized.hasPooler,
      method: { id: 'head', options: {} },
      objective: { kind: 'classification', labels: 2 },
    },
    { dropout: 'off' },
  );
  return frozen.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

export interface CountRequest {
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** What is learnt; texts are classified, or scored, without one. */
  readonly task?: Task | undefined;
  /** In place of the task's own number of outputs; 2 without a task. One is a regression, unless words are labelled. */
  readonly labels?: number | undefined;
  /** What an example is made of, which decides how many special tokens it has: the task's own texts when absent, two texts without a task. */
  readonly texts?: TextKind | undefined;
}

/** What is asked of the head that is counted. */
function countedObjective({ task, labels }: Pick<CountRequest, 'task' | 'labels'>): Objective {
  if (task !== undefined && (labels === undefined || labels === outputCount(task))) return objectiveOf(task);
  const outputs = labels ?? 2;
  if (task?.kind === 'words') return { kind: 'token-classification', labels: outputs };
  return outputs === 1 ? { kind: 'regression' } : { kind: 'classification', labels: outputs };
}

/** The numbers that a method trains on a model, and what they were counted for. */
export interface TrainedCounts extends ParameterCounts {
  readonly headLayout: string;
  readonly objective: Objective;
  readonly texts: TextKind;
}

/** What a method trains on a model, with the layout of the head that it stands for. */
export function countTrained(sized: SizedModel, request: CountRequest): TrainedCounts {
  const { method, options, task } = request;
  const objective = countedObjective(request);
  const texts = request.texts ?? (task === undefined || isPair(task) ? 'pair' : 'single');
  const plan: ModelPlan = {
    encoder: sized.config,
    hasPooler: sized.hasPooler,
    method: { id: method, options },
    objective,
    texts,
  };
  const model = buildModel(plan, { dropout: 'off' });
  return { ...countParameters(model.trained), headLayout: model.head, objective, texts };
}

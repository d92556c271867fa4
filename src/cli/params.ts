import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { closestName, suggestion } from '../base/suggest.ts';
import { openEncoder } from '../engine/encoder-checkpoint.ts';
import { readJson } from '../engine/text-files.ts';
import { parseEncoderConfig, type EncoderConfig } from '../engine/encoders/config.ts';
import { knownEncoders } from '../engine/encoders/known-sizes.ts';
import { inspectModelFolder, resolveModel } from '../engine/model-folder.ts';
import { isHubId } from '../engine/hub.ts';
import { buildModel, countParameters, type ModelPlan } from '../engine/model-graph.ts';
import { findMethod } from '../peft/registry.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { loadConfiguration, realPaths } from '../runs/configuration.ts';
import { describeProblem, problemsOf } from '../runs/configuration-problems.ts';
import type { JsonSchema } from '../runs/configuration-json-schema.ts';
import type { Configuration } from '../runs/configuration-schema.ts';
import { planSweep } from '../runs/sweep.ts';
import { findTask } from '../tasks/registry.ts';
import { outputCount } from '../tasks/task.ts';
import type { App } from './app.ts';
import { facts, grouped, percent, plain } from './output.ts';

export interface ParamsOptions {
  readonly model: string;
  readonly method?: string;
  readonly labels?: number;
  readonly set: readonly string[];
}

interface Sized {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
}

/** A checkpoint without weights is taken to be complete, and BERT's to have the pooler that its own head reads. */
function withoutWeights(config: EncoderConfig): Sized {
  return { config, hasPooler: config.family === 'bert' };
}

async function readConfig(file: string): Promise<EncoderConfig> {
  return parseEncoderConfig(await readJson(file), file);
}

async function folderSizes(folder: string): Promise<Sized> {
  const { weights, config } = await inspectModelFolder(folder, { require: ['config'] });
  if (weights.length === 0) return withoutWeights(await readConfig(config));
  const { config: sizes, hasPooler } = await openEncoder(folder);
  return { config: sizes, hasPooler };
}

/** The sizes of a model by name, folder or file; a name is looked up on the hub only where it is none of the well-known ones. */
async function sizesOf(name: string): Promise<Sized> {
  const stat = statSync(name, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true && existsSync(join(name, 'config.json'))) return folderSizes(name);
  if (stat?.isFile() === true) return withoutWeights(await readConfig(name));
  const known = knownEncoders[name.replace(/^(google-bert|FacebookAI)\//i, '').toLowerCase()];
  if (known !== undefined) return withoutWeights(known);
  if (stat?.isDirectory() === true) return folderSizes(name);
  const ids = Object.keys(knownEncoders);
  const close = closestName(name, ids);
  if (!name.includes('/') || !isHubId(name)) {
    const hint = `Built in are ${ids.join(', ')}; others are given by folder, config.json or hub id (owner/name).`;
    throw new UserError(`there is no model "${name}"`, close === undefined ? hint : `Did you mean "${close}"? ${hint}`);
  }
  const folder = await resolveModel(name, { require: ['config'] });
  return folder.weights.length > 0 ? folderSizes(folder.path) : withoutWeights(await readConfig(folder.config));
}

/** The first configuration of a file; its data need not be there. */
function configurationOf(app: App, file: string): Configuration {
  const plans = planSweep(loadConfiguration(file, installedCatalogue), installedCatalogue, {
    ...realPaths,
    exists: () => true,
  });
  if (plans.length > 1 && !app.json)
    app.terminal.err(`counts the first of the ${plans.length} runs that ${basename(file)} describes\n`);
  const [first] = plans;
  if (first === undefined) throw new UserError(`${file} describes no run`);
  return first.configuration;
}

function optionOf(text: string): readonly [string, unknown] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UserError(`--set: "${text}" is not of the form key=value`, 'For example rank=8.');
  const key = text.slice(0, equals).replace(/^method\./, '');
  const value = text.slice(equals + 1);
  try {
    return [key, JSON.parse(value) as unknown];
  } catch {
    return [key, value];
  }
}

/** The options of a method with its defaults. @throws UserError naming every one that does not fit, with the closest name */
export function methodOptions(id: string, given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const method = findMethod(id);
  const parsed = method.options.safeParse(given);
  if (parsed.success) return method.parse(given);
  const schema = z.toJSONSchema(method.options, { io: 'input' }) as JsonSchema;
  const problems = problemsOf(parsed.error.issues, given, schema).map(describeProblem);
  const known = Object.keys(schema.properties ?? {});
  throw new UserError(
    `${id}: ${problems.join('; ')}`,
    known.length === 0 ? `${id} has no options.` : `The options of ${id}: ${known.join(', ')}.`,
  );
}

function encoderSize(sized: Sized): number {
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

interface Asked {
  readonly model: string;
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly labels: number;
}

function ask(app: App, { model, method, labels, set }: ParamsOptions): Asked {
  const overrides = Object.fromEntries(set.map(optionOf));
  const file = model.endsWith('.peft.json') ? configurationOf(app, model) : undefined;
  const id = method ?? file?.method.id;
  if (id === undefined) throw new UserError('--method is missing', suggestion('', installedCatalogue.methods.ids()));
  findMethod(id);
  const { id: own, ...given } = file?.method ?? { id: undefined };
  return {
    model: file?.model.id ?? model,
    method: id,
    options: methodOptions(id, own === id ? { ...given, ...overrides } : overrides),
    labels: labels ?? (file === undefined ? 2 : outputCount(findTask(file.task.id))),
  };
}

/** `peft-lab params`: how many numbers a method trains on a model, without its weights. One label is a regression. */
export async function paramsCommand(app: App, options: ParamsOptions): Promise<number> {
  const asked = ask(app, options);
  const sized = await sizesOf(asked.model);
  const plan: ModelPlan = {
    encoder: sized.config,
    hasPooler: sized.hasPooler,
    method: { id: asked.method, options: asked.options },
    objective: asked.labels === 1 ? { kind: 'regression' } : { kind: 'classification', labels: asked.labels },
  };
  const model = buildModel(plan, { dropout: 'off' });
  const { method, head, total } = countParameters(model.trained);
  const encoder = encoderSize(sized);
  if (app.json) {
    // One line, and the three counts first: other programs rely on it.
    app.terminal.out(
      `${JSON.stringify({ method, head, total, encoder, headLayout: model.head, labels: asked.labels, options: asked.options })}\n`,
    );
    return 0;
  }
  const name = asked.model.endsWith('config.json') ? basename(dirname(asked.model)) : asked.model;
  const what = asked.labels === 1 ? 'a regression' : `${asked.labels} labels`;
  const line = (count: number): string =>
    `${grouped(count).padStart(grouped(total).length)}  ${percent(count, encoder)}`;
  app.terminal.out(
    `${plain(`${findMethod(asked.method).title} on ${name}`)}, ${what}; percentages of the encoder's ${grouped(encoder)} weights\n` +
      facts(
        [
          ['method', line(method)],
          ['head', line(head)],
          ['total', line(total)],
        ],
        '  ',
      ),
  );
  return 0;
}

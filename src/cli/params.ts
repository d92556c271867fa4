import { basename, dirname } from 'node:path';
import { UserError } from '../base/errors.ts';
import { grouped, percent } from '../base/format.ts';
import { suggestion } from '../base/suggest.ts';
import { findMethod } from '../peft/registry.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { loadConfiguration, realPaths } from '../runs/configuration.ts';
import type { Configuration } from '../runs/configuration-schema.ts';
import { countTrained, encoderSize, methodOptions, sizesOf, type TrainedCounts } from '../runs/parameter-counts.ts';
import { planSweep } from '../runs/sweep.ts';
import { findTask } from '../tasks/registry.ts';
import type { Task } from '../tasks/task.ts';
import type { App } from './app.ts';
import { facts, jsonText, plain } from './output.ts';

export interface ParamsOptions {
  readonly model: string;
  readonly method?: string;
  readonly labels?: number;
  readonly set: readonly string[];
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

interface Asked {
  readonly model: string;
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly labels: number | undefined;
  readonly task: Task | undefined;
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
    labels,
    task: file === undefined ? undefined : findTask(file.task.id),
  };
}

/** What a head is asked for, in words, and how many outputs that takes. */
function outputsOf({ objective }: TrainedCounts): { readonly outputs: number; readonly what: string } {
  switch (objective.kind) {
    case 'classification':
      return { outputs: objective.labels, what: `${objective.labels} labels` };
    case 'token-classification':
      return { outputs: objective.labels, what: `${objective.labels} labels of words` };
    case 'regression':
      return { outputs: 1, what: 'a regression' };
    case 'masked-words':
      return { outputs: 0, what: 'masked words' };
    case 'span':
      return { outputs: 2, what: 'answers' };
  }
}

/**
 * `peft-lab params`: how many numbers a method trains on a model, without its weights. One label is a regression; without a task an
 * example is taken to be a pair of texts.
 */
export async function paramsCommand(app: App, options: ParamsOptions): Promise<number> {
  const asked = ask(app, options);
  const sized = await sizesOf(asked.model);
  const counts = countTrained(sized, asked);
  const { method, head, total, headLayout, texts } = counts;
  const { outputs: labels, what } = outputsOf(counts);
  const encoder = encoderSize(sized);
  if (app.json) {
    // One line, and the three counts first: other programs rely on it.
    app.terminal.out(jsonText({ method, head, total, encoder, headLayout, labels, texts, options: asked.options }));
    return 0;
  }
  const name = asked.model.endsWith('config.json') ? basename(dirname(asked.model)) : asked.model;
  const counted = `${texts === 'pair' ? 'pairs of texts' : 'single texts'} with ${what}`;
  const line = (count: number): string =>
    `${grouped(count).padStart(grouped(total).length)}  ${percent(count, encoder)}`;
  app.terminal.out(
    `${plain(`${findMethod(asked.method).title} on ${name}`)}, ${counted}; percentages of the encoder's ${grouped(encoder)} weights\n` +
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

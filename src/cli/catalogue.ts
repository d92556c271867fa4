import type { z } from 'zod';
import { grouped } from '../base/format.ts';
import { methods } from '../peft/registry.ts';
import { configurationJsonSchema, writtenSchema, type JsonSchema } from '../runs/configuration-json-schema.ts';
import { usualTraining } from '../runs/configuration-schema.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { listTasks } from '../tasks/registry.ts';
import { isPair, type Task } from '../tasks/task.ts';
import type { App } from './app.ts';
import { printJson, table } from './output.ts';

interface MethodOption {
  readonly name: string;
  readonly type: string;
  readonly default: unknown;
  readonly description: string;
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(' | ');
  return [schema.type ?? 'any'].flat().join(' | ');
}

function optionsOf(schema: z.ZodType): readonly MethodOption[] {
  return Object.entries(writtenSchema(schema).properties ?? {}).map(([name, option]) => ({
    name,
    type: typeOf(option),
    default: option.default ?? null,
    description: option.description ?? '',
  }));
}

/** Text broken between words into lines of at most `width` cells. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** `peft-lab methods`: what can be written as `method`, and its options. */
export function methodsCommand(app: App): number {
  const listed = methods.map(({ id, title, citation, description, options, training }) => ({
    id,
    title,
    citation,
    description,
    training: { ...usualTraining, ...training },
    options: optionsOf(options),
  }));
  if (app.json) {
    printJson(app.terminal, { methods: listed });
    return 0;
  }
  const width = Math.max(40, Math.min(app.terminal.width ?? 120, 120));
  const indented = (text: string, indent: string): string =>
    wrapped(text, width - indent.length)
      .map((line) => `${indent}${line}\n`)
      .join('');
  app.terminal.out(
    listed
      .map(({ id, title, citation, description, training, options }) =>
        [
          `${id}  ${title}\n`,
          indented(description, '  '),
          indented(citation, '  '),
          `  learningRate ${training.learningRate}, warmup ${training.warmup}, weightDecay ${training.weightDecay}\n`,
          ...options.map(
            (option) =>
              `  ${option.name} = ${JSON.stringify(option.default)}\n${indented(option.description, '      ')}`,
          ),
        ].join(''),
      )
      .join('\n'),
  );
  return 0;
}

function labelsOf(task: Task): string {
  return task.kind === 'regression' ? `${task.range[0]} to ${task.range[1]}` : task.labels.join(', ');
}

/** A dash where the task's data are the user's own. */
function exampleCount(count: number | undefined): string {
  return count === undefined ? '-' : grouped(count);
}

/** `peft-lab tasks`: what can be written as `task`. */
export function tasksCommand(app: App): number {
  const tasks = listTasks();
  if (app.json) {
    printJson(app.terminal, {
      tasks: tasks.map((task) => ({
        id: task.id,
        title: task.title,
        description: task.description,
        kind: task.kind,
        pair: isPair(task),
        labels: task.kind === 'regression' ? null : task.labels,
        range: task.kind === 'regression' ? task.range : null,
        metrics: task.metrics,
        score: task.score,
        columns: task.columns,
        splits: task.splits,
      })),
    });
    return 0;
  }
  app.terminal.out(
    table(
      tasks,
      [
        { title: 'id', cell: ({ id }) => id },
        { title: 'title', cell: ({ title }) => title, drops: 3 },
        { title: 'question', cell: ({ description }) => description, shrinks: 20, drops: 1 },
        { title: 'labels', cell: labelsOf, shrinks: 12, drops: 2 },
        { title: 'score', cell: ({ score }) => score.of.join(', ') },
        { title: 'train', cell: ({ splits }) => exampleCount(splits.train), align: 'right' },
        { title: 'dev', cell: ({ splits }) => exampleCount(splits.dev), align: 'right' },
      ],
      app.terminal.width,
    ),
  );
  return 0;
}

/** `peft-lab schema`: the JSON schema of configuration files. */
export function schemaCommand(app: App): number {
  printJson(app.terminal, configurationJsonSchema(installedCatalogue));
  return 0;
}

import { resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { onnxBackend } from '../engine/backends/onnx/onnx-backend.ts';
import { prefixedName } from '../engine/encoders/tensor-names.ts';
import { foldingOf, foldModel } from '../engine/fold.ts';
import { exportAdapter } from '../engine/export-adapter.ts';
import { exportEncoder, requireTarget } from '../engine/export-encoder.ts';
import type { ExportOptions } from '../engine/export-folder.ts';
import { peftAdapter, requirePeftMethod } from '../engine/peft-adapter.ts';
import { transformersHead, type TransformersHead } from '../engine/transformers-head.ts';
import type { CheckpointKind } from '../runs/checkpoints.ts';
import { runFolder } from '../runs/run-folder.ts';
import { openTrainedRun, type TrainedRun } from '../runs/trained-run.ts';
import { readWorkspace, type App } from './app.ts';
import { plain, printJson } from './output.ts';
import { findRuns } from './runs.ts';

export interface ExportCommandOptions extends ExportOptions {
  readonly at: CheckpointKind;
}

const inferenceEngine = { backend: onnxBackend, device: { provider: 'cpu', threads: 0 } } as const;

/** The whole model, or what was trained beside the encoder as Hugging Face PEFT has it. */
export type ExportFormat = 'model' | 'peft';

/** What {@link exportRun} wrote. */
export interface ExportedRun {
  /** The class of `transformers` that loads encoder and head; nothing where that has none for the run's head. */
  readonly architecture: string | undefined;
  /** Why the head was left out, where it was. */
  readonly foreign?: ForeignHead;
}

/** Why `transformers` has no head like a run's, and what to do for one that it has. */
interface ForeignHead {
  readonly why: string;
  readonly advice: string;
}

function foreignHead({ plan, checkpoint }: TrainedRun): ForeignHead {
  const lacksPooler = checkpoint.config.family === 'bert' && !checkpoint.hasPooler;
  if (lacksPooler && plan.method.options['head'] === 'native')
    return {
      why: 'the model that it began from has no pooler, so its head is one linear map on the first token, which transformers has no class for',
      advice: 'Begin from a model with a pooler, such as bert-base-uncased.',
    };
  return {
    why: `its head is none of transformers' classifiers`,
    advice: `Train with the head set to "native"${lacksPooler ? ', from a model with a pooler' : ''}.`,
  };
}

/**
 * Writes the encoder that a run trained, its method worked into it where that is not the encoder itself, and the head where `transformers`
 * has one like it.
 * @throws UserError when the folder is not free, the method does not fold into the encoder, the run has no checkpoint, or there is nothing of
 * it to write
 */
export async function exportRun(
  app: App,
  id: string,
  folder: string,
  { at, precision, overwrite = false }: ExportCommandOptions,
): Promise<ExportedRun> {
  const run = await openTrainedRun(runFolder(readWorkspace(app), id), id, at);
  const { checkpoint } = run;
  await requireTarget(resolve(folder), checkpoint, { overwrite });
  const { encoder, head } = await exportedTensors(id, run);
  if (head === undefined && ![...encoder.keys()].some((name) => name.startsWith('base.')))
    throw new UserError(
      `the run ${id} trained no tensor of the encoder, and transformers has no head like its own`,
      'Runs can be written that train the encoder, use a method that folds into it, or have the head "native".',
    );
  await exportEncoder(resolve(folder), checkpoint, encoder, { precision, overwrite, head });
  return head === undefined
    ? { architecture: undefined, foreign: foreignHead(run) }
    : { architecture: head.architecture };
}

/** The encoder's changed tensors with the run's method in them, by the names of trained ones, and the head. */
async function exportedTensors(
  id: string,
  { configuration, task, plan, model, checkpoint, values }: TrainedRun,
): Promise<{ readonly encoder: ReadonlyMap<string, Float32Array>; readonly head?: TransformersHead | undefined }> {
  const folding = foldingOf(plan);
  const why = folding.kind === 'stays' ? folding.reason : folding.remainder?.reason;
  if (why !== undefined)
    throw new UserError(
      `the run ${id} can't be written as an encoder: ${plan.method.id} ${why}`,
      'Methods that fold into the encoder are LoRA, IA3, SLaSh, BitFit and intrinsic SAID, without gates.',
    );
  // What predicts masked words was trained as a part of the encoder.
  if (model.head === 'words' && ![...values.keys()].some((name) => name.startsWith('method.')))
    return { encoder: values, head: transformersHead(task, checkpoint.config, model.head, values) };
  const folded = await foldModel({ plan, checkpoint, values, seed: configuration.training.seed }, inferenceEngine);
  return {
    encoder: new Map(
      [...folded.encoder].map(([name, data]) => [`base.${prefixedName(checkpoint.config, name)}`, data] as const),
    ),
    head: transformersHead(task, checkpoint.config, model.head, folded.values),
  };
}

/**
 * Writes what a run trained beside the encoder, its head included, as an adapter of Hugging Face PEFT; a prefix that a network made as the rows
 * that come out of it.
 * @throws UserError as {@link exportRun}, and where PEFT has no such method or computes something else
 */
async function exportAsAdapter(
  app: App,
  id: string,
  folder: string,
  { at, precision, overwrite = false }: ExportCommandOptions,
): Promise<void> {
  const run = await openTrainedRun(runFolder(readWorkspace(app), id), id, at);
  const { configuration, task, plan, model, checkpoint, values } = run;
  const { method } = plan;
  requirePeftMethod(method.id);
  const isMade = method.id === 'prefix-tuning' && method.options['reparametrise'] === true;
  const trained = { plan, checkpoint, values, seed: configuration.training.seed };
  const flat = isMade ? (await foldModel(trained, inferenceEngine)).values : values;
  const head = transformersHead(task, checkpoint.config, model.head, flat);
  if (head === undefined || head.kind === 'words') {
    const { why, advice } = foreignHead(run);
    throw new UserError(`the run ${id} can't be written for Hugging Face PEFT: ${why}`, advice);
  }
  const adapter = peftAdapter({ encoder: checkpoint.config, method, values: flat, head });
  await exportAdapter(resolve(folder), adapter, configuration.model, { precision, overwrite });
}

/** @throws UserError for an empty text: a shell's variable without a value. It would be the current folder, and with --overwrite what lies there. */
export function requireNamed(folder: string): void {
  if (folder.trim() === '') throw new UserError('there is no folder ""', 'Give the folder to write to.');
}

/** `peft-lab export RUN FOLDER`: the trained encoder as a model folder in Hugging Face layout. */
export async function exportCommand(
  app: App,
  run: string,
  folder: string,
  { format, ...options }: ExportCommandOptions & { readonly format: ExportFormat },
): Promise<number> {
  requireNamed(folder);
  const [id = ''] = findRuns(readWorkspace(app), [run]);
  if (format === 'peft') {
    await exportAsAdapter(app, id, folder, options);
    if (app.json) printJson(app.terminal, { run: id, folder: resolve(folder), architecture: null });
    else app.terminal.out(`${plain(resolve(folder))}\n`);
    return 0;
  }
  const { architecture, foreign } = await exportRun(app, id, folder, options);
  if (app.json) printJson(app.terminal, { run: id, folder: resolve(folder), architecture: architecture ?? null });
  else {
    app.terminal.out(`${plain(resolve(folder))}\n`);
    app.terminal.err(
      architecture === undefined
        ? `the encoder without its head${foreign === undefined ? '' : `: ${foreign.why}`}\n`
        : `loads as ${architecture}\n`,
    );
  }
  return 0;
}

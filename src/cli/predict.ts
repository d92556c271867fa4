import { extname, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { counted, score as scoreText } from '../base/format.ts';
import { suggestion } from '../base/suggest.ts';
import { chooseDevice } from '../engine/device.ts';
import { engineOf } from '../engine/engine-of.ts';
import { fitMethod } from '../engine/fit-method.ts';
import { cpuInPlaceOf, stepWork } from '../engine/prepare.ts';
import { predict, predictedNumber, requireLabels, scorePredictions } from '../engine/predict.ts';
import { checkTokenizerFits, loadTokenizer } from '../engine/tokenizers/load.ts';
import type { CheckpointKind } from '../runs/checkpoints.ts';
import type { Configuration } from '../runs/configuration-schema.ts';
import { runFolder } from '../runs/run-folder.ts';
import { openTrainedRun } from '../runs/trained-run.ts';
import { trainingRequest } from '../runs/training-request.ts';
import type { SplitName, Task } from '../tasks/task.ts';
import { submissionName, submissionText } from '../tasks/submission.ts';
import { readWorkspace, type App } from './app.ts';
import { jsonText, plainLines, printJson } from './output.ts';
import { outputFile } from './output-file.ts';
import { readPredictionInput, type InputOptions } from './prediction-input.ts';
import { predictionCsv, predictionJson, predictionTable } from './prediction-text.ts';
import { findRuns } from './runs.ts';

const formats = ['table', 'csv', 'jsonl', 'glue'] as const;

type Format = (typeof formats)[number];

export interface PredictCommandOptions extends InputOptions {
  /** The best checkpoint where there is one, else the last, when absent. */
  readonly at?: CheckpointKind;
  readonly format?: string;
  /** A provider; the run's own wish when absent. */
  readonly device?: string;
  /** A file to write to; stdout when absent. */
  readonly output?: string;
  readonly overwrite: boolean;
}

function isFormat(text: string): text is Format {
  return (formats as readonly string[]).includes(text);
}

/** What a file's name tells of its format. */
const formatOfExtension: Readonly<Record<string, Format>> = { '.csv': 'csv', '.jsonl': 'jsonl', '.tsv': 'glue' };

/** @throws UserError where there is no such format, or nothing tells which */
function formatOf(app: App, { format, output }: PredictCommandOptions): Format {
  if (format === undefined) {
    if (output === undefined) return 'table';
    const told = formatOfExtension[extname(output).toLowerCase()];
    if (told !== undefined) return told;
    throw new UserError(
      `--output: the name ${output} does not tell the format`,
      `It should end in ${Object.keys(formatOfExtension).join(', ')}; or give --format ${formats.join('|')}.`,
    );
  }
  if (!isFormat(format)) throw new UserError(`there is no format "${format}"`, suggestion(format, formats));
  if (app.json && output === undefined) throw new UserError(`--json and --format ${format} exclude one another`);
  return format;
}

/** Whether scores of a split of the run's own data tell of what a private run protects: what it trained on, and what was not declared public. */
function tellsPrivateData({ privacy }: Configuration, split: SplitName): boolean {
  return privacy !== undefined && (split === 'train' || !privacy.publicEvaluation);
}

/** `peft-lab predict RUN FILE`: what a run's model says of examples, and how well where their labels are known. */
export async function predictCommand(
  app: App,
  name: string,
  file: string | undefined,
  options: PredictCommandOptions,
): Promise<number> {
  const read = file === undefined || file === '-' ? undefined : resolve(file);
  const { output: outputName, overwrite } = options;
  const output = outputName === undefined ? undefined : outputFile(outputName, { overwrite, read });
  const format = formatOf(app, options);
  const tell = (message: string): void => app.terminal.err(`${plainLines(message)}\n`);
  const workspace = readWorkspace(app);
  const [id = ''] = findRuns(workspace, [name]);
  const run = await openTrainedRun(runFolder(workspace, id), id, options.at);
  const { configuration, checkpoint, values } = run;
  const task: Task = run.task;
  requireLabels(task);
  const { examples, split, warning } = await readPredictionInput(configuration, task, file, options);
  const submission = format === 'glue' ? submissionName(task, split) : undefined;
  if (warning !== undefined && submission !== undefined)
    throw new UserError(warning, "GLUE's server wants a prediction for every row; mend the file.");
  const request = trainingRequest(configuration);
  const { method, settings } = request;
  const { maxLength } = fitMethod({ checkpoint, method, task }, configuration.task.maxLength);
  const tokenizer = await loadTokenizer(run.folder);
  checkTokenizerFits(tokenizer, checkpoint.config.vocabularySize, run.folder.path);
  const wish = { ...request.device, ...(options.device === undefined ? {} : { provider: options.device }) };
  const chosen = await chooseDevice(wish, stepWork(checkpoint, request));
  const { backend, device } = await engineOf(chosen.device);
  const fallback = wish.provider === 'auto' ? await cpuInPlaceOf(device) : undefined;
  for (const each of [...chosen.warnings, warning]) if (each !== undefined) tell(each);

  const { predictions, folded } = await predict(
    { checkpoint, method, task, values, tokenizer, maxLength, settings, backend, device, fallback, onNotice: tell },
    examples,
  );
  const metrics = scorePredictions(task, predictions, examples);
  const rows = examples.flatMap((example, index) => {
    const prediction = predictions[index];
    return prediction === undefined ? [] : [{ index, example, prediction }];
  });
  const isUncovered = metrics !== undefined && split !== undefined && tellsPrivateData(configuration, split);
  const text = (): string => {
    switch (format) {
      case 'jsonl':
        return rows.map((row) => jsonText(predictionJson(task, row))).join('');
      case 'csv':
        return predictionCsv(task, rows);
      case 'glue':
        return submissionText(task, predictions.map(predictedNumber));
      case 'table':
        return predictionTable(task, rows, output === undefined ? app.terminal.width : undefined);
    }
  };
  if (output !== undefined) output.write(text());
  else if (!app.json) app.terminal.out(text());
  if (app.json) {
    printJson(app.terminal, {
      run: id,
      task: task.id,
      checkpoint: { at: run.at, step: run.step },
      folded,
      examples: examples.length,
      ...(metrics === undefined ? {} : { metrics }),
      ...(isUncovered ? { coveredByEpsilon: false } : {}),
      ...(output === undefined
        ? { predictions: rows.map((row) => predictionJson(task, row)) }
        : { output: output.path }),
    });
    return 0;
  }
  tell(`${id}, ${run.at} checkpoint of step ${run.step}${folded ? `, ${method.id} worked into the encoder` : ''}`);
  if (metrics !== undefined) {
    const scores = Object.entries(metrics).map(([metric, value]) => `${metric} ${scoreText(value)}`);
    tell(`${scores.join(', ')} over ${counted(examples.length, 'labelled example')}`);
  }
  if (submission !== undefined) tell(`GLUE's server calls this file ${submission}`);
  if (isUncovered) tell("these scores are of the run's own data, and not covered by epsilon");
  return 0;
}

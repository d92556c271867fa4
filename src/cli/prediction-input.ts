import { isUtf8 } from 'node:buffer';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { buffer as readAll } from 'node:stream/consumers';
import { FileError, UserError } from '../base/errors.ts';
import { counted } from '../base/format.ts';
import { suggestion } from '../base/suggest.ts';
import type { TrainingRequest } from '../engine/prepare.ts';
import type { Configuration } from '../runs/configuration-schema.ts';
import { isSameFile } from '../runs/files.ts';
import { trainingRequest } from '../runs/training-request.ts';
import { toExample } from '../tasks/read/example.ts';
import { loadFile, loadSplit, skippedWarning } from '../tasks/read/load.ts';
import { findSplitFiles } from '../tasks/read/source.ts';
import { isPair, type Example, type SplitName, type Task } from '../tasks/task.ts';

/** Where examples come from; one of them is given. */
export interface InputOptions {
  readonly split?: string;
  readonly text: readonly string[];
  readonly pair: readonly string[];
}

/** What is to be predicted. */
export interface PredictionInput {
  readonly examples: readonly Example[];
  /** The split of the run's own data, asked for by its name or by its file. */
  readonly split?: SplitName | undefined;
  readonly warning?: string | undefined;
}

/** A text, or a pair of them, as a row of the task's data. @throws UserError */
function exampleOf(task: Task, text: string, pair: string | undefined, place: string): Example {
  const words = text.split(/\s+/u).filter((word) => word !== '');
  const row = { kind: 'row', line: 1, text: task.kind === 'words' ? words : text, pair, label: undefined } as const;
  const example = toExample(task, row, false);
  if (typeof example === 'string') throw new UserError(`${place}: ${example}`);
  return example;
}

function times(count: number): string {
  return counted(count, 'time');
}

/** `--text` and `--pair`, which belong together in their order. @throws UserError */
function fromOptions(task: Task, texts: readonly string[], pairs: readonly string[]): readonly Example[] {
  if (isPair(task) && texts.length !== pairs.length)
    throw new UserError(
      `${task.title} is about pairs of texts, and --text is given ${times(texts.length)}, --pair ${times(pairs.length)}`,
      'Give a --pair for each --text.',
    );
  if (!isPair(task) && pairs.length > 0)
    throw new UserError(`${task.title} is about single texts`, 'Leave --pair out.');
  return texts.map((text, index) => exampleOf(task, text, pairs[index], '--text'));
}

/** One text a line, the second one of a pair behind a tab. @throws UserError with the line */
function fromLines(task: Task, lines: string): readonly Example[] {
  const examples = lines.split(/\r?\n/u).flatMap((line, index) => {
    if (line.trim() === '') return [];
    const place = `line ${index + 1}`;
    const [text = '', pair, ...more] = isPair(task) ? line.split('\t') : [line];
    if (more.length > 0)
      throw new UserError(
        `${place}: there are ${more.length + 2} texts where a pair is expected`,
        'A tab stands between the two and nowhere else.',
      );
    return [exampleOf(task, text, pair, place)];
  });
  if (examples.length === 0) throw new UserError('there is no text to read', 'Give one a line.');
  return examples;
}

/** The text of standard input. @throws UserError where it is in another encoding, whose letters would be lost */
async function standardInput(): Promise<string> {
  const bytes = await readAll(process.stdin);
  if (!isUtf8(bytes)) throw new UserError('standard input is not valid UTF-8', 'Convert it, for example with iconv.');
  return new TextDecoder().decode(bytes);
}

/** @throws FileError where there is no file; what is in one is told by who reads it */
function requireFile(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new FileError(file, undefined, 'there is no such file');
  if (found.isDirectory())
    throw new FileError(
      file,
      undefined,
      'this is a folder, not a file',
      "Give one file of it, or --split for the run's own data.",
    );
}

function splitOf(task: Task, name: string): SplitName {
  const known = Object.keys(task.splits) as SplitName[];
  const split = known.find((each) => each === name);
  if (split === undefined) throw new UserError(`${task.title} has no split "${name}"`, suggestion(name, known));
  return split;
}

/** The split of the run's own data that a file belongs to; nothing where it is another file. */
async function splitOfFile(
  task: Task,
  data: TrainingRequest['task']['data'],
  file: string,
): Promise<SplitName | undefined> {
  for (const split of Object.keys(task.splits) as SplitName[]) {
    // Data that are no longer where the run read them are no reason not to predict others.
    const files = await findSplitFiles(task, data, split).catch(() => undefined);
    if (files?.some((own) => isSameFile(own, file)) === true) return split;
  }
  return undefined;
}

/** Reads what is to be predicted: texts as options, a file, standard input, or a split of the run's own data. @throws UserError */
export async function readPredictionInput(
  configuration: Configuration,
  task: Task,
  file: string | undefined,
  { split, text, pair }: InputOptions,
): Promise<PredictionInput> {
  const ways = [file !== undefined, split !== undefined, text.length > 0 || pair.length > 0].filter(Boolean).length;
  if (ways !== 1)
    throw new UserError(
      ways === 0 ? 'nothing is given to predict' : 'what to predict is given in more than one way',
      `Give a file, - for lines of standard input, --split ${Object.keys(task.splits).join('|')}, or --text.`,
    );
  const { task: own } = trainingRequest(configuration);
  if (split !== undefined) {
    const name = splitOf(task, split);
    const loaded = await loadSplit(task, own.data, name, { malformedRows: own.malformedRows ?? 'error' });
    return { examples: loaded.examples, split: name, warning: skippedWarning(loaded) };
  }
  if (file === '-') return { examples: fromLines(task, await standardInput()) };
  if (file !== undefined) {
    requireFile(resolve(file));
    const { examples } = await loadFile(task, resolve(file));
    return { examples, split: await splitOfFile(task, own.data, resolve(file)) };
  }
  return { examples: fromOptions(task, text, pair) };
}

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { resolveModel } from '../engine/model-folder.ts';
import { writeStartEncoder } from '../engine/pretraining/start-encoder.ts';
import { readJson } from '../engine/text-files.ts';
import { createWordCounter, learnWordPieces } from '../engine/tokenizers/learn-word-pieces.ts';
import { readDocuments } from '../tasks/read/documents.ts';
import type { Catalogue } from './catalogue.ts';
import {
  loadConfiguration,
  parseConfiguration,
  resolveConfiguration,
  type WrittenConfiguration,
} from './configuration.ts';
import type { Workspace } from './run-folder.ts';

/** What a person asks of pretraining. */
export interface PretrainingWish {
  /** Text with one document a line, a folder of such texts, or a `*.peft.json` whose task's texts are taken. */
  readonly file: string;
  /** The encoder to go on from; that of the `*.peft.json` when absent. */
  readonly model: string | undefined;
  readonly wholeWords: boolean;
}

/** Constants of AdamW as RoBERTa's pretraining has them (Liu et al. 2019, section 3.1). */
const adam = { beta2: 0.98, epsilon: 1e-6 };

/**
 * The configuration of a pretraining run. On text: one pass with 5e-4. On a task's own texts: 100 passes in steps of 256 sequences with 1e-4,
 * as task-adaptive pretraining has it (Gururangan et al. 2020, appendix B).
 * @throws UserError when there is no encoder to go on from; FileError for a configuration that does not fit
 */
export function pretrainingConfiguration(wish: PretrainingWish, catalogue: Catalogue): WrittenConfiguration {
  const file = resolve(wish.file);
  const fromTask = file.endsWith('.peft.json');
  const given = fromTask ? resolveConfiguration(loadConfiguration(file, catalogue), catalogue) : undefined;
  const model = wish.model ?? given?.model;
  if (model === undefined)
    throw new UserError('there is no encoder to go on from', 'Give one with --model, or make one with --from-scratch.');
  const masking = wish.wholeWords ? { masking: { wholeWords: true } } : {};
  const { id, data, maxLength } = given?.task ?? { id: undefined, data: file, maxLength: 128 };
  const task = {
    id: 'mlm',
    maxLength,
    ...masking,
    ...(data === undefined ? {} : { data }),
    ...(id === undefined ? {} : { textsOf: id }),
  };
  const training = fromTask
    ? { epochs: 100, batchSize: 16, accumulation: 16, learningRate: 1e-4, adam }
    : { epochs: 1, batchSize: 32, learningRate: 5e-4, adam };
  const settings = { name: `pretraining on ${basename(file)}`, model, task, method: 'full', training };
  return parseConfiguration(JSON.stringify(settings), file, catalogue);
}

/**
 * Learns a vocabulary from text and writes an encoder with random weights for it below the workspace; the same text, sizes and seed give
 * the same folder, which is not made again.
 * @param configFile the sizes, as a BERT's `config.json`
 * @param teacher a model that the word embeddings are taken from: a folder or hub id
 * @returns the encoder's folder
 * @throws FileError for sizes or a text that do not fit
 */
export async function makeStartEncoder(
  workspace: Workspace,
  configFile: string,
  textFile: string,
  vocabularySize: number,
  seed: number,
  teacher?: string,
): Promise<string> {
  if (textFile.endsWith('.peft.json'))
    throw new UserError('--from-scratch needs plain text', "A task's own texts are too few to learn a language from.");
  const sizes = await readJson(resolve(configFile));
  const { train } = await readDocuments(resolve(textFile), undefined);
  const counter = createWordCounter();
  for (const text of train) counter.add(text);
  const vocabulary = learnWordPieces(counter.counts(), { size: vocabularySize });
  const teacherFolder = teacher === undefined ? undefined : (await resolveModel(teacher)).path;
  const key = createHash('sha256')
    .update(JSON.stringify([sizes, vocabulary, seed, teacherFolder]))
    .digest('hex')
    .slice(0, 12);
  const folder = join(workspace.peft, 'encoders', key);
  if (!existsSync(join(folder, 'model.safetensors')))
    await writeStartEncoder(folder, sizes, configFile, vocabulary, seed, teacherFolder);
  return folder;
}

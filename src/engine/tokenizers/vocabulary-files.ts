/** Tokenisers whose vocabulary lies in files of its own, as those before `tokenizer.json` do. */
import { z } from 'zod';
import { FileError } from '../../base/errors.ts';
import { readJson, readText } from '../text-files.ts';
import { byteLevelParts, checkMerge, wordPieceParts, type Definition } from './definition.ts';
import type { BertNormalizer } from './normalizer.ts';
import { check, contentOf, type Settings } from './settings.ts';

/** `vocab.txt` of BERT: a token a line, its id the line counted from 0. @throws FileError */
export async function readWordPieceVocabulary(file: string, settings: Settings): Promise<Definition> {
  const lines = (await readText(file)).split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw new FileError(file, undefined, 'is empty', 'It should hold one token a line.');
  const vocabulary = Object.fromEntries(lines.map((token, id) => [token, id]));
  const unknown = contentOf(settings.unk_token) ?? '[UNK]';
  if (!Object.hasOwn(vocabulary, unknown))
    throw new FileError(
      file,
      undefined,
      `lacks the unknown token "${unknown}"`,
      'Is it really the vocabulary of a BERT model (one token a line)?',
    );
  const normalizer: BertNormalizer = {
    cleanText: true,
    handleChineseCharacters: settings.tokenize_chinese_chars ?? true,
    stripAccents: settings.strip_accents ?? undefined,
    lowerCase: settings.do_lower_case ?? !lines.some(hasCapital),
  };
  return {
    parts: wordPieceParts(normalizer, { vocabulary, unknown, continuation: '##', maxCharactersPerWord: 100 }),
    addedTokens: [],
    template: undefined,
    trimOffsets: undefined,
  };
}

/** Whether a token could only come from cased text; without a setting, one such token says that the vocabulary is cased. */
function hasCapital(token: string): boolean {
  return /[A-Z]/u.test(token) && !/^\[.*\]$/u.test(token);
}

/** `vocab.json` and `merges.txt` of RoBERTa. @throws FileError that names file and line */
export async function readByteLevelVocabulary(
  file: string,
  mergesFile: string,
  settings: Settings,
): Promise<Definition> {
  const vocabulary = check(z.record(z.string(), z.int().min(0)), await readJson(file), file);
  const merges: (readonly [string, string])[] = [];
  (await readText(mergesFile)).split('\n').forEach((text, index) => {
    const line = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (line === '' || line.startsWith('#version')) return;
    const [left = '', right = '', more] = line.split(' ');
    if (left === '' || right === '' || more !== undefined)
      throw new FileError(mergesFile, index + 1, `"${line}" is not a pair of tokens with one space between them`);
    merges.push(checkMerge([left, right], vocabulary, mergesFile, index + 1));
  });
  const addPrefixSpace = settings.add_prefix_space ?? false;
  const trimOffsets = (settings.trim_offsets ?? true) ? { addPrefixSpace } : undefined;
  const parts = byteLevelParts(undefined, {
    vocabulary,
    merges,
    unknown: undefined,
    addPrefixSpace,
    usePattern: true,
    ignoreMerges: false,
  });
  return { parts, addedTokens: [], template: undefined, trimOffsets };
}

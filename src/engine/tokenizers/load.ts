/** Reads a tokeniser from the files of a model: tokenizer.json, or vocab.txt (BERT), or vocab.json and merges.txt (RoBERTa). */
import { FileError, UserError } from '../../base/errors.ts';
import { inspectModelFolder } from '../model-folder.ts';
import type { ModelFolder } from '../model-folder.ts';
import type { Definition } from './definition.ts';
import { addedToken, contentOf, readSettings, type Settings, type TokenText } from './settings.ts';
import { bertTemplate, robertaTemplate } from './templates.ts';
import { readTokenizerJson } from './tokenizer-json.ts';
import { createTokenizer } from './tokenizer.ts';
import type { SpecialToken, Tokenizer, TokenizerParts } from './tokenizer.ts';
import { readByteLevelVocabulary, readWordPieceVocabulary } from './vocabulary-files.ts';

/**
 * The tokeniser of a model. Settings in `tokenizer_config.json` win over those in `tokenizer.json`, as they do in transformers.
 * @param model a resolved model, or the path of a folder
 * @throws FileError for a missing, damaged or unsupported file
 */
export async function loadTokenizer(model: ModelFolder | string): Promise<Tokenizer> {
  const folder = typeof model === 'string' ? await inspectModelFolder(model, { require: ['tokenizer'] }) : model;
  const files = folder.tokenizer;
  if (files === undefined)
    throw new FileError(
      folder.path,
      undefined,
      'has no tokenizer',
      'Put tokenizer.json there, or vocab.txt (BERT), or vocab.json and merges.txt (RoBERTa).',
    );
  const settings = await readSettings(files);
  const definition =
    files.kind === 'tokenizer.json'
      ? await readTokenizerJson(files.file, settings)
      : files.kind === 'vocab.txt'
        ? await readWordPieceVocabulary(files.file, settings)
        : await readByteLevelVocabulary(files.file, files.merges, settings);
  return createTokenizer(complete(definition, settings, files.file));
}

const usual: Record<TokenizerParts['family'], Record<'cls' | 'sep' | 'pad' | 'unk' | 'mask', TokenText>> = {
  wordpiece: { cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' },
  'byte-level-bpe': { cls: '<s>', sep: '</s>', pad: '<pad>', unk: '<unk>', mask: { content: '<mask>', lstrip: true } },
};

/**
 * Adds what transformers adds when it opens these files: the special tokens are found in the text too, and are left out of decoded
 * text, whether or not `tokenizer.json` lists them.
 */
function complete(definition: Definition, settings: Settings, file: string): TokenizerParts {
  const { parts, template, trimOffsets } = definition;
  const added = new Map(definition.addedTokens.map((token) => [token.content, token]));
  for (const [id, token] of Object.entries(settings.added_tokens_decoder ?? {}))
    added.set(token.content, addedToken(Number(id), token));

  const legacy = new Map(Object.entries(settings.addedTokens));
  const idOf = (text: string): number | undefined =>
    added.get(text)?.id ?? parts.model.vocabulary.get(text) ?? legacy.get(text);
  const find = (
    role: 'cls' | 'sep' | 'pad' | 'unk' | 'mask',
    ...settled: readonly (TokenText | null | undefined)[]
  ): SpecialToken | undefined => {
    const named = settled.find((token) => token !== undefined && token !== null);
    const token = named ?? usual[parts.family][role];
    const text = contentOf(token) ?? '';
    const id = idOf(text);
    if (id === undefined) {
      if (named !== undefined && role !== 'mask')
        throw new FileError(file, undefined, `its vocabulary lacks the ${role} token "${text}"`);
      return undefined;
    }
    const sameAsUsual = contentOf(usual[parts.family][role]) === text ? usual[parts.family][role] : token;
    if (!added.has(text)) {
      const fields =
        typeof token === 'string' ? (typeof sameAsUsual === 'string' ? { content: text } : sameAsUsual) : token;
      added.set(text, addedToken(id, { ...fields, content: text, special: true }));
    }
    return { id, text };
  };
  const require = (
    role: 'cls' | 'sep' | 'pad' | 'unk',
    ...settled: readonly (TokenText | null | undefined)[]
  ): SpecialToken => {
    const found = find(role, ...settled);
    if (found === undefined)
      throw new FileError(
        file,
        undefined,
        `its vocabulary has no ${role} token (usually "${contentOf(usual[parts.family][role]) ?? ''}")`,
        `Name it as "${role}_token" in tokenizer_config.json.`,
      );
    return found;
  };
  const specialTokens = {
    cls: require('cls', settings.cls_token, settings.bos_token),
    sep: require('sep', settings.sep_token, settings.eos_token),
    pad: require('pad', settings.pad_token),
    unk: require('unk', settings.unk_token),
    mask: find('mask', settings.mask_token),
  };
  for (const token of settings.further) {
    const content = contentOf(token) ?? '';
    const id = idOf(content);
    if (id === undefined || added.has(content)) continue;
    added.set(content, addedToken(id, { ...(typeof token === 'string' ? {} : token), content, special: true }));
  }
  for (const [content, id] of legacy) if (!added.has(content)) added.set(content, addedToken(id, { content }));
  const { cls, sep } = specialTokens;
  const longest = settings.model_max_length;
  return {
    ...parts,
    addedTokens: [...added.values()],
    template:
      template ?? (parts.family === 'wordpiece' ? bertTemplate(cls, sep) : robertaTemplate(cls, sep, trimOffsets)),
    specialTokens,
    // Transformers writes 1e30 for "no limit".
    maxLength:
      longest === undefined || longest === null || longest < 1 || longest > 1e9 ? undefined : Math.floor(longest),
  };
}

/**
 * Refuses a tokeniser that gives ids for which the model has no embedding.
 * @param vocabularySize `vocab_size` of the model's config.json
 * @throws UserError
 */
export function checkTokenizerFits(tokenizer: Tokenizer, vocabularySize: number, folder: string): void {
  if (tokenizer.greatestId < vocabularySize) return;
  throw new UserError(
    `${folder}: the tokenizer does not fit the model: it gives ids up to ${tokenizer.greatestId} ` +
      `("${tokenizer.idToToken(tokenizer.greatestId) ?? ''}"), but vocab_size in config.json is ${vocabularySize}`,
    'Use the tokenizer files that were published with this model.',
  );
}

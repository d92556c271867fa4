/** Reads a tokeniser from the files of a model: tokenizer.json, or vocab.txt (BERT), or vocab.json and merges.txt (RoBERTa). */
import { ByteLevelDecoder, WordPieceDecoder } from '@huggingface/tokenizers';
import { z } from 'zod';
import { FileError, UserError } from '../../base/errors.ts';
import { inspectModelFolder } from '../model-folder.ts';
import type { ModelFolder, TokenizerFiles } from '../model-folder.ts';
import { readJson, readText } from '../text-files.ts';
import type { AddedToken } from './added-tokens.ts';
import type { Template, TemplatePart } from './encoding.ts';
import type { BertNormalizer, Normalizer } from './normalizer.ts';
import { createTokenizer } from './tokenizer.ts';
import type { SpecialToken, Tokenizer, TokenizerParts } from './tokenizer.ts';
import { byteLevelModel, wordPieceModel } from './words.ts';

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

// Settings beside the vocabulary

const tokenText = z.union([
  z.string(),
  z.looseObject({
    content: z.string(),
    lstrip: z.boolean().optional(),
    rstrip: z.boolean().optional(),
    single_word: z.boolean().optional(),
    normalized: z.boolean().optional(),
  }),
]);
type TokenText = z.infer<typeof tokenText>;

const roles = ['cls_token', 'sep_token', 'pad_token', 'unk_token', 'mask_token', 'bos_token', 'eos_token'] as const;
type Role = (typeof roles)[number];
const roleFields = Object.fromEntries(roles.map((role) => [role, tokenText.nullish()])) as Record<
  Role,
  z.ZodOptional<z.ZodNullable<typeof tokenText>>
>;

const addedTokenFields = {
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  special: z.boolean().default(false),
  normalized: z.boolean().optional(),
};
/** Special tokens without a role; a record where they have names. What else stands there is nobody's mistake. */
const furtherTokens = z
  .union([z.array(tokenText), z.record(z.string(), tokenText)])
  .nullish()
  .catch(undefined);
const furtherFields = { additional_special_tokens: furtherTokens, extra_special_tokens: furtherTokens };
const specialTokensMap = z.looseObject({ ...roleFields, ...furtherFields });
const tokenizerConfig = z.looseObject({
  ...roleFields,
  ...furtherFields,
  do_lower_case: z.boolean().nullish(),
  strip_accents: z.boolean().nullish(),
  tokenize_chinese_chars: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  trim_offsets: z.boolean().nullish(),
  model_max_length: z.number().nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/u), z.looseObject(addedTokenFields)).nullish(),
});

type Settings = z.infer<typeof tokenizerConfig> & {
  /** Special tokens without a role. */
  readonly further: readonly TokenText[];
  /** Ids by token, as files from before version 4.34 of transformers have them. */
  readonly addedTokens: Readonly<Record<string, number>>;
};

async function readSettings(files: TokenizerFiles): Promise<Settings> {
  const config = files.config === undefined ? {} : check(tokenizerConfig, await readJson(files.config), files.config);
  const map =
    files.specialTokensMap === undefined
      ? {}
      : check(specialTokensMap, await readJson(files.specialTokensMap), files.specialTokensMap);
  const addedTokens =
    files.addedTokens === undefined || (config.added_tokens_decoder ?? undefined) !== undefined
      ? {}
      : check(z.record(z.string(), z.int().min(0)), await readJson(files.addedTokens), files.addedTokens);
  const further = [config, map].flatMap((of) =>
    [of.additional_special_tokens, of.extra_special_tokens].flatMap((tokens) => Object.values(tokens ?? {})),
  );
  const merged: Settings = { ...config, further, addedTokens };
  for (const role of roles) {
    const mapped = map[role];
    const configured = merged[role];
    // The map often says more of the same token than the configuration does (that the mask takes the space before it).
    if (
      configured === undefined ||
      configured === null ||
      (typeof configured === 'string' && contentOf(mapped) === configured)
    )
      merged[role] = mapped ?? configured;
  }
  return merged;
}

function contentOf(token: TokenText | null | undefined): string | undefined {
  return typeof token === 'string' ? token : token?.content;
}

function check<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? 'the file' : `"${issue.path.join('.')}"`;
  throw new FileError(file, undefined, `${where} is not as a tokenizer needs it: ${issue?.message ?? ''}`);
}

// The three kinds of definition

interface Definition {
  readonly parts: Omit<TokenizerParts, 'specialTokens' | 'maxLength' | 'addedTokens' | 'template'>;
  readonly addedTokens: readonly AddedToken[];
  /** Undefined: the family's usual template. */
  readonly template: Template | undefined;
  readonly trimOffsets: Template['trimOffsets'];
}

const templateItem = z.union([
  z.object({ SpecialToken: z.object({ id: z.string(), type_id: z.int().min(0) }) }),
  z.object({ Sequence: z.object({ id: z.enum(['A', 'B']), type_id: z.int().min(0) }) }),
]);
const namedToken = z.tuple([z.string(), z.int().min(0)]);
const byteLevelFields = {
  add_prefix_space: z.boolean().default(true),
  trim_offsets: z.boolean().default(true),
  use_regex: z.boolean().default(true),
};
const processor = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('TemplateProcessing'),
    single: z.array(templateItem),
    pair: z.array(templateItem),
    special_tokens: z.record(z.string(), z.object({ ids: z.array(z.int().min(0)), tokens: z.array(z.string()) })),
  }),
  z.object({ type: z.literal('BertProcessing'), cls: namedToken, sep: namedToken }),
  z.object({
    type: z.literal('RobertaProcessing'),
    cls: namedToken,
    sep: namedToken,
    trim_offsets: z.boolean().default(true),
    add_prefix_space: z.boolean().default(true),
  }),
  z.object({ type: z.literal('ByteLevel'), ...byteLevelFields }),
]);
type Processor = z.infer<typeof processor>;
const normalizerSchema = z.object({
  type: z.literal('BertNormalizer'),
  clean_text: z.boolean().default(true),
  handle_chinese_chars: z.boolean().default(true),
  strip_accents: z.boolean().nullish(),
  lowercase: z.boolean().default(true),
});
const preTokenizerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('BertPreTokenizer') }),
  z.object({ type: z.literal('ByteLevel'), ...byteLevelFields }),
]);
const modelSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('WordPiece'),
    unk_token: z.string().default('[UNK]'),
    continuing_subword_prefix: z.string().default('##'),
    max_input_chars_per_word: z.int().min(1).default(100),
    vocab: z.record(z.string(), z.int().min(0)),
  }),
  z.object({
    type: z.literal('BPE'),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    byte_fallback: z.boolean().default(false),
    fuse_unk: z.boolean().default(false),
    ignore_merges: z.boolean().default(false),
    vocab: z.record(z.string(), z.int().min(0)),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
]);

/** What a `tokenizer.json` may be made of here: the building blocks of the BERT family. */
function supported<T>(schema: z.ZodType<T>, value: unknown, what: string, choices: string, file: string): T {
  const type = z.looseObject({ type: z.string() }).safeParse(value);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new FileError(
    file,
    undefined,
    issue?.path[0] === 'type' || !type.success
      ? `its ${what} is ${type.success ? `of type "${type.data.type}"` : 'missing or has no type'}, which is not supported`
      : `its ${what} has a wrong "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}`,
    `Supported: ${choices}.`,
  );
}

async function readTokenizerJson(file: string, settings: Settings): Promise<Definition> {
  const json = check(
    z.looseObject({
      added_tokens: z.array(z.looseObject({ id: z.int().min(0), ...addedTokenFields })).nullish(),
      normalizer: z.unknown(),
      pre_tokenizer: z.unknown(),
      post_processor: z.unknown(),
      model: z.unknown(),
    }),
    await readJson(file),
    file,
  );
  // Files written before version 0.10 name no type; what they hold tells.
  const modelWithType =
    typeof json.model === 'object' && json.model !== null && !('type' in json.model)
      ? { type: 'merges' in json.model ? 'BPE' : 'WordPiece', ...json.model }
      : json.model;
  const model = supported(modelSchema, modelWithType, 'model', 'WordPiece, BPE', file);
  const normalizer = normalizerOf(json.normalizer, settings, file);
  const preTokenizer = supported(
    preTokenizerSchema,
    json.pre_tokenizer,
    'pre-tokenizer',
    'BertPreTokenizer, ByteLevel',
    file,
  );
  const processors = processorsOf(json.post_processor, file);
  const addedTokens = (json.added_tokens ?? []).map((token) => addedToken(token.id, token));

  if (model.type === 'WordPiece') {
    if (preTokenizer.type !== 'BertPreTokenizer')
      throw new FileError(file, undefined, 'combines a WordPiece model with byte-level words, which is not supported');
    if (!Object.hasOwn(model.vocab, model.unk_token))
      throw new FileError(file, undefined, `its vocabulary lacks the unknown token "${model.unk_token}"`);
    return {
      parts: wordPieceParts(
        model.vocab,
        model.unk_token,
        normalizer,
        model.continuing_subword_prefix,
        model.max_input_chars_per_word,
      ),
      addedTokens,
      template: templateOf(processors, undefined, file),
      trimOffsets: undefined,
    };
  }
  if (preTokenizer.type !== 'ByteLevel')
    throw new FileError(
      file,
      undefined,
      'combines a BPE model with words that are not byte-level, which is not supported',
    );
  const odd = [
    ['continuing_subword_prefix', model.continuing_subword_prefix],
    ['end_of_word_suffix', model.end_of_word_suffix],
    ['byte_fallback', model.byte_fallback],
    ['fuse_unk', model.fuse_unk],
  ].find(([, value]) => value !== undefined && value !== null && value !== false && value !== '');
  if (odd !== undefined)
    throw new FileError(file, undefined, `its BPE model sets "${String(odd[0])}", which is not supported`);
  const merges = model.merges.map((merge): readonly [string, string] => {
    const [left = '', right = '', more] = typeof merge === 'string' ? merge.split(' ') : merge;
    if (left === '' || right === '' || more !== undefined)
      throw new FileError(
        file,
        undefined,
        `"model.merges" holds ${JSON.stringify(merge)}, which is not a pair of tokens`,
      );
    return checkMerge(left, right, model.vocab, file, undefined);
  });
  const unknown = model.unk_token ?? undefined;
  if (unknown !== undefined && !Object.hasOwn(model.vocab, unknown))
    throw new FileError(file, undefined, `its vocabulary lacks the unknown token "${unknown}"`);
  const trimming = processors.find((one) => 'trim_offsets' in one);
  const trimOffsets =
    trimming !== undefined && (settings.trim_offsets ?? trimming.trim_offsets)
      ? { addPrefixSpace: settings.add_prefix_space ?? trimming.add_prefix_space }
      : undefined;
  return {
    parts: {
      family: 'byte-level-bpe',
      normalizer,
      model: byteLevelModel({
        vocabulary: model.vocab,
        merges,
        unknown,
        addPrefixSpace: settings.add_prefix_space ?? preTokenizer.add_prefix_space,
        usePattern: preTokenizer.use_regex,
        ignoreMerges: model.ignore_merges,
      }),
      join: byteLevelJoin(),
    },
    addedTokens,
    template: templateOf(processors, trimOffsets, file),
    trimOffsets,
  };
}

function normalizerOf(value: unknown, settings: Settings, file: string): Normalizer {
  if (value === null || value === undefined) return undefined;
  const read = supported(normalizerSchema, value, 'normalizer', 'BertNormalizer, or none', file);
  return {
    cleanText: read.clean_text,
    handleChineseCharacters: settings.tokenize_chinese_chars ?? read.handle_chinese_chars,
    stripAccents: settings.strip_accents ?? read.strip_accents ?? undefined,
    lowerCase: settings.do_lower_case ?? read.lowercase,
  };
}

function processorsOf(value: unknown, file: string): readonly Processor[] {
  if (value === null || value === undefined) return [];
  const sequence = z.object({ type: z.literal('Sequence'), processors: z.array(z.unknown()) }).safeParse(value);
  const choices = 'TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel';
  const found = (sequence.success ? sequence.data.processors : [value]).map((one) =>
    supported(processor, one, 'post-processor', choices, file),
  );
  if (found.filter((one) => one.type !== 'ByteLevel').length > 1)
    throw new FileError(file, undefined, 'has several post-processors that add special tokens, which is not supported');
  return found;
}

/** A template from its post-processors; undefined if none of them adds special tokens. */
function templateOf(
  processors: readonly Processor[],
  trimOffsets: Template['trimOffsets'],
  file: string,
): Template | undefined {
  const main = processors.find((one) => one.type !== 'ByteLevel');
  if (main === undefined) return undefined;
  if (main.type === 'TemplateProcessing') {
    const compile = (items: readonly z.infer<typeof templateItem>[]): TemplatePart[] =>
      items.map((item) => {
        if ('Sequence' in item) return sequencePart(item.Sequence.id === 'A' ? 0 : 1, item.Sequence.type_id);
        const token = Object.hasOwn(main.special_tokens, item.SpecialToken.id)
          ? main.special_tokens[item.SpecialToken.id]
          : undefined;
        if (token?.ids.length !== token?.tokens.length || token === undefined)
          throw new FileError(
            file,
            undefined,
            `its template uses "${item.SpecialToken.id}", which "special_tokens" does not define`,
          );
        return { kind: 'special', ids: token.ids, tokens: token.tokens, typeId: item.SpecialToken.type_id };
      });
    return { single: compile(main.single), pair: compile(main.pair), trimOffsets };
  }
  const [cls, sep] = [main.cls, main.sep].map(([text, id]) => ({ text, id }));
  if (cls === undefined || sep === undefined) throw new Error('a post-processor has both tokens');
  return main.type === 'BertProcessing' ? bertTemplate(cls, sep) : robertaTemplate(cls, sep, trimOffsets);
}

function sequencePart(index: 0 | 1, typeId: number): TemplatePart {
  return { kind: 'sequence', index, typeId };
}

function specialPart(token: SpecialToken, typeId: number): TemplatePart {
  return { kind: 'special', ids: [token.id], tokens: [token.text], typeId };
}

function bertTemplate(cls: SpecialToken, sep: SpecialToken): Template {
  const single = [specialPart(cls, 0), sequencePart(0, 0), specialPart(sep, 0)];
  return { single, pair: [...single, sequencePart(1, 1), specialPart(sep, 1)], trimOffsets: undefined };
}

function robertaTemplate(cls: SpecialToken, sep: SpecialToken, trimOffsets: Template['trimOffsets']): Template {
  const single = [specialPart(cls, 0), sequencePart(0, 0), specialPart(sep, 0)];
  return { single, pair: [...single, specialPart(sep, 0), sequencePart(1, 0), specialPart(sep, 0)], trimOffsets };
}

async function readWordPieceVocabulary(file: string, settings: Settings): Promise<Definition> {
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
    parts: wordPieceParts(vocabulary, unknown, normalizer, '##', 100),
    addedTokens: [],
    template: undefined,
    trimOffsets: undefined,
  };
}

/** Whether a token could only come from cased text; without a setting, one such token says that the vocabulary is cased. */
function hasCapital(token: string): boolean {
  return /[A-Z]/u.test(token) && !/^\[.*\]$/u.test(token);
}

function wordPieceParts(
  vocabulary: Record<string, number>,
  unknown: string,
  normalizer: Normalizer,
  continuation: string,
  maxCharactersPerWord: number,
): Definition['parts'] {
  const decoder = new WordPieceDecoder({ type: 'WordPiece', prefix: continuation, cleanup: true });
  return {
    family: 'wordpiece',
    normalizer,
    model: wordPieceModel({ vocabulary, unknown, continuation, maxCharactersPerWord }),
    join: (tokens) => decoder.decode(tokens),
  };
}

function byteLevelJoin(): (tokens: string[]) => string {
  const decoder = new ByteLevelDecoder({ type: 'ByteLevel' });
  return (tokens) => decoder.decode(tokens);
}

async function readByteLevelVocabulary(file: string, mergesFile: string, settings: Settings): Promise<Definition> {
  const vocabulary = check(z.record(z.string(), z.int().min(0)), await readJson(file), file);
  const merges: (readonly [string, string])[] = [];
  (await readText(mergesFile)).split('\n').forEach((text, index) => {
    const line = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (line === '' || line.startsWith('#version')) return;
    const [left = '', right = '', more] = line.split(' ');
    if (left === '' || right === '' || more !== undefined)
      throw new FileError(mergesFile, index + 1, `"${line}" is not a pair of tokens with one space between them`);
    merges.push(checkMerge(left, right, vocabulary, mergesFile, index + 1));
  });
  const addPrefixSpace = settings.add_prefix_space ?? false;
  const trimOffsets = (settings.trim_offsets ?? true) ? { addPrefixSpace } : undefined;
  const model = byteLevelModel({
    vocabulary,
    merges,
    unknown: undefined,
    addPrefixSpace,
    usePattern: true,
    ignoreMerges: false,
  });
  return {
    parts: { family: 'byte-level-bpe', normalizer: undefined, model, join: byteLevelJoin() },
    addedTokens: [],
    template: undefined,
    trimOffsets,
  };
}

function checkMerge(
  left: string,
  right: string,
  vocabulary: Record<string, number>,
  file: string,
  line: number | undefined,
): readonly [string, string] {
  const missing = [left, right, left + right].find((token) => !Object.hasOwn(vocabulary, token));
  if (missing !== undefined)
    throw new FileError(
      file,
      line,
      `merges "${left}" and "${right}", but "${missing}" is not in the vocabulary`,
      'Do the two files belong together?',
    );
  return [left, right];
}

// What all three kinds share

interface AddedTokenFields {
  readonly content: string;
  readonly single_word?: boolean | undefined;
  readonly lstrip?: boolean | undefined;
  readonly rstrip?: boolean | undefined;
  readonly special?: boolean | undefined;
  readonly normalized?: boolean | undefined;
}

function addedToken(id: number, fields: AddedTokenFields): AddedToken {
  const special = fields.special ?? false;
  return {
    id,
    content: fields.content,
    singleWord: fields.single_word ?? false,
    leftStrip: fields.lstrip ?? false,
    rightStrip: fields.rstrip ?? false,
    normalized: fields.normalized ?? !special,
    special,
  };
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

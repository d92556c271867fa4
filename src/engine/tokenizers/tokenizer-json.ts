import { z } from 'zod';
import { FileError } from '../../base/errors.ts';
import { readJson } from '../text-files.ts';
import { byteLevelParts, checkMerge, wordPieceParts, type Definition } from './definition.ts';
import type { Template, TemplatePart } from './encoding.ts';
import type { Normalizer } from './normalizer.ts';
import { addedToken, addedTokenFields, check, type Settings } from './settings.ts';
import { bertTemplate, robertaTemplate, sequencePart } from './templates.ts';

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
const normalizer = z.object({
  type: z.literal('BertNormalizer'),
  clean_text: z.boolean().default(true),
  handle_chinese_chars: z.boolean().default(true),
  strip_accents: z.boolean().nullish(),
  lowercase: z.boolean().default(true),
});
const preTokenizer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('BertPreTokenizer') }),
  z.object({ type: z.literal('ByteLevel'), ...byteLevelFields }),
]);
const model = z.discriminatedUnion('type', [
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

type WordPieceModel = Extract<z.infer<typeof model>, { type: 'WordPiece' }>;
type BpeModel = Extract<z.infer<typeof model>, { type: 'BPE' }>;

/** A part of a `tokenizer.json`, as far as it is supported here: the building blocks of the BERT family. */
interface Block<T> {
  readonly schema: z.ZodType<T>;
  readonly name: string;
  /** What is told of a type that is none of them. */
  readonly choices: string;
}

const blocks = {
  model: { schema: model, name: 'model', choices: 'WordPiece, BPE' },
  normalizer: { schema: normalizer, name: 'normalizer', choices: 'BertNormalizer, or none' },
  preTokenizer: { schema: preTokenizer, name: 'pre-tokenizer', choices: 'BertPreTokenizer, ByteLevel' },
  processor: {
    schema: processor,
    name: 'post-processor',
    choices: 'TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel',
  },
} as const;

function readBlock<T>({ schema, name, choices }: Block<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const type = z.looseObject({ type: z.string() }).safeParse(value);
  const issue = result.error.issues[0];
  throw new FileError(
    file,
    undefined,
    issue?.path[0] === 'type' || !type.success
      ? `its ${name} is ${type.success ? `of type "${type.data.type}"` : 'missing or has no type'}, which is not supported`
      : `its ${name} has a wrong "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}`,
    `Supported: ${choices}.`,
  );
}

/**
 * Reads `tokenizer.json`, which may be made of the building blocks of the BERT family.
 * @throws FileError for a damaged file, and for building blocks that are not supported, naming them
 */
export async function readTokenizerJson(file: string, settings: Settings): Promise<Definition> {
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
  const read = readBlock(blocks.model, modelWithType, file);
  const pieces: Pieces = {
    normalizer: normalizerOf(json.normalizer, settings, file),
    preTokenizer: readBlock(blocks.preTokenizer, json.pre_tokenizer, file),
    processors: processorsOf(json.post_processor, file),
    addedTokens: (json.added_tokens ?? []).map((token) => addedToken(token.id, token)),
  };
  return read.type === 'WordPiece'
    ? wordPieceDefinition(read, pieces, file)
    : byteLevelDefinition(read, pieces, settings, file);
}

/** What stands around the model of a `tokenizer.json`. */
interface Pieces {
  readonly normalizer: Normalizer;
  readonly preTokenizer: z.infer<typeof preTokenizer>;
  readonly processors: readonly Processor[];
  readonly addedTokens: Definition['addedTokens'];
}

function checkUnknownToken(token: string, vocabulary: Readonly<Record<string, number>>, file: string): void {
  if (!Object.hasOwn(vocabulary, token))
    throw new FileError(file, undefined, `its vocabulary lacks the unknown token "${token}"`);
}

function wordPieceDefinition(read: WordPieceModel, pieces: Pieces, file: string): Definition {
  if (pieces.preTokenizer.type !== 'BertPreTokenizer')
    throw new FileError(file, undefined, 'combines a WordPiece model with byte-level words, which is not supported');
  checkUnknownToken(read.unk_token, read.vocab, file);
  return {
    parts: wordPieceParts(pieces.normalizer, {
      vocabulary: read.vocab,
      unknown: read.unk_token,
      continuation: read.continuing_subword_prefix,
      maxCharactersPerWord: read.max_input_chars_per_word,
    }),
    addedTokens: pieces.addedTokens,
    template: templateOf(pieces.processors, undefined, file),
    trimOffsets: undefined,
  };
}

function byteLevelDefinition(read: BpeModel, pieces: Pieces, settings: Settings, file: string): Definition {
  const { normalizer, preTokenizer, processors, addedTokens } = pieces;
  if (preTokenizer.type !== 'ByteLevel')
    throw new FileError(
      file,
      undefined,
      'combines a BPE model with words that are not byte-level, which is not supported',
    );
  refuseOddSettings(read, file);
  const unknown = read.unk_token ?? undefined;
  const merges = mergesOf(read, file);
  if (unknown !== undefined) checkUnknownToken(unknown, read.vocab, file);
  const trimming = processors.find((one) => 'trim_offsets' in one);
  const trimOffsets =
    trimming !== undefined && (settings.trim_offsets ?? trimming.trim_offsets)
      ? { addPrefixSpace: settings.add_prefix_space ?? trimming.add_prefix_space }
      : undefined;
  return {
    parts: byteLevelParts(normalizer, {
      vocabulary: read.vocab,
      merges,
      unknown,
      addPrefixSpace: settings.add_prefix_space ?? preTokenizer.add_prefix_space,
      usePattern: preTokenizer.use_regex,
      ignoreMerges: read.ignore_merges,
    }),
    addedTokens,
    template: templateOf(processors, trimOffsets, file),
    trimOffsets,
  };
}

/** Refuses a BPE model that sets what those of RoBERTa leave alone. */
function refuseOddSettings(read: BpeModel, file: string): void {
  const odd = (['continuing_subword_prefix', 'end_of_word_suffix', 'byte_fallback', 'fuse_unk'] as const).find(
    (name) => read[name] !== undefined && read[name] !== null && read[name] !== false && read[name] !== '',
  );
  if (odd !== undefined) throw new FileError(file, undefined, `its BPE model sets "${odd}", which is not supported`);
}

function mergesOf({ merges, vocab }: BpeModel, file: string): readonly (readonly [string, string])[] {
  return merges.map((merge) => {
    const [left = '', right = '', more] = typeof merge === 'string' ? merge.split(' ') : merge;
    if (left === '' || right === '' || more !== undefined)
      throw new FileError(
        file,
        undefined,
        `"model.merges" holds ${JSON.stringify(merge)}, which is not a pair of tokens`,
      );
    return checkMerge([left, right], vocab, file, undefined);
  });
}

function normalizerOf(value: unknown, settings: Settings, file: string): Normalizer {
  if (value === null || value === undefined) return undefined;
  const read = readBlock(blocks.normalizer, value, file);
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
  const found = (sequence.success ? sequence.data.processors : [value]).map((one) =>
    readBlock(blocks.processor, one, file),
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

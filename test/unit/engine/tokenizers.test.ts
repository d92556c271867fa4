import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileError, UserError } from '../../../src/base/errors.ts';
import type { Truncation } from '../../../src/engine/tokenizers/encoding.ts';
import { checkTokenizerFits, loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import type { Tokenizer } from '../../../src/engine/tokenizers/tokenizer.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tokenizers');
const scratch: string[] = [];

/** A folder with these files: a string is the content, an array the path of a fixture. */
async function folderWith(files: Readonly<Record<string, string | readonly string[]>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  scratch.push(folder);
  for (const [name, content] of Object.entries(files))
    if (typeof content === 'string') await writeFile(join(folder, name), content);
    else await cp(join(fixtures, ...content), join(folder, name));
  return folder;
}

async function readFixture(...path: string[]): Promise<unknown> {
  return JSON.parse(await readFile(join(fixtures, ...path), 'utf8'));
}

afterAll(async () => {
  for (const folder of scratch) await rm(folder, { recursive: true });
});

interface Variants {
  readonly variants: readonly {
    readonly family: string;
    readonly tokenizer: Readonly<Record<string, unknown>>;
    readonly cases: readonly {
      readonly text: string;
      readonly pair?: string;
      readonly max_length?: number;
      readonly strategy?: Truncation;
      readonly stride?: number;
      readonly windows: readonly unknown[];
    }[];
  }[];
}

describe('random Unicode under nine settings', async () => {
  const { variants } = (await readFixture('unicode.json')) as Variants;

  it.each(variants.map((variant, index) => ({ ...variant, index })))(
    '$family, variant $index, agrees with the reference',
    async ({ family, tokenizer: changes, cases }) => {
      const original = (await readFixture(family, 'tokenizer.json')) as Record<string, unknown>;
      const tokenizer = await loadTokenizer(
        await folderWith({ 'tokenizer.json': JSON.stringify({ ...original, ...changes }) }),
      );
      expect(cases.length).toBeGreaterThan(30);
      for (const { text, pair, max_length, strategy, stride, windows } of cases) {
        const encoding = tokenizer.encode(text, pair, {
          ...(max_length === undefined ? {} : { maxLength: max_length }),
          ...(strategy === undefined ? {} : { truncation: strategy }),
          ...(stride === undefined ? {} : { stride }),
        });
        const found = [encoding, ...encoding.overflowing].map(({ ids, tokens, offsets, wordIds }) => ({
          ids: [...ids],
          tokens,
          offsets,
          word_ids: wordIds,
        }));
        expect({ text, windows: found }).toEqual({ text, windows });
      }
    },
  );
});

/** Texts that go through every branch: words, all of Unicode, lone surrogates, marks, controls, special tokens. */
const texts = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'hello',
        ' ',
        '\n',
        '\t ',
        'Café',
        'e\u0301\u0323',
        '中国',
        '[MASK]',
        ' <mask>',
        "don't",
        '\u0000',
        '\u00ad',
        '😀',
        '##',
      ),
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.string({ unit: 'grapheme-ascii', maxLength: 8 }),
      fc.string({
        unit: fc.integer({ min: 0x300, max: 0x36f }).map((code) => String.fromCharCode(code)),
        maxLength: 4,
      }),
      fc.constantFrom('\ud800', '\udc00', 'Σ', 'İ', '\u0344', '\u0f73', '가', '\u1100\u1161'),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe.each([['bert_uncased'], ['bert_cased'], ['roberta_bpe']])('%s', (family) => {
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    tokenizer = await loadTokenizer(join(fixtures, family));
  });

  it('gives the same ids, types and special tokens fast, whatever was encoded before', () => {
    fc.assert(
      fc.property(
        texts,
        fc.option(texts, { nil: undefined }),
        fc.integer({ min: 4, max: 40 }),
        (text, pair, maxLength) => {
          const { ids, typeIds, specialTokensMask: special } = tokenizer.encode(text, pair, { maxLength });
          expect(tokenizer.encodeFast(text, pair, maxLength)).toEqual({ ids, typeIds, special });
        },
      ),
      { numRuns: 600 },
    );
  });

  it('gives offsets that lie in the text, in order, one word after the other', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const length = Array.from(text).length;
        const { offsets, wordIds, specialTokensMask } = tokenizer.encode(text);
        const own = offsets.filter((_, i) => specialTokensMask[i] === 0);
        for (const [start, end] of own) expect(start >= 0 && start <= end && end <= length).toBe(true);
        const words = wordIds.filter((word) => word !== null);
        expect(words).toEqual(words.toSorted((a, b) => a - b));
        expect(own.map(([, end]) => end)).toEqual(own.map(([, end]) => end).toSorted((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });

  it('keeps to the maximum length and loses no token in the windows', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 5, max: 12 }), fc.integer({ min: 0, max: 2 }), (text, maxLength, stride) => {
        const whole = tokenizer.encode(text, undefined, { addSpecialTokens: false });
        const first = tokenizer.encode(text, undefined, { maxLength, stride });
        const joined: number[] = [];
        [first, ...first.overflowing].forEach(({ ids }, i) => {
          expect(ids.length).toBeLessThanOrEqual(maxLength);
          joined.push(...ids.subarray(1 + (i === 0 ? 0 : stride), ids.length - 1));
        });
        expect(joined).toEqual([...whole.ids]);
      }),
      { numRuns: 200 },
    );
  });

  it('leaves offsets out when they are not asked for, and pads every window', () => {
    const { offsets, ids, attentionMask, overflowing } = tokenizer.encode('the quick brown fox jumps', undefined, {
      maxLength: 6,
      padTo: 9,
      returnOffsets: false,
    });
    expect(offsets).toEqual([]);
    expect(overflowing.length).toBeGreaterThan(0);
    for (const window of overflowing) expect(window.ids).toHaveLength(9);
    expect(ids[8]).toBe(tokenizer.specialTokens.pad.id);
    expect([...attentionMask]).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 0]);
  });

  it('refuses lengths that cannot be kept', () => {
    expect(() => tokenizer.encode('a', 'b', { maxLength: 2 })).toThrow(UserError);
    expect(() => tokenizer.encodeFast('a', 'b', 2)).toThrow(UserError);
    expect(() => tokenizer.encode('the quick brown fox', undefined, { maxLength: 5, stride: 3 })).toThrow(UserError);
    expect(() => tokenizer.encode('hello world', undefined, { maxLength: 3, truncation: 'only_second' })).toThrow(
      UserError,
    );
  });

  it('knows its special tokens', () => {
    const { cls, sep, pad, unk, mask } = tokenizer.specialTokens;
    const { ids } = tokenizer.encode('hello');
    expect([ids[0], ids.at(-1)]).toEqual([cls.id, sep.id]);
    for (const token of [cls, sep, pad, unk]) expect(tokenizer.tokenToId(token.text)).toBe(token.id);
    expect(mask !== undefined && tokenizer.encode(`hello ${mask.text}`).ids.includes(mask.id)).toBe(true);
    expect(tokenizer.maxLength).toBe(512);
  });

  it('must fit the model', () => {
    expect(() => checkTokenizerFits(tokenizer, tokenizer.greatestId + 1, 'model')).not.toThrow();
    expect(() => checkTokenizerFits(tokenizer, tokenizer.greatestId, 'model')).toThrow(UserError);
    expect(tokenizer.vocabularySize).toBe(tokenizer.greatestId + 1);
  });
});

describe('settings', () => {
  const vocabulary = ['bert_cased', 'vocab.txt'];

  it('takes a vocabulary with capitals for cased when nothing says so', async () => {
    const cased = await loadTokenizer(await folderWith({ 'vocab.txt': vocabulary }));
    expect(cased.encode('Hello').tokens).toContain('Hello');
    const uncased = await loadTokenizer(await folderWith({ 'vocab.txt': ['bert_uncased', 'vocab.txt'] }));
    expect(uncased.encode('Hello').tokens).toContain('hello');
  });

  it('lets tokenizer_config.json decide on case', async () => {
    const tokenizer = await loadTokenizer(
      await folderWith({ 'vocab.txt': vocabulary, 'tokenizer_config.json': '{"do_lower_case": true}' }),
    );
    expect(tokenizer.encode('HELLO').tokens).toContain('hello');
    const overridden = await loadTokenizer(
      await folderWith({
        'tokenizer.json': ['bert_uncased', 'tokenizer.json'],
        'tokenizer_config.json': '{"do_lower_case": false}',
      }),
    );
    expect(overridden.encode('HELLO').tokens).not.toContain('hello');
  });

  it('puts a space before the text when tokenizer_config.json says so', async () => {
    const files = { 'vocab.json': ['roberta_bpe', 'vocab.json'], 'merges.txt': ['roberta_bpe', 'merges.txt'] };
    const tokenizer = await loadTokenizer(
      await folderWith({ ...files, 'tokenizer_config.json': '{"add_prefix_space": true}' }),
    );
    expect(tokenizer.encode('the').tokens[1]).toBe('Ġthe');
  });

  it('reads special tokens from special_tokens_map.json', async () => {
    const tokenizer = await loadTokenizer(
      await folderWith({
        'vocab.txt': '[PAD]\n[UNK]\n[SEP]\n<start>\nhello\n',
        'special_tokens_map.json': '{"cls_token": {"content": "<start>", "lstrip": false}}',
      }),
    );
    expect(tokenizer.specialTokens).toMatchObject({ cls: { id: 3, text: '<start>' }, mask: undefined });
    expect([...tokenizer.encode('hello').ids]).toEqual([3, 4, 2]);
  });

  it('finds the tokens of added_tokens.json in the text, unless tokenizer_config.json has its own list', async () => {
    const files = {
      'vocab.txt': '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n[\ne1\n]\n',
      'added_tokens.json': '{"[E1]": 9, "Term": 10}',
      'special_tokens_map.json': '{"additional_special_tokens": ["[E1]"]}',
    };
    const tokenizer = await loadTokenizer(await folderWith(files));
    expect([...tokenizer.encode('[E1] hello term').ids]).toEqual([2, 9, 5, 10, 3]);
    expect([...tokenizer.encodeFast('[e1]TERM', undefined, 16).ids]).toEqual([2, 6, 7, 8, 10, 3]);
    expect(tokenizer.decode([9, 5])).toBe('hello');
    expect(tokenizer.greatestId).toBe(10);
    const newer = await loadTokenizer(
      await folderWith({
        ...files,
        'tokenizer_config.json': '{"added_tokens_decoder": {"11": {"content": "term"}}}',
      }),
    );
    expect([...newer.encode('[E1] hello term').ids]).toEqual([2, 6, 7, 8, 5, 11, 3]);
  });

  it.each([
    ['a list', '{"additional_special_tokens": ["[E1]", {"content": "[gone]", "lstrip": true}]}'],
    ['names', '{"extra_special_tokens": {"entity_token": "[E1]"}}'],
  ])('finds further special tokens of the vocabulary in the text, given as %s', async (_, config) => {
    const vocabulary = '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n[E1]\n';
    const tokenizer = await loadTokenizer(
      await folderWith({ 'vocab.txt': vocabulary, 'tokenizer_config.json': config }),
    );
    expect([...tokenizer.encode('hello[E1]').ids]).toEqual([2, 5, 6, 3]);
    expect(tokenizer.decode([5, 6])).toBe('hello');
  });

  it('counts lines that end in CR LF, and an empty line as a token', async () => {
    const tokenizer = await loadTokenizer(
      await folderWith({ 'vocab.txt': '[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n\r\nhello\r\n' }),
    );
    expect([...tokenizer.encode('hello').ids]).toEqual([2, 5, 3]);
    expect(tokenizer.greatestId).toBe(5);
  });

  it('takes 1e30 for no limit', async () => {
    const tokenizer = await loadTokenizer(
      await folderWith({
        'vocab.txt': vocabulary,
        'tokenizer_config.json': '{"model_max_length": 1000000000000000019884624838656}',
      }),
    );
    expect(tokenizer.maxLength).toBeUndefined();
  });
});

describe('files that are not as they should be', () => {
  const vocabulary = ['roberta_bpe', 'vocab.json'];

  async function failure(files: Readonly<Record<string, string | readonly string[]>>): Promise<FileError> {
    const error: unknown = await loadTokenizer(await folderWith(files)).catch((thrown: unknown) => thrown);
    if (!(error instanceof FileError)) throw new Error('expected a FileError', { cause: error });
    return error;
  }

  async function changed(
    change: (json: Record<string, unknown>) => unknown,
    family = 'bert_uncased',
  ): Promise<FileError> {
    const json = (await readFixture(family, 'tokenizer.json')) as Record<string, unknown>;
    return failure({ 'tokenizer.json': JSON.stringify(change(json)) });
  }

  it.each<[string, Readonly<Record<string, string | readonly string[]>>, string]>([
    ['no files', {}, ''],
    ['half a byte-level vocabulary', { 'vocab.json': vocabulary }, ''],
    ['an empty vocabulary', { 'vocab.txt': '' }, 'vocab.txt'],
    ['a vocabulary without [UNK]', { 'vocab.txt': 'a\nb\n' }, 'vocab.txt'],
    ['a vocabulary without [CLS]', { 'vocab.txt': '[UNK]\n[PAD]\n[SEP]\n' }, 'vocab.txt'],
    ['broken JSON', { 'tokenizer.json': '{"model": ' }, 'tokenizer.json'],
    ['JSON of something else', { 'tokenizer.json': '[]' }, 'tokenizer.json'],
    ['ids that are not numbers', { 'vocab.json': '{"a": "b"}', 'merges.txt': '' }, 'vocab.json'],
    [
      'a configuration of wrong type',
      { 'vocab.txt': ['bert_cased', 'vocab.txt'], 'tokenizer_config.json': '{"do_lower_case": "yes"}' },
      'tokenizer_config.json',
    ],
    [
      'a special token outside the vocabulary',
      { 'vocab.txt': ['bert_cased', 'vocab.txt'], 'tokenizer_config.json': '{"pad_token": "<none>"}' },
      'vocab.txt',
    ],
  ])('%s', async (_, files, name) => {
    expect((await failure(files)).file.endsWith(name)).toBe(true);
  });

  it('merges that are not pairs, or not of this vocabulary, by line', async () => {
    expect(await failure({ 'vocab.json': vocabulary, 'merges.txt': '#version: 0.2\nĠ t\nh e x\n' })).toMatchObject({
      line: 3,
    });
    expect(await failure({ 'vocab.json': vocabulary, 'merges.txt': 'Ġ t\nĠ unheard\n' })).toMatchObject({ line: 2 });
  });

  it('bytes that are not UTF-8', async () => {
    const folder = await folderWith({});
    await writeFile(join(folder, 'vocab.txt'), Uint8Array.of(0x5b, 0xff, 0xfe));
    await expect(loadTokenizer(folder)).rejects.toBeInstanceOf(FileError);
  });

  it.each<[string, Record<string, unknown>]>([
    ['model', { model: { type: 'Unigram', vocab: [] } }],
    ['normalizer', { normalizer: { type: 'Precompiled', precompiled_charsmap: '' } }],
    ['pre-tokenizer', { pre_tokenizer: { type: 'Metaspace' } }],
    ['post-processor', { post_processor: { type: 'Unheard' } }],
  ])('names a %s that is not supported', async (what, change) => {
    expect((await changed((json) => ({ ...json, ...change }))).message).toContain(what);
  });

  it('a template that uses an undefined token', async () => {
    const processor = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '[CLS]', type_id: 0 } }],
      pair: [],
      special_tokens: {},
    };
    expect((await changed((json) => ({ ...json, post_processor: processor }))).message).toContain('[CLS]');
  });

  it('byte-level BPE with parts that change its meaning', async () => {
    const error = await changed(
      (json) => ({ ...json, model: { ...(json['model'] as object), end_of_word_suffix: '</w>' } }),
      'roberta_bpe',
    );
    expect(error.message).toContain('end_of_word_suffix');
  });
});

const realVocabulary = join(import.meta.dirname, '../../../../shared/data/bert-uncased-vocab/vocab.txt');

describe.skipIf(!existsSync(realVocabulary))('the vocabulary of BERT base', () => {
  it('gives the published ids', async () => {
    const folder = await folderWith({});
    await cp(realVocabulary, join(folder, 'vocab.txt'));
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.vocabularySize).toBe(30522);
    expect(tokenizer.specialTokens).toMatchObject({
      pad: { id: 0 },
      unk: { id: 100 },
      cls: { id: 101 },
      sep: { id: 102 },
      mask: { id: 103 },
    });
    expect([...tokenizer.encode("Who was Jim Henson? He's a puppeteer.").ids]).toEqual([
      101, 2040, 2001, 3958, 27227, 1029, 2002, 1005, 1055, 1037, 13997, 11510, 1012, 102,
    ]);
  });
});

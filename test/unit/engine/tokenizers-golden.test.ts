import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import type { Encoding, Truncation } from '../../../src/engine/tokenizers/encoding.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import type { Tokenizer } from '../../../src/engine/tokenizers/tokenizer.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tokenizers');

interface Expected {
  readonly ids: number[];
  readonly tokens: string[];
  readonly type_ids: number[];
  readonly attention_mask?: number[];
  readonly special_tokens_mask: number[];
  readonly offsets: [number, number][];
  readonly word_ids: (number | null)[];
  readonly sequence_ids: (number | null)[];
}

interface Golden {
  readonly single: readonly (Expected & { readonly text: string })[];
  readonly without_special_tokens: readonly { readonly text: string; readonly ids: number[] }[];
  readonly pairs: readonly (Expected & { readonly text: string; readonly pair: string })[];
  readonly truncation: readonly (Partial<Expected> & {
    readonly text: string;
    readonly pair: string | null;
    readonly max_length: number;
    readonly strategy: Truncation;
    readonly error?: string;
  })[];
  readonly overflow_windows: readonly {
    readonly question: string;
    readonly context: string;
    readonly max_length: number;
    readonly stride: number;
    readonly windows: readonly Expected[];
  }[];
  readonly padded_batch: { readonly texts: readonly string[]; readonly batch: readonly Expected[] };
  readonly decoded: readonly { readonly ids: number[]; readonly text: string }[];
}

interface WholeWindows {
  readonly families: Readonly<
    Record<
      string,
      readonly {
        readonly text: string;
        readonly pair: string | null;
        readonly max_length: number;
        readonly stride: number;
        readonly strategy: Truncation;
        readonly windows: readonly Expected[];
      }[]
    >
  >;
}

async function readFixture(...path: string[]): Promise<unknown> {
  return JSON.parse(await readFile(join(fixtures, ...path), 'utf8'));
}

function plain(encoding: Encoding): Expected {
  return {
    ids: [...encoding.ids],
    tokens: [...encoding.tokens],
    type_ids: [...encoding.typeIds],
    attention_mask: [...encoding.attentionMask],
    special_tokens_mask: [...encoding.specialTokensMask],
    offsets: encoding.offsets.map(([start, end]) => [start, end]),
    word_ids: [...encoding.wordIds],
    sequence_ids: [...encoding.sequenceIds],
  };
}

function windowsOf(encoding: Encoding): Expected[] {
  return [encoding, ...encoding.overflowing].map(plain);
}

const families = [
  { family: 'bert_uncased', vocabulary: ['vocab.txt'] },
  { family: 'bert_cased', vocabulary: ['vocab.txt'] },
  { family: 'roberta_bpe', vocabulary: ['vocab.json', 'merges.txt'] },
];

const sources = families.flatMap(({ family, vocabulary }) => [
  { family, from: 'tokenizer.json', files: ['tokenizer.json', 'tokenizer_config.json'] },
  { family, from: 'tokenizer.json alone', files: ['tokenizer.json'] },
  { family, from: vocabulary.join(' and '), files: [...vocabulary, 'tokenizer_config.json'] },
  { family, from: `${vocabulary.join(' and ')} alone`, files: vocabulary },
]);

describe.each(sources)('$family from $from', ({ family, files }) => {
  let folder: string;
  let tokenizer: Tokenizer;
  let golden: Golden;
  let whole: WholeWindows['families'][string];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
    for (const file of files) await cp(join(fixtures, family, file), join(folder, file));
    tokenizer = await loadTokenizer(folder);
    golden = (await readFixture(family, 'expected.json')) as Golden;
    whole = ((await readFixture('whole_windows.json')) as WholeWindows).families[family] ?? [];
  });

  afterAll(() => rm(folder, { recursive: true }));

  it('agrees on single texts, to the offset', () => {
    expect(golden.single.length).toBeGreaterThan(60);
    for (const { text, ...expected } of golden.single)
      expect({ text, ...plain(tokenizer.encode(text)) }).toEqual({ text, ...expected });
  });

  it('agrees without special tokens', () => {
    for (const { text, ids } of golden.without_special_tokens)
      expect([...tokenizer.encode(text, undefined, { addSpecialTokens: false }).ids]).toEqual(ids);
  });

  it('agrees on pairs', () => {
    for (const { text, pair, ...expected } of golden.pairs)
      expect({ text, pair, ...plain(tokenizer.encode(text, pair)) }).toEqual({ text, pair, ...expected });
  });

  it('agrees on truncation, by every strategy', () => {
    for (const { text, pair, max_length, strategy, error, ...expected } of golden.truncation) {
      const encode = () =>
        tokenizer.encode(text, pair ?? undefined, { maxLength: max_length, truncation: strategy, stopAtLimit: true });
      if (error === undefined) expect(plain(encode())).toEqual(expected);
      else expect(encode).toThrow(UserError);
    }
  });

  it('agrees on overflow windows', () => {
    for (const { question, context, max_length, stride, windows } of golden.overflow_windows) {
      const options = { maxLength: max_length, stride, truncation: 'only_second' } as const;
      expect(windowsOf(tokenizer.encode(question, context, { ...options, stopAtLimit: true }))).toEqual(windows);
      // The first window does not depend on what follows.
      expect(plain(tokenizer.encode(question, context, options))).toEqual(windows[0]);
    }
  });

  it('agrees on the whole of the windows, by every strategy', () => {
    expect(whole.length).toBeGreaterThan(5);
    for (const { text, pair, max_length, stride, strategy, windows } of whole) {
      const found = tokenizer.encode(text, pair ?? undefined, { maxLength: max_length, stride, truncation: strategy });
      expect(windowsOf(found)).toMatchObject(windows);
      expect(found.overflowing).toHaveLength(windows.length - 1);
    }
  });

  it('agrees on padding', () => {
    const longest = Math.max(...golden.padded_batch.batch.map(({ ids }) => ids.length));
    const padded = golden.padded_batch.texts.map((text) =>
      plain(tokenizer.encode(text, undefined, { padTo: longest })),
    );
    expect(padded).toEqual(golden.padded_batch.batch);
  });

  it('agrees on decoding', () => {
    for (const { ids, text } of golden.decoded) expect(tokenizer.decode(ids)).toBe(text);
  });

  it('gives the same ids, types and special tokens fast', () => {
    const texts = [...golden.single.map(({ text }) => text), ...golden.pairs.flatMap(({ text, pair }) => [text, pair])];
    for (const maxLength of [6, 17, 512])
      texts.forEach((text, i) => {
        const pair = i % 3 === 0 ? texts[(i * 7) % texts.length] : undefined;
        const { ids, typeIds, specialTokensMask: special } = tokenizer.encode(text, pair, { maxLength });
        expect(tokenizer.encodeFast(text, pair, maxLength)).toEqual({ ids, typeIds, special });
      });
  });
});

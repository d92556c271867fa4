import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { multiplyDims, symbol } from '../../../src/engine/graph/dims.ts';
import { cast, input } from '../../../src/engine/graph/operations.ts';
import { keepMask, type DropoutSite } from '../../../src/engine/graph/random-mask.ts';
import type { Value } from '../../../src/engine/graph/value.ts';
import { dropoutWords, dropoutWordsByExample, type NamedTensors } from '../../../src/engine/feeds.ts';
import { interpret } from '../../support/interpreter.ts';

const ROWS = 256;
const COLUMNS = 384;
const COUNT = ROWS * COLUMNS;
const TOKENS = 16;
const batch = symbol('batch');

function maskGraph(rate: number): { readonly site: DropoutSite; readonly mask: Value } {
  const allRows = symbol('rows');
  const rowWords = input('row_words', 'int32', [allRows]);
  const columnWords = input('column_words', 'int32', [2, COLUMNS]);
  const site = {
    rowInput: 'row_words',
    leading: [batch, TOKENS],
    rows: multiplyDims(batch, TOKENS),
    columnInput: 'column_words',
    columns: COLUMNS,
  };
  return { site, mask: cast(keepMask([allRows, COLUMNS], rate, rowWords, columnWords), 'float32') };
}

type WordsFor = (site: DropoutSite, step: number, place: number) => NamedTensors;

const sizes = { batch: ROWS / TOKENS };

function sitesUpTo(site: DropoutSite, place: number): readonly DropoutSite[] {
  return Array.from({ length: place + 1 }, () => site);
}

/** The words that the trainer feeds at a step to the last of `place` + 1 sites, and those of private training. */
const laws: readonly (readonly [string, WordsFor])[] = [
  ['by batch', (site, step, place) => dropoutWords(sitesUpTo(site, place), sizes, { seed: 7, step, microBatch: 0 })],
  [
    'by example',
    (site, step, place) => {
      const examples = Uint32Array.from({ length: sizes.batch }, (_, i) => 3 * i);
      const words = dropoutWordsByExample(sitesUpTo(site, place), sizes, batch, { seed: 7, step, examples });
      return { ...words.ofExamples, ...words.shared };
    },
  ],
];

async function sampler(
  rate: number,
  wordsFor: WordsFor,
): Promise<(step: number, place: number) => Promise<Float32Array>> {
  const { site, mask } = maskGraph(rate);
  const executable = await onnxBackend.compile({ mask }, new Map(), { provider: 'cpu', threads: 1 });
  return async (step, place) => {
    const kept = (await executable.run(wordsFor(site, step, place)))['mask'];
    if (kept?.dtype !== 'float32') throw new Error('no mask');
    return kept.data;
  };
}

/** Correlation of two masks as a z score under independence: N(0, 1) when they are independent. */
function correlation(a: Float32Array, b: Float32Array, rate: number, lag = 0): number {
  let sum = 0;
  const count = a.length - lag;
  for (let i = 0; i < count; i++) sum += ((a[i + lag] ?? 0) - (1 - rate)) * ((b[i] ?? 0) - (1 - rate));
  return sum / (rate * (1 - rate) * Math.sqrt(count));
}

describe.each(laws)('dropout masks %s', (_, wordsFor) => {
  it.each([0.1, 0.5, 0.02])('drop at the rate %d', async (rate) => {
    const draw = await sampler(rate, wordsFor);
    const deviation = Math.sqrt(COUNT * rate * (1 - rate));
    for (let step = 0; step < 8; step++) {
      const mask = await draw(step, step % 3);
      const dropped = mask.reduce((sum, kept) => sum + 1 - kept, 0);
      expect(Math.abs(dropped - COUNT * rate) / deviation).toBeLessThan(5);
    }
  });

  it('are independent between neighbouring steps, sites and elements', async () => {
    const rate = 0.1;
    const draw = await sampler(rate, wordsFor);
    const scores: number[] = [];
    for (let step = 1; step <= 24; step++) {
      const mask = await draw(step, 0);
      scores.push(correlation(mask, await draw(step + 1, 0), rate));
      scores.push(correlation(mask, await draw(step, 1), rate));
      for (const lag of [1, 2, 3, 4, 8, 16, 64, 128, COLUMNS - 1, COLUMNS, COLUMNS + 1, 2 * COLUMNS, 4096]) {
        scores.push(correlation(mask, mask, rate, lag));
        scores.push(correlation(mask, await draw(step + 1, 0), rate, lag));
      }
    }
    // Some 670 scores that should be N(0, 1): the greatest stays below 4.5, and their mean square is 1 within its own deviation.
    expect(Math.max(...scores.map(Math.abs))).toBeLessThan(4.5);
    const meanSquare = scores.reduce((sum, score) => sum + score * score, 0) / scores.length;
    expect(Math.abs(meanSquare - 1)).toBeLessThan(5 * Math.sqrt(2 / scores.length));
  });

  it('drop evenly over rows and over columns', async () => {
    const rate = 0.1;
    const draw = await sampler(rate, wordsFor);
    const mask = await draw(3, 5);
    const rows = new Float64Array(ROWS);
    const columns = new Float64Array(COLUMNS);
    mask.forEach((kept, i) => {
      rows[Math.floor(i / COLUMNS)] = (rows[Math.floor(i / COLUMNS)] ?? 0) + 1 - kept;
      columns[i % COLUMNS] = (columns[i % COLUMNS] ?? 0) + 1 - kept;
    });
    const chiSquare = (counts: Float64Array, size: number): number =>
      counts.reduce((sum, count) => sum + (count - size * rate) ** 2 / (size * rate * (1 - rate)), 0);
    const score = (counts: Float64Array, size: number): number =>
      (chiSquare(counts, size) - counts.length) / Math.sqrt(2 * counts.length);
    expect(Math.abs(score(rows, COLUMNS))).toBeLessThan(4.5);
    expect(Math.abs(score(columns, ROWS))).toBeLessThan(4.5);
  });

  it('are a pure function of step and site, the same in the runtime and in the interpreter', async () => {
    const { site, mask } = maskGraph(0.3);
    const executable = await onnxBackend.compile({ mask }, new Map(), { provider: 'cpu', threads: 1 });
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: 3 }), async (step, place) => {
        const words = wordsFor(site, step, place);
        expect(wordsFor(site, step, place)).toEqual(words);
        const ours = (await executable.run(words))['mask'];
        const feeds = Object.fromEntries(
          Object.entries(words).map(([name, { shape, data }]) => [name, { shape, data: Array.from(data, Number) }]),
        );
        const witness = interpret({ mask }, feeds)['mask'];
        expect(Array.from(ours?.data ?? [], Number)).toEqual(Array.from(witness.data, Number));
      }),
      { numRuns: 5 },
    );
  });
});

describe('the words of an example', () => {
  const sequence = symbol('sequence');
  const heads = 3;
  const site: DropoutSite = {
    rowInput: 'rows',
    leading: [batch, heads, sequence],
    rows: multiplyDims(batch, multiplyDims(heads, sequence)),
    columnInput: 'columns',
    columns: sequence,
  };
  const wordsOf = (examples: readonly number[], length: number): NamedTensors => {
    const { ofExamples, shared } = dropoutWordsByExample([site], { batch: examples.length, sequence: length }, batch, {
      seed: 1,
      step: 5,
      examples: Uint32Array.from(examples),
    });
    return { ...ofExamples, ...shared };
  };
  const wordAt = (words: NamedTensors, name: string, at: number): number => Number(words[name]?.data[at]);

  it('stay what they are whatever stands beside it, and however long that is', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 0, max: 9 }),
        (examples, length, padding) => {
          const together = wordsOf(examples, length + padding);
          for (const [row, example] of examples.entries()) {
            const alone = wordsOf([example], length);
            for (let head = 0; head < heads; head++) {
              for (let t = 0; t < length; t++) {
                const place = (row * heads + head) * (length + padding) + t;
                expect(wordAt(together, 'rows', place)).toBe(wordAt(alone, 'rows', head * length + t));
              }
            }
            for (let t = 0; t < length; t++) {
              expect(wordAt(together, 'columns', t)).toBe(wordAt(alone, 'columns', t));
              expect(wordAt(together, 'columns', length + padding + t)).toBe(wordAt(alone, 'columns', length + t));
            }
          }
        },
      ),
    );
  });

  it('differ from those of other examples', () => {
    expect(wordAt(wordsOf([1], 4), 'rows', 0)).not.toBe(wordAt(wordsOf([2], 4), 'rows', 0));
  });
});

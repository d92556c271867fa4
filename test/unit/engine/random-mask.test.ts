import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { symbol } from '../../../src/engine/graph/dims.ts';
import { cast, input } from '../../../src/engine/graph/operations.ts';
import { keepMask, type DropoutSite } from '../../../src/engine/graph/random-mask.ts';
import type { Value } from '../../../src/engine/graph/value.ts';
import { dropoutWords, type NamedTensors } from '../../../src/engine/feeds.ts';
import { interpret } from '../../support/interpreter.ts';

const ROWS = 256;
const COLUMNS = 384;
const COUNT = ROWS * COLUMNS;
const rows = symbol('rows');

function maskGraph(rate: number): { readonly site: DropoutSite; readonly mask: Value } {
  const rowWords = input('row_words', 'int32', [rows]);
  const columnWords = input('column_words', 'int32', [2, COLUMNS]);
  const site = { rowInput: 'row_words', rows, columnInput: 'column_words', columns: COLUMNS };
  return { site, mask: cast(keepMask([rows, COLUMNS], rate, rowWords, columnWords), 'float32') };
}

/** The words that the trainer feeds at a step to the last of `site` + 1 sites. */
function wordsFor(site: DropoutSite, step: number, place: number): NamedTensors {
  return dropoutWords(
    Array.from({ length: place + 1 }, () => site),
    { rows: ROWS },
    { seed: 7, step, microBatch: 0 },
  );
}

async function sampler(rate: number): Promise<(step: number, place: number) => Promise<Float32Array>> {
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

describe('dropout masks', () => {
  it.each([0.1, 0.5, 0.02])('drop at the rate %d', async (rate) => {
    const draw = await sampler(rate);
    const deviation = Math.sqrt(COUNT * rate * (1 - rate));
    for (let step = 0; step < 8; step++) {
      const mask = await draw(step, step % 3);
      const dropped = mask.reduce((sum, kept) => sum + 1 - kept, 0);
      expect(Math.abs(dropped - COUNT * rate) / deviation).toBeLessThan(5);
    }
  });

  it('are independent between neighbouring steps, sites and elements', async () => {
    const rate = 0.1;
    const draw = await sampler(rate);
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
    const draw = await sampler(rate);
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

  it('are a pure function of seed, step, micro-batch and site, the same in the runtime and in the interpreter', async () => {
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

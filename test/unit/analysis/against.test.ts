import { describe, expect, it } from 'vitest';
import { differencesAgainst } from '../../../src/analysis/against.ts';
import { compareRuns, type ComparedRun } from '../../../src/analysis/comparison.ts';
import type { JsonObject } from '../../../src/analysis/json.ts';
import { renderComparison } from '../../../src/analysis/render.ts';
import { pairedTTest } from '../../../src/analysis/significance.ts';

let count = 0;

function run(method: JsonObject, seed: number, score: number, more: JsonObject = {}): ComparedRun {
  return {
    id: `run-${count++}`,
    state: 'finished',
    config: { task: { id: 'sst2' }, method, training: { seed, ...more } },
    parameters: null,
    epsilon: null,
    trainSeconds: null,
    best: { step: 1, splits: { dev: { score } } },
    last: null,
  };
}

const lora = { id: 'lora', rank: 8 };
const slash = { id: 'slash' };
const head = { id: 'head' };
const scores = { lora: [0.9, 0.92, 0.91], slash: [0.88, 0.93, 0.9], head: [0.8, 0.82, 0.81] };

const runs = [
  // In another order than the others: the seed makes the pair, not the place.
  ...[2, 0, 1].map((seed) => run(lora, seed, scores.lora[seed] ?? NaN)),
  ...scores.slash.map((score, seed) => run(slash, seed, score)),
  ...scores.head.map((score, seed) => run(head, seed, score)),
  run(head, 7, 0.1),
];

describe('differences from a row', () => {
  it('are paired by seed, tested, and corrected for their number', () => {
    const comparison = compareRuns(runs);
    const { row, differences } = differencesAgainst(comparison, runs, 'lora');
    expect(row).toBe('lora');
    const expected = pairedTTest([-0.02, 0.01, -0.01]);
    const p = expected.kind === 'tested' ? expected.pValue : NaN;
    expect(differences).toMatchObject([
      { row: 'slash', column: 'sst2', n: 3, reason: null },
      { row: 'head', n: 3, pValue: null, adjustedP: null, reason: 'no-variation' },
    ]);
    expect(differences[0]?.pValue).toBeCloseTo(p, 9);
    // The only one that could be tested.
    expect(differences[0]?.adjustedP).toBe(differences[0]?.pValue);
    expect(differences[1]?.meanDifference).toBeCloseTo(-0.1, 12);
  });

  it('are drawn below the table, and lie beside the rows in JSON', () => {
    const comparison = compareRuns(runs);
    const against = differencesAgainst(comparison, runs, 'lora');
    const table = renderComparison(comparison, { against });
    expect(table).toMatch(/\nless lora +sst2\n/);
    expect(table).toMatch(/\nslash +-0\.7 \(n=3, p = 0\.529\)\n/);
    expect(table).toMatch(/\nhead +-10\.0 \(n=3, all equal\)\n/);
    expect(renderComparison(comparison, { against, format: 'markdown' })).toContain('| less lora | sst2 |');
    expect(JSON.parse(renderComparison(comparison, { against, format: 'json' }))).toMatchObject({
      against: { row: 'lora', test: 'paired-t' },
    });
  });

  it('ask for one row, and for cells whose runs differ in the seed alone', () => {
    const more = [...runs, run({ id: 'lora', rank: 16 }, 0, 0.9)];
    const comparison = compareRuns(more);
    expect(() => differencesAgainst(comparison, more, 'lora')).toThrow(/could be 2 rows/);
    expect(differencesAgainst(comparison, more, 'lora rank=16').row).toBe('lora rank=16');
    expect(() => differencesAgainst(comparison, more, 'slahs')).toThrow(/Did you mean "slash"/);
    const mixed = compareRuns(more, { rows: ['method'] });
    expect(differencesAgainst(mixed, more, 'lora').differences[0]).toMatchObject({
      n: 0,
      pValue: null,
      reason: 'several-configurations',
    });
  });
});

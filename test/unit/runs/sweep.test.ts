import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileError } from '../../../src/base/errors.ts';
import { installedCatalogue as catalogue } from '../../../src/runs/catalogue.ts';
import { parseConfiguration } from '../../../src/runs/configuration.ts';
import type { PathProbe } from '../../../src/runs/configuration.ts';
import { labelText, planSweep } from '../../../src/runs/sweep.ts';

const noFiles: PathProbe = { isFolder: () => false, exists: () => false };

function plans(matrix: unknown, method: unknown = 'lora') {
  const text = JSON.stringify({ model: 'm', task: 'sst2', method, ...(matrix === undefined ? {} : { matrix }) });
  return planSweep(parseConfiguration(text, 'sweep.peft.json', catalogue), catalogue, noFiles);
}

function settings(matrix: unknown) {
  return plans(matrix).map((plan) => plan.settings);
}

describe('draws', () => {
  it('take of a range with more steps than fit into memory', () => {
    const drawn = settings({ 'training.learningRate': { from: 1e-5, to: 1e-3, steps: 9007199254740991 }, sample: 2 });
    const values = drawn.map((each) => Number(each['training.learningRate']));
    expect(new Set(values).size).toBe(2);
    for (const value of values) expect(value >= 1e-5 && value <= 1e-3).toBe(true);
  });

  it('of a range with steps are values of its grid', () => {
    const drawn = settings({ 'training.learningRate': { from: 0.1, to: 0.4, steps: 4 }, sample: 3 });
    for (const each of drawn) expect([0.1, 0.2, 0.3, 0.4]).toContain(each['training.learningRate']);
  });
});

describe('the grid', () => {
  it('is one plan without a matrix', () => {
    expect(plans(undefined)).toMatchObject([{ settings: {}, label: {}, configuration: { method: { id: 'lora' } } }]);
  });

  it('varies the first axis slowest and labels plans by what differs', () => {
    const all = plans({ 'method.rank': [2, 4], 'training.batchSize': [8], 'training.seed': [0, 1] });
    expect(all.map(({ label }) => labelText(label))).toEqual([
      'method.rank=2 training.seed=0',
      'method.rank=2 training.seed=1',
      'method.rank=4 training.seed=0',
      'method.rank=4 training.seed=1',
    ]);
    expect(all[3]?.configuration).toMatchObject({
      method: { id: 'lora', rank: 4 },
      training: { seed: 1, batchSize: 8 },
    });
  });

  it('applies a parent before its children, and may supply what the file leaves out', () => {
    const text = JSON.stringify({ model: 'm', task: 'sst2', matrix: { 'method.rank': [2], method: ['lora'] } });
    const [plan] = planSweep(parseConfiguration(text, 'a.peft.json', catalogue), catalogue, noFiles);
    expect(plan?.configuration.method).toMatchObject({ id: 'lora', rank: 2 });
  });

  it('keeps axes of whole objects apart', () => {
    const all = plans({ method: ['full', { id: 'lora', rank: 4 }, { id: 'slash', dimension: 64 }] });
    expect(all.map(({ configuration }) => configuration.method.id)).toEqual(['full', 'lora', 'slash']);
  });

  it('spaces ranges evenly, or by even ratios, with exact ends and readable values', () => {
    const values = (range: unknown) =>
      settings({ 'training.learningRate': range }).map((each) => each['training.learningRate']);
    expect(values({ from: 1e-5, to: 1e-3, steps: 3, scale: 'log' })).toEqual([1e-5, 1e-4, 1e-3]);
    expect(values({ from: 0.1, to: 0.4, steps: 4 })).toEqual([0.1, 0.2, 0.3, 0.4]);
    expect(values({ from: 3, to: 1, steps: 3 })).toEqual([3, 2, 1]);
  });

  it('keeps together what a case sets, in every combination with the axes', () => {
    const all = plans({
      'training.seed': [0, 1],
      cases: [
        { method: 'full', 'training.learningRate': 1e-4 },
        { method: { id: 'lora', rank: 4 } },
        { method: 'lora', 'training.learningRate': 1e-3, 'training.batchSize': 8 },
      ],
    });
    expect(all.map(({ label }) => labelText(label))).toEqual([
      'method=full training.learningRate=0.0001 training.seed=0',
      'method=full training.learningRate=0.0001 training.seed=1',
      'method={"id":"lora","rank":4} training.seed=0',
      'method={"id":"lora","rank":4} training.seed=1',
      'method=lora training.learningRate=0.001 training.batchSize=8 training.seed=0',
      'method=lora training.learningRate=0.001 training.batchSize=8 training.seed=1',
    ]);
    expect(all.map(({ configuration: { training } }) => training.learningRate)).toEqual([
      1e-4, 1e-4, 5e-4, 5e-4, 1e-3, 1e-3,
    ]);
    expect(all[5]?.configuration.training).toMatchObject({ batchSize: 8, seed: 1 });
  });

  it('a case may be empty: the file as it is', () => {
    expect(settings({ cases: [{}, { 'training.seed': 3 }] })).toEqual([{}, { 'training.seed': 3 }]);
  });

  it.each([
    [{ cases: [] }, 'at least 1 item'],
    [{ cases: ['lora'] }, 'matrix.cases[0]: expected an object'],
    [{ cases: [{ 'method.ranc': 2 }] }, 'matrix.cases[0].method.ranc: there is no such setting'],
    [{ cases: [{}, { 'method.rank': 0 }] }, 'matrix.cases[1].method.rank: '],
    [{ cases: [{}, { method: { id: 'lora', rank: 0 } }] }, 'matrix.cases[1].method.rank: '],
    [{ cases: [{ 'training.seed': 1 }], 'training.seed': [2] }, 'training.seed is an axis of the matrix as well'],
    [{ cases: [{ 'training.epochs': 1, 'training.steps': 1 }] }, 'exclude one another'],
    [{ cases: [{ 'training.steps': 1 }], 'training.epochs': [1] }, 'exclude one another'],
    [{ cases: [{ 'training.seed': 1 }, { 'training.seed': 1 }] }, 'is listed twice'],
    [{ cases: [{}], 'training.seed': { from: 0, to: 10_000, steps: 10_001 } }, '10,001 runs, more than 10,000'],
    [{ 'training.seeds': [1] }, 'there is no such setting\n  Did you mean "training.seed"?'],
    [{ 'training.seed': [] }, 'at least 1 item'],
    [{ 'training.seed': [1, 2, 1] }, '1 is listed twice'],
    [{ 'training.seed': 1 }, 'expected a list or an object'],
    [{ 'training.learningRate': { from: 0, to: 1, steps: 3, scale: 'log' } }, 'a range on a log scale lies above 0'],
    [{ 'training.learningRate': { from: 1, to: 2 } }, 'a range needs steps'],
    [{ 'training.learningRate': { from: 1, to: 2, step: 3 } }, 'step: unknown key'],
    [{ 'training.epochs': [1], 'training.steps': [2] }, 'exclude one another'],
    [{ 'method.rank': [4, 0] }, 'the combination method.rank=0 is no configuration'],
    [{ method: ['lora', 'full'], 'method.rank': [4] }, 'the combination method=full method.rank=4 is no configuration'],
    [{ sample: 3 }, 'names no setting to vary'],
    [{ 'training.seed': { from: 0, to: 10_000, steps: 10_001 } }, '10,001 runs, more than 10,000'],
    [{ sample: 20_000, 'training.dropout': { from: 0, to: 0.5 } }, '20,000 runs, more than 10,000'],
    [{ sample: 5, 'training.dropout': { from: 0.1, to: 0.1 + 2 ** -50 } }, 'do not hold 5 different'],
  ])('%j is refused', (matrix, message) => {
    let text = '';
    try {
      plans(matrix);
    } catch (error) {
      expect(error).toBeInstanceOf(FileError);
      text = String(error);
    }
    expect(text).toContain(message);
  });
});

describe('random search', () => {
  const matrix = {
    'method.rank': [1, 2, 4, 8],
    'training.learningRate': { from: 1e-5, to: 1e-2, scale: 'log' },
    'training.seed': { from: 0, to: 4, steps: 5 },
  };

  it('is the same for the same seed and another for another', () => {
    expect(settings({ ...matrix, sample: 6, seed: 1 })).toEqual(settings({ ...matrix, sample: 6, seed: 1 }));
    expect(settings({ ...matrix, sample: 6, seed: 1 })).not.toEqual(settings({ ...matrix, sample: 6, seed: 2 }));
  });

  it('begins a greater sample with the smaller one, stays in range and never repeats itself', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), (seed, a, b) => {
        const [few, many] = [
          settings({ ...matrix, sample: Math.min(a, b), seed }),
          settings({ ...matrix, sample: Math.max(a, b), seed }),
        ];
        expect(many.slice(0, few.length)).toEqual(few);
        expect(new Set(many.map((each) => JSON.stringify(each))).size).toBe(many.length);
        for (const each of many) {
          expect(matrix['method.rank']).toContain(each['method.rank']);
          expect(each['training.learningRate']).toBeGreaterThanOrEqual(1e-5);
          expect(each['training.learningRate']).toBeLessThanOrEqual(1e-2);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('of as many as there are, or more, is the grid', () => {
    const small = { 'method.rank': [1, 2], 'training.seed': [0, 1, 2] };
    for (const sample of [6, 7, 1000]) expect(settings({ ...small, sample })).toEqual(settings(small));
    expect(new Set(settings({ ...small, sample: 5 }).map((each) => JSON.stringify(each))).size).toBe(5);
  });

  it('draws cases whole', () => {
    const cases = [1, 2, 4].map((rank) => ({ 'method.rank': rank, 'training.learningRate': rank * 1e-4 }));
    const drawn = settings({ cases, 'training.dropout': { from: 0, to: 0.5 }, sample: 60 });
    expect(new Set(drawn.map((each) => each['method.rank']))).toEqual(new Set([1, 2, 4]));
    for (const each of drawn) expect(each['training.learningRate']).toBe(Number(each['method.rank']) * 1e-4);
  });

  it('draws evenly: every value of an axis turns up', () => {
    const drawn = settings({ ...matrix, sample: 400, seed: 3 });
    for (const rank of matrix['method.rank']) {
      const share = drawn.filter((each) => each['method.rank'] === rank).length / drawn.length;
      expect(share).toBeGreaterThan(0.15);
      expect(share).toBeLessThan(0.35);
    }
    const low = drawn.filter((each) => Number(each['training.learningRate']) < 10 ** -3.5).length / drawn.length;
    expect(low).toBeGreaterThan(0.4);
    expect(low).toBeLessThan(0.6);
  });
});

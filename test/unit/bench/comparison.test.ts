import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { compare, formatComparison, median } from '../../bench/comparison.ts';
import { parseOptions } from '../../bench/options.ts';

describe('a comparison', () => {
  const ours = { name: 'ours', value: 2, rounds: [2, 1, 4] };

  it('takes its headline from the strongest peer and lists all', () => {
    const slow = { name: 'slow', value: 10, rounds: [10, 10, 10] };
    const fast = { name: 'fast', value: 3, rounds: [3, 3, 3] };
    expect(compare('step', 'seconds', ours, [slow, fast], { batch: 16 })).toEqual({
      name: 'step',
      unit: 'seconds',
      ours: 2,
      peer: 3,
      ratio: 1.5,
      ratioRange: [0.75, 3],
      peerName: 'fast',
      peers: [
        { name: 'fast', value: 3, ratio: 1.5 },
        { name: 'slow', value: 10, ratio: 5 },
      ],
      batch: 16,
    });
  });

  it('reports a peer aside without taking the headline from it', () => {
    const stock = { name: 'stock', value: 4 };
    const altered = { name: 'altered', value: 1, aside: true };
    const comparison = compare('step', 'seconds', ours, [altered, stock]);
    expect(comparison).toMatchObject({ peer: 4, ratio: 2, peerName: 'stock' });
    expect(comparison.peers).toEqual([
      { name: 'stock', value: 4, ratio: 2 },
      { name: 'altered', value: 1, ratio: 0.5, aside: true },
    ]);
    expect(formatComparison(comparison)).toContain('altered 1.00 s (0.50)');
  });

  it('says that there is no peer', () => {
    const comparison = compare('step', 'bytes', { name: 'ours', value: 3 * 2 ** 20 }, []);
    expect(comparison).toMatchObject({ ours: 3 * 2 ** 20, peer: null, ratio: null, peerName: null, peers: [] });
    expect(formatComparison(comparison)).toMatch(/ours 3 MiB .*no peer/);
  });

  it('has a median that half of the values are on each side of', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 }), (values) => {
        const middle = median(values);
        const half = values.length / 2;
        expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(half);
        expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(half);
      }),
    );
  });
});

describe('the options of the benchmark', () => {
  it('fill in what is not said', () => {
    const options = parseOptions(['--only', 'lora', '--only', 'slash', '--json']);
    expect(options).toMatchObject({ json: true, quick: false, only: ['lora', 'slash'], rounds: 7, examples: 8000 });
    expect(parseOptions(['--quick', '--threads', '1'])).toMatchObject({ rounds: 3, examples: 512, threads: 1 });
  });

  it.each([['--rounds', '0'], ['--threads', 'two'], ['--examples', '1.5'], ['--unknown']])(
    'refuse %s %s',
    (...args) => {
      expect(() => parseOptions(args)).toThrow(UserError);
    },
  );
});

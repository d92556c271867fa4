import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareAbsolute, compareRelative } from '../../src/engine/verify/compare.ts';

describe('the error measure of the golden files', () => {
  it('holds a difference against the size of its tensor and a hundredth of its group', () => {
    const [report] = compareRelative(
      'grad',
      [
        { name: 'large', got: [100, 0.01], want: [-100, 0] },
        { name: 'small', got: [0.5, 1], want: [1, 1] },
      ],
      2,
    );
    // |100 + 100| / (100 + 1); the small tensor has 0.5 / (1 + 1).
    expect(report).toMatchObject({ worst: 'large', tensors: 2, passed: true });
    expect(report?.error).toBeCloseTo(200 / 101, 12);
  });

  it('passes equal tensors of zeros and reports nothing of no tensors', () => {
    expect(compareRelative('grad', [{ name: 'zero', got: [0, 0], want: [0, 0] }], 0)).toMatchObject([
      { error: 0, passed: true },
    ]);
    expect(compareRelative('grad', [], 1)).toEqual([]);
    expect(compareAbsolute('grad', [], { greatest: 1 })).toEqual([]);
  });

  it.each([NaN, Infinity, -Infinity])('never lets %d pass, wherever it stands', (number) => {
    const index = fc.nat({ max: 5 });
    fc.assert(
      fc.property(index, fc.constantFrom('got', 'want', 'both'), (at, side) => {
        const comparisons = Array.from({ length: 6 }, (_, i) => ({
          name: String(i),
          got: [1, i === at && side !== 'want' ? number : 1],
          want: [1, i === at && side !== 'got' ? number : 1],
        }));
        for (const reports of [
          compareRelative('grad', comparisons, 1),
          compareAbsolute('grad', comparisons, { greatest: 1, mean: 1 }),
        ]) {
          expect(reports).toMatchObject([{ passed: false, error: Infinity }]);
        }
      }),
    );
  });

  it('never lets tensors of other lengths pass', () => {
    const shorter = [{ name: 'x', got: [1], want: [1, 1] }];
    expect(compareRelative('grad', shorter, 1)).toMatchObject([{ passed: false }]);
    expect(compareAbsolute('grad', shorter, { greatest: 1 })).toMatchObject([{ passed: false }]);
  });

  it('bounds the mean difference of one tensor too', () => {
    const comparisons = [
      { name: 'one spike', got: [0, 0, 0, 0.4], want: [0, 0, 0, 0] },
      { name: 'all a little', got: [0.2, 0.2, 0.2, 0.2], want: [0, 0, 0, 0] },
    ];
    expect(compareAbsolute('adamw', comparisons, { greatest: 0.5, mean: 0.15 })).toMatchObject([
      { worst: 'one spike', error: 0.4, mean: { error: 0.2 }, passed: false },
    ]);
    expect(compareAbsolute('adamw', comparisons, { greatest: 0.5, mean: 0.25 })).toMatchObject([{ passed: true }]);
  });
});

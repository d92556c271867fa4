import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import { calibrateNoise } from '../../../src/privacy/calibrate.ts';
import { defaultDelta, deltaIsWeak } from '../../../src/privacy/delta.ts';
import { gaussianEpsilon, singleStepEpsilon } from '../../../src/privacy/gaussian.ts';
import type { Phase } from '../../../src/privacy/mechanism.ts';
import { composedEpsilon, prvEpsilon } from '../../../src/privacy/prv.ts';
import { rdpEpsilon } from '../../../src/privacy/rdp.ts';

const logarithmic = (min: number, max: number): fc.Arbitrary<number> =>
  fc.double({ min: Math.log(min), max: Math.log(max), noNaN: true }).map(Math.exp);
const runs = fc.record({
  samplingRate: logarithmic(1e-4, 0.8),
  noiseMultiplier: logarithmic(0.5, 6),
  steps: logarithmic(2, 5000).map(Math.round),
  delta: logarithmic(1e-8, 1e-5),
});

/** Bounds of values of which the first is at most the second. */
function expectOrdered(less: Phase, more: Phase, delta: number, moreDelta = delta): void {
  const [a, b] = [prvEpsilon([less], delta), prvEpsilon([more], moreDelta)];
  expect(a.lower).toBeLessThanOrEqual(b.upper);
  expect(rdpEpsilon([less], delta).epsilon).toBeLessThanOrEqual(rdpEpsilon([more], moreDelta).epsilon * (1 + 1e-9));
}

describe('laws', () => {
  test('the bounds enclose a value: lower ≤ upper, close together, and Rényi divergences never fall below', () => {
    fc.assert(
      fc.property(runs, ({ delta, ...phase }) => {
        const { lower, upper } = prvEpsilon([phase], delta);
        expect(lower).toBeLessThanOrEqual(upper);
        expect(upper - lower).toBeLessThanOrEqual(0.02 * upper);
        expect(rdpEpsilon([phase], delta).epsilon).toBeGreaterThanOrEqual(lower);
      }),
      { numRuns: 12 },
    );
  });

  test('epsilon grows with the steps, the rate, less noise and a smaller delta', () => {
    fc.assert(
      fc.property(runs, fc.double({ min: 1.1, max: 3, noNaN: true }), ({ delta, ...phase }, factor) => {
        const { samplingRate, noiseMultiplier, steps } = phase;
        expectOrdered(phase, { ...phase, steps: Math.ceil(steps * factor) }, delta);
        expectOrdered(phase, { ...phase, samplingRate: Math.min(1, samplingRate * factor) }, delta);
        expectOrdered(phase, { ...phase, noiseMultiplier: noiseMultiplier / factor }, delta);
        expectOrdered(phase, phase, delta, delta / factor);
      }),
      { numRuns: 3 },
    );
  });

  test('halves compose to the whole, in any order, also where they are accounted apart', () => {
    fc.assert(
      fc.property(runs, ({ delta, ...phase }) => {
        const half = { ...phase, steps: Math.ceil(phase.steps / 2) };
        const whole = { ...phase, steps: 2 * half.steps };
        expect(prvEpsilon([half, half], delta)).toEqual(prvEpsilon([whole], delta));
        expect(rdpEpsilon([half, half], delta)).toEqual(rdpEpsilon([whole], delta));
        // A noise that differs in the last digits keeps the phases apart.
        const other = { ...half, noiseMultiplier: half.noiseMultiplier * (1 + 1e-13) };
        const [a, b, c] = [
          prvEpsilon([half, other], delta),
          prvEpsilon([other, half], delta),
          prvEpsilon([whole], delta),
        ];
        for (const apart of [a, b]) {
          expect(apart.lower).toBeLessThanOrEqual(c.upper);
          expect(apart.upper).toBeGreaterThanOrEqual(c.lower);
          expect(apart.upper).toBeLessThanOrEqual(c.upper * 1.02);
        }
        const [x, y] = [rdpEpsilon([half, other], delta).epsilon, rdpEpsilon([whole], delta).epsilon];
        expect(Math.abs(x - y)).toBeLessThanOrEqual(1e-9 * y);
      }),
      { numRuns: 4 },
    );
  });

  test('more phases cost more, and the larger of two rates costs at least as much', () => {
    fc.assert(
      fc.property(runs, runs, (first, second) => {
        const { delta } = first;
        const both = prvEpsilon([first, second], delta);
        expect(both.upper).toBeGreaterThanOrEqual(prvEpsilon([first], delta).lower);
        expect(both.upper).toBeGreaterThanOrEqual(prvEpsilon([second], delta).lower);
        expect(rdpEpsilon([first, second], delta).epsilon).toBeGreaterThanOrEqual(both.lower);
        // Basic composition (Dwork et al. 2006) at half of delta each.
        const apart = [first, second].reduce((sum, phase) => sum + prvEpsilon([phase], delta / 2).upper, 0);
        expect(both.lower).toBeLessThanOrEqual(apart);
      }),
      { numRuns: 4 },
    );
  });

  test('the noise that calibration finds is enough, and a little less is not', () => {
    fc.assert(
      fc.property(runs, logarithmic(0.2, 12), ({ delta, samplingRate, steps }, epsilon) => {
        const { noiseMultiplier, spent } = calibrateNoise({ epsilon, delta, samplingRate, steps });
        expect(spent).toEqual(privacySpent([{ samplingRate, noiseMultiplier, steps }], delta));
        expect(spent.epsilon).toBeLessThanOrEqual(epsilon);
        if (noiseMultiplier > 0.02)
          expect(
            privacySpent([{ samplingRate, noiseMultiplier: 0.99 * noiseMultiplier, steps }], delta).upper,
          ).toBeGreaterThan(epsilon * (1 - 1e-3));
      }),
      { numRuns: 3 },
    );
  });
});

describe('the grid against what is known exactly', () => {
  test('a single step with sampling', () => {
    fc.assert(
      fc.property(runs, ({ delta, ...phase }) => {
        const exact = singleStepEpsilon(phase.samplingRate, phase.noiseMultiplier, delta);
        const { lower, upper } = composedEpsilon([{ ...phase, steps: 1 }], delta);
        expect(lower).toBeLessThanOrEqual(exact.upper);
        expect(upper).toBeGreaterThanOrEqual(exact.lower);
        expect(upper - lower).toBeLessThanOrEqual(Math.max(0.02 * upper, 1e-9));
      }),
      { numRuns: 12 },
    );
  });

  test('steps without sampling', () => {
    fc.assert(
      fc.property(
        logarithmic(0.3, 50),
        logarithmic(1, 1e6).map(Math.round),
        logarithmic(1e-8, 1e-5),
        (sigma, steps, delta) => {
          const exact = gaussianEpsilon(Math.sqrt(steps) / sigma, delta);
          const { lower, upper } = composedEpsilon([{ samplingRate: 1, noiseMultiplier: sigma, steps }], delta);
          expect(lower).toBeLessThanOrEqual(exact.upper);
          expect(upper).toBeGreaterThanOrEqual(exact.lower);
          expect(upper - lower).toBeLessThanOrEqual(0.01 * upper);
        },
      ),
      { numRuns: 8 },
    );
  });
});

describe('which bound is reported', () => {
  const phases = [{ samplingRate: 0.01, noiseMultiplier: 1, steps: 1000 }];

  test('the smaller one, with both kept; one alone when it is asked for', () => {
    const both = privacySpent(phases, 1e-5);
    const [rdp, prv] = [privacySpent(phases, 1e-5, 'rdp'), privacySpent(phases, 1e-5, 'prv')];
    expect(both).toMatchObject({ accountant: 'prv', epsilon: prv.epsilon, prv: prv.prv, rdp: rdp.rdp });
    expect(prv).toMatchObject({ accountant: 'prv', upper: prv.epsilon });
    expect(prv).not.toHaveProperty('rdp');
    expect(rdp).toMatchObject({ accountant: 'rdp', upper: rdp.epsilon, epsilon: rdp.rdp?.epsilon });
    expect(rdp.epsilon).toBeGreaterThan(prv.epsilon);
    expect(rdp.lower).toBeLessThanOrEqual(both.upper);
  });

  test('nothing released costs nothing; no noise gives no guarantee', () => {
    expect(privacySpent([], 1e-5)).toMatchObject({ epsilon: 0, lower: 0, upper: 0 });
    expect(privacySpent([{ samplingRate: 0.5, noiseMultiplier: 1, steps: 0 }], 1e-5).epsilon).toBe(0);
    expect(privacySpent([{ samplingRate: 0, noiseMultiplier: 0, steps: 9 }], 1e-5).epsilon).toBe(0);
    expect(privacySpent([...phases, { samplingRate: 0.5, noiseMultiplier: 0, steps: 1 }], 1e-5).epsilon).toBe(Infinity);
  });

  test('where the total variation is below delta, epsilon is 0', () => {
    // One step at q = 0.00105 and σ = 1 has total variation 4.0e-4.
    const step = [{ samplingRate: 0.00105, noiseMultiplier: 1, steps: 1 }];
    expect(privacySpent(step, 1e-3)).toMatchObject({ epsilon: 0, lower: 0 });
    expect(privacySpent(step, 3e-4).lower).toBeGreaterThan(0);
  });

  test('values that make no sense are refused', () => {
    for (const wrong of [
      { samplingRate: 1.1 },
      { samplingRate: -0.1 },
      { samplingRate: Number.NaN },
      { noiseMultiplier: -1 },
      { noiseMultiplier: Infinity },
      { steps: 1.5 },
      { steps: -1 },
    ])
      expect(() => privacySpent([{ ...(phases[0] as Phase), ...wrong }], 1e-5)).toThrow(RangeError);
    for (const delta of [0, 1, -1, Number.NaN]) expect(() => privacySpent(phases, delta)).toThrow(RangeError);
  });
});

describe('extremes', () => {
  test.each<[name: string, phase: Phase, delta: number]>([
    ['a tiny rate and a million steps', { samplingRate: 1e-7, noiseMultiplier: 1, steps: 1_000_000 }, 1e-8],
    ['next to no noise', { samplingRate: 1.024e-5, noiseMultiplier: 0.1, steps: 976_563 }, 1e-7],
    ['hardly any noise at all', { samplingRate: 0.1, noiseMultiplier: 1e-4, steps: 10 }, 1e-5],
    ['very much noise', { samplingRate: 0.5, noiseMultiplier: 1e4, steps: 1_000_000 }, 1e-5],
    ['a rate next to 1', { samplingRate: 1 - 1e-9, noiseMultiplier: 1, steps: 1000 }, 1e-6],
    ['a huge delta', { samplingRate: 0.1, noiseMultiplier: 1, steps: 100 }, 0.5],
    ['a tiny delta', { samplingRate: 0.01, noiseMultiplier: 1, steps: 100 }, 1e-20],
  ])('%s', (_, phase, delta) => {
    const { epsilon, lower, upper } = privacySpent([phase], delta);
    expect(epsilon).toBeGreaterThanOrEqual(0);
    expect(Number.isFinite(epsilon)).toBe(true);
    expect(lower).toBeLessThanOrEqual(upper);
    expect(upper).toBe(epsilon);
  });

  test.each([
    [0.1, 1, 1e12],
    [0.5, 0.011, 1e6],
    [0.01, 0.3, 1e9],
  ])('more loss than a grid can hold is bounded by Rényi divergences: q %d, σ %d, T %d', (rate, noise, steps) => {
    const phase = { samplingRate: rate, noiseMultiplier: noise, steps };
    const spent = privacySpent([phase], 1e-5);
    expect(spent).toMatchObject({ accountant: 'rdp', lower: 0, prv: { upper: Infinity } });
    expect(spent.epsilon).toBeLessThan(Infinity);
  });

  // A window of the law's own width does not hold what a coarse grid makes of so much loss.
  test.each([
    [0.1, 0.3, 1e-8],
    [0.5, 0.3, 1e-5],
    [0.5, 1, 1e-8],
    [0.9, 0.3, 1e-5],
    [0.999, 0.3, 1e-8],
  ])('a million steps at a large rate have two close bounds from the grid: q %d, σ %d, δ %d', (rate, noise, delta) => {
    const { lower, upper } = prvEpsilon([{ samplingRate: rate, noiseMultiplier: noise, steps: 1_000_000 }], delta);
    expect(upper / lower).toBeGreaterThanOrEqual(1);
    expect(upper / lower).toBeLessThan(1.02);
  });

  test('a rate next to 1 costs what a rate of 1 does', () => {
    const run = { noiseMultiplier: 1, steps: 1000 };
    const near = prvEpsilon([{ ...run, samplingRate: 1 - 1e-9 }], 1e-6);
    const exact = prvEpsilon([{ ...run, samplingRate: 1 }], 1e-6);
    expect(near.lower).toBeLessThanOrEqual(exact.upper);
    expect(near.upper / exact.upper).toBeGreaterThan(1 - 1e-6);
    expect(near.upper / exact.upper).toBeLessThan(1.001);
  });
});

describe('calibration', () => {
  test('a budget that is already spent can not be kept', () => {
    const spent = [{ samplingRate: 0.1, noiseMultiplier: 1, steps: 1000 }];
    expect(() => calibrateNoise({ epsilon: 1, delta: 1e-5, samplingRate: 0.1, steps: 10, spent })).toThrow(UserError);
  });

  test('what is already spent leaves less for the rest', () => {
    const goal = { epsilon: 3, delta: 1e-5, samplingRate: 0.02, steps: 500 };
    const spent = [{ samplingRate: 0.01, noiseMultiplier: 1.2, steps: 1000 }];
    const alone = calibrateNoise(goal);
    const after = calibrateNoise({ ...goal, spent });
    expect(after.noiseMultiplier).toBeGreaterThan(alone.noiseMultiplier);
    expect(after.spent.epsilon).toBeLessThanOrEqual(3);
    expect(after.spent.epsilon).toBeGreaterThan(2.99);
    expect(privacySpent([...spent, { ...goal, noiseMultiplier: after.noiseMultiplier }], 1e-5).epsilon).toBe(
      after.spent.epsilon,
    );
  });

  test('a goal that lies beyond what a coarse grid can bound is used up too', () => {
    for (const [epsilon, samplingRate, accountant] of [
      [1e4, 0.1, undefined],
      [1e6, 0.5, 'prv'],
    ] as const) {
      const { spent } = calibrateNoise({ epsilon, delta: 1e-8, samplingRate, steps: 1_000_000, accountant });
      expect(spent.epsilon).toBeLessThanOrEqual(epsilon);
      expect(spent.epsilon).toBeGreaterThan(0.99 * epsilon);
    }
  });

  test('it is as much as the accountant that is asked for needs', () => {
    const goal = { epsilon: 1, delta: 1e-6, samplingRate: 0.01, steps: 2000 };
    const [prv, rdp] = [calibrateNoise({ ...goal, accountant: 'prv' }), calibrateNoise({ ...goal, accountant: 'rdp' })];
    expect(rdp.spent.accountant).toBe('rdp');
    expect(rdp.noiseMultiplier).toBeGreaterThan(prv.noiseMultiplier);
  });
});

test('the default delta, and when delta is weak', () => {
  expect(defaultDelta(67_349)).toBeCloseTo(7.42e-6, 8);
  expect(deltaIsWeak(1e-5, 67_349)).toBe(false);
  expect(deltaIsWeak(1e-5, 100_001)).toBe(true);
});

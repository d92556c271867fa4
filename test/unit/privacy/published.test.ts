import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import { calibrateNoise } from '../../../src/privacy/calibrate.ts';
import { gaussianDelta, gaussianEpsilon } from '../../../src/privacy/gaussian.ts';
import { prvEpsilon } from '../../../src/privacy/prv.ts';
import { rdpEpsilon, renyiDivergence } from '../../../src/privacy/rdp.ts';

const phase = { samplingRate: z.number(), noiseMultiplier: z.number(), steps: z.number() };
const published = z
  .strictObject({
    epsilons: z.array(
      z.strictObject({
        ...phase,
        delta: z.number(),
        epsilon: z.number(),
        accountant: z.enum(['prv-upper', 'pld', 'rdp', 'rdp-classic', 'analytic-gaussian']),
        tolerance: z.number(),
        tight: z.number().nullable(),
        source: z.string(),
      }),
    ),
    divergences: z.array(
      z.strictObject({
        samplingRate: z.number(),
        noiseMultiplier: z.number(),
        order: z.number(),
        divergence: z.number(),
        unsigned: z.number(),
      }),
    ),
    gaussian: z.array(z.strictObject({ noiseMultiplier: z.number(), delta: z.number(), epsilon: z.number() })),
    calibrations: z.array(
      z.strictObject({
        samplingRate: z.number(),
        steps: z.number(),
        epsilon: z.number(),
        delta: z.number(),
        rdp: z.number(),
        pld: z.number(),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL('../../fixtures/privacy/published.json', import.meta.url), 'utf8')));

describe('Rényi divergences at single orders', () => {
  test.each(published.divergences)(
    'q $samplingRate, σ $noiseMultiplier, α $order',
    ({ samplingRate, noiseMultiplier, order, divergence, unsigned }) => {
      const found = renyiDivergence(samplingRate, noiseMultiplier, order);
      expect(Math.abs(found / divergence - 1)).toBeLessThan(1e-11);
      // dp_accounting adds the absolute values of an alternating series.
      expect(found).toBeLessThanOrEqual(unsigned * (1 + 1e-9));
    },
  );

  test('without sampling they are α/2σ²', () => {
    for (const [sigma, alpha] of [
      [0.3, 1.5],
      [1, 2],
      [7, 64.5],
    ] as const)
      expect(renyiDivergence(1, sigma, alpha)).toBeCloseTo(alpha / (2 * sigma * sigma), 12);
  });
});

describe('what other systems publish', () => {
  const rows = published.epsilons.map((row) => ({ ...row, phases: [row] }));

  test.each(rows.filter(({ accountant }) => accountant === 'rdp'))(
    'rdp: $source, q $samplingRate, σ $noiseMultiplier, T $steps',
    ({ phases, delta, epsilon, tolerance, tight }) => {
      const found = rdpEpsilon(phases, delta).epsilon;
      // Over all real orders the minimum is at most that over a grid of them.
      expect(found).toBeLessThanOrEqual(epsilon + tolerance);
      if (tight !== null) expect(found).toBeGreaterThanOrEqual(tight * (1 - 1e-6));
    },
  );

  test.each(rows.filter(({ accountant }) => accountant === 'rdp-classic'))(
    'rdp with the older conversion is never better: $source, q $samplingRate, σ $noiseMultiplier, T $steps',
    ({ phases, delta, epsilon, tolerance }) => {
      expect(rdpEpsilon(phases, delta).epsilon).toBeLessThanOrEqual(epsilon + tolerance);
    },
  );

  test.each(rows.filter(({ accountant }) => accountant !== 'rdp' && accountant !== 'rdp-classic'))(
    '$accountant: $source, q $samplingRate, σ $noiseMultiplier, T $steps',
    ({ phases, delta, epsilon, tolerance, accountant, tight }) => {
      const { lower, upper } = prvEpsilon(phases, delta);
      // Published upper bounds of the PRV accountant lie its allowed error of 0.01 above the value.
      const room = accountant === 'prv-upper' ? 0.012 + 1e-4 * epsilon : 0;
      expect(lower).toBeLessThanOrEqual(epsilon + tolerance);
      expect(upper).toBeGreaterThanOrEqual(epsilon - tolerance - room);
      if (tight === null) return;
      expect(lower).toBeLessThanOrEqual(tight * (1 + 1e-4));
      expect(upper - tight).toBeLessThan(2e-3 * tight);
      // Computed on a grid of 1e-4, which is far above the value where that is small.
      if (tight > 0.2) expect(upper).toBeGreaterThanOrEqual(tight * (1 - 1e-4));
    },
  );

  test('where a fixed grid answers infinity, at a delta of 1e-18', () => {
    const row = published.epsilons.filter(({ delta }) => delta < 1e-17);
    expect(row.length).toBeGreaterThan(0);
    for (const { epsilon, delta, ...phases } of row) {
      const { lower, upper } = privacySpent([phases], delta);
      expect(upper).toBeLessThan(epsilon);
      expect(lower).toBeGreaterThan(0);
      expect(upper / lower).toBeLessThan(1.01);
    }
  });
});

describe('the Gaussian mechanism without sampling', () => {
  test.each(published.gaussian)('σ $noiseMultiplier, δ $delta', ({ noiseMultiplier, delta, epsilon }) => {
    const { lower, upper } = gaussianEpsilon(1 / noiseMultiplier, delta);
    expect(lower).toBeLessThanOrEqual(epsilon * (1 + 1e-10));
    expect(upper).toBeGreaterThanOrEqual(epsilon * (1 - 1e-10));
    expect(upper - lower).toBeLessThan(1e-10 * epsilon);
    expect(gaussianDelta(1 / noiseMultiplier, epsilon) / delta).toBeCloseTo(1, 7);
  });

  test('a hundred steps at ten times the noise are one', () => {
    const steps = prvEpsilon([{ samplingRate: 1, noiseMultiplier: 10, steps: 100 }], 1e-5);
    expect(steps.upper).toBeCloseTo(4.37717809568, 9);
  });

  test('a million steps', () => {
    const { lower, upper } = prvEpsilon([{ samplingRate: 1, noiseMultiplier: 0.3, steps: 1_000_000 }], 1e-8);
    expect(upper / lower - 1).toBeLessThan(1e-10);
    expect(gaussianDelta(1000 / 0.3, upper)).toBeLessThanOrEqual(1e-8);
  });
});

describe('noise for published settings', () => {
  test.each(published.calibrations)(
    'q $samplingRate, T $steps, ε $epsilon',
    ({ samplingRate, steps, epsilon, delta, rdp, pld }) => {
      const goal = { epsilon, delta, samplingRate, steps };
      const tight = calibrateNoise(goal);
      expect(tight.spent.epsilon).toBeLessThanOrEqual(epsilon);
      expect(Math.abs(tight.noiseMultiplier / pld - 1)).toBeLessThan(1e-3);
      const renyi = calibrateNoise({ ...goal, accountant: 'rdp' });
      expect(renyi.spent.epsilon).toBeLessThanOrEqual(epsilon);
      expect(renyi.noiseMultiplier).toBeLessThanOrEqual(rdp * (1 + 1e-3));
      expect(renyi.noiseMultiplier).toBeGreaterThan(tight.noiseMultiplier);
    },
  );
});

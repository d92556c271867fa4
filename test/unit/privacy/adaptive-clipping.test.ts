import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import {
  composedNoiseMultiplier,
  gradientNoiseMultiplier,
  nextClippingNorm,
  usualCountDeviation,
} from '../../../src/privacy/adaptive-clipping.ts';
import { gaussianDelta } from '../../../src/privacy/gaussian.ts';

const positive = fc.double({ min: 1e-2, max: 1e2, noNaN: true });

describe('the noise of adaptive clipping', () => {
  it('of gradients and count together is what was asked for', () => {
    fc.assert(
      fc.property(positive, fc.double({ min: 1.001, max: 100, noNaN: true }), (noise, times) => {
        const count = (noise / 2) * times;
        const gradient = gradientNoiseMultiplier(noise, count);
        expect(gradient).toBeGreaterThan(noise);
        expect(composedNoiseMultiplier(gradient, count) / noise).toBeCloseTo(1, 9);
      }),
    );
  });

  it('composes as one Gaussian mechanism does: the distance of the two means in units of the noise is all that counts', () => {
    // Neighbours move the scaled sum by 1 and the centred count by a half, at once.
    const [gradient, count] = [1.3, 0.8];
    const distance = Math.hypot(1 / gradient, 0.5 / count);
    for (const epsilon of [0, 0.5, 2])
      expect(gaussianDelta(1 / composedNoiseMultiplier(gradient, count), epsilon)).toBeCloseTo(
        gaussianDelta(distance, epsilon),
        12,
      );
  });

  it('refuses a count that costs more than everything may', () => {
    expect(() => gradientNoiseMultiplier(2, 1)).toThrow(RangeError);
  });

  it('where none is chosen for the count, takes at most a thirtieth from the gradients', () => {
    fc.assert(
      fc.property(positive, fc.integer({ min: 1, max: 10_000 }), (noise, batch) => {
        const gradient = gradientNoiseMultiplier(noise, usualCountDeviation(batch, noise));
        expect(gradient / noise).toBeLessThan(1.034);
      }),
    );
  });
});

describe('the norm of adaptive clipping', () => {
  it.each([0.3, 0.5, 0.9])(
    'comes to the quantile %s of the norms from far above and below, despite the noise',
    (quantile) => {
      const batch = 400;
      const settings = { quantile, rate: 0.2, countDeviation: 20 };
      for (const start of [0.02, 50]) {
        const random = randomStream(1, `norms from ${start}`);
        let norm = start;
        let sum = 0;
        for (let step = 0; step < 500; step++) {
          // Norms are exponential, so that the quantile is known.
          const within = Array.from({ length: batch }, () => -Math.log(1 - random.uniform())).filter(
            (x) => x <= norm,
          ).length;
          norm = nextClippingNorm(norm, within - batch / 2 + 20 * random.normal(), batch, settings);
          if (step >= 300) sum += norm / 200;
        }
        expect(sum / -Math.log(1 - quantile)).toBeGreaterThan(0.85);
        expect(sum / -Math.log(1 - quantile)).toBeLessThan(1.15);
      }
    },
  );
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noiseGrid, privateStreams } from '../../../src/privacy/streams.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 1);
const streams = privateStreams(key);
const otherKey = privateStreams(key.map((byte) => byte ^ 1));

function noise(count: number, step: number, name: string, from = streams): Float64Array {
  return from.addNoise(new Float64Array(count), step, name, 1);
}

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

function correlation(a: Float64Array, b: Float64Array): number {
  return mean(a.map((value, i) => value * (b[i] ?? 0)));
}

/** The standard normal distribution function, by Abramowitz and Stegun's 7.1.26: good to 1e-7. */
function normalCdf(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const tail =
    t *
    (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) *
    Math.exp(-z * z);
  return x > 0 ? 1 - tail / 2 : tail / 2;
}

describe('noise', () => {
  const count = 200_000;
  const sample = noise(count, 3, 'a');

  it('is standard normal: moments, and the whole distribution', () => {
    expect(Math.abs(mean(sample))).toBeLessThan(4 / Math.sqrt(count));
    expect(Math.abs(mean(sample.map((x) => x * x)) - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
    expect(Math.abs(mean(sample.map((x) => x ** 4)) - 3)).toBeLessThan(4 * Math.sqrt(96 / count));
    const sorted = sample.slice().sort();
    const distance = sorted.reduce((most, x, i) => Math.max(most, Math.abs(normalCdf(x) - (i + 0.5) / count)), 0);
    // Kolmogorov-Smirnov at one in a million.
    expect(distance).toBeLessThan(2.7 / Math.sqrt(count));
  });

  it('reaches its tails', () => {
    const greatest = sample.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(greatest).toBeGreaterThan(4);
    expect(greatest).toBeLessThan(6.5);
  });

  it('is independent from coordinate to coordinate, step to step, tensor to tensor and key to key', () => {
    const bound = 4.5 / Math.sqrt(count);
    expect(Math.abs(correlation(sample.subarray(1), sample.subarray(0, count - 1)))).toBeLessThan(bound);
    for (const other of [noise(count, 4, 'a'), noise(count, 3, 'b'), noise(count, 3, 'a', otherKey)]) {
      expect(Math.abs(correlation(sample, other))).toBeLessThan(bound);
      expect(
        Math.abs(
          correlation(
            sample.map(Math.abs),
            other.map((x) => Math.abs(x) - Math.sqrt(2 / Math.PI)),
          ),
        ),
      ).toBeLessThan(bound);
    }
  });

  it('is repeated by the same key, step and name, however long the tensor', () => {
    expect(noise(5000, 3, 'a')).toEqual(sample.slice(0, 5000));
    expect(noise(1001, 3, 'a')).toEqual(sample.slice(0, 1001));
  });

  it('has the deviation that is asked for, around the sum, on a public grid that the sum cannot be seen through', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        fc.double({ min: -1e3, max: 1e3, noNaN: true }),
        (deviation, value) => {
          const grid = noiseGrid(deviation);
          const noisy = streams.addNoise(new Float64Array(400).fill(value * deviation), 9, 'x', deviation);
          expect(noisy.every((x) => Number.isInteger(x / grid))).toBe(true);
          expect(grid).toBeLessThanOrEqual(deviation / 1024);
          expect(grid).toBeGreaterThan(deviation / 2049);
          const centred = noisy.map((x) => x / deviation - value);
          expect(Math.abs(mean(centred))).toBeLessThan(0.3);
          expect(Math.abs(mean(centred.map((x) => x * x)) - 1)).toBeLessThan(0.5);
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each([0, -1, NaN, Infinity])('refuses the deviation %s', (deviation) => {
    expect(() => streams.addNoise(new Float64Array(1), 1, 'a', deviation)).toThrow(RangeError);
  });
});

describe('draws', () => {
  it('are Poisson sampling: sizes have the mean and variance of the binomial law, and every example its rate', () => {
    const [count, rate, steps] = [500, 0.1, 2000];
    const hits = new Float64Array(count);
    const sizes = Array.from({ length: steps }, (_, step) => {
      const drawn = streams.draw(step + 1, count, rate);
      for (const index of drawn) hits[index] = (hits[index] ?? 0) + 1;
      return drawn.length;
    });
    const variance = count * rate * (1 - rate);
    expect(Math.abs(mean(sizes) - count * rate)).toBeLessThan(4 * Math.sqrt(variance / steps));
    const spread = mean(sizes.map((size) => (size - count * rate) ** 2));
    expect(Math.abs(spread / variance - 1)).toBeLessThan(4 * Math.sqrt(2 / steps));
    const each = Math.sqrt(steps * rate * (1 - rate));
    const chi = hits.reduce((sum, hit) => sum + ((hit - steps * rate) / each) ** 2, 0);
    expect(Math.abs(chi - count)).toBeLessThan(4.5 * Math.sqrt(2 * count));
  });

  it('of two examples are independent', () => {
    const both = Array.from({ length: 4000 }, (_, step) => [...streams.draw(step, 2, 0.5)]);
    const together = both.filter(({ length }) => length === 2).length;
    expect(Math.abs(together / 4000 - 0.25)).toBeLessThan(4.5 * Math.sqrt((0.25 * 0.75) / 4000));
  });

  it('are ordered, without repetition, empty at times, and whole at the rate 1', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(300), fc.double({ min: 0, max: 1, noNaN: true }), (step, count, rate) => {
        const drawn = [...streams.draw(step, count, rate)];
        expect(drawn).toEqual([...new Set(drawn)].sort((a, b) => a - b));
        expect(drawn.every((index) => index < count)).toBe(true);
      }),
    );
    expect([...streams.draw(1, 5, 1)]).toEqual([0, 1, 2, 3, 4]);
    expect([...streams.draw(1, 1000, 0)]).toEqual([]);
    const empty = Array.from({ length: 200 }, (_, step) => streams.draw(step, 20, 0.05)).some(
      ({ length }) => length === 0,
    );
    expect(empty).toBe(true);
  });

  it('are other ones at each step and under each key, and the same ones again', () => {
    expect(streams.draw(5, 1000, 0.1)).toEqual(privateStreams(key).draw(5, 1000, 0.1));
    expect(streams.draw(5, 1000, 0.1)).not.toEqual(streams.draw(6, 1000, 0.1));
    expect(streams.draw(5, 1000, 0.1)).not.toEqual(otherKey.draw(5, 1000, 0.1));
  });

  it('refuses a rate that is no probability, and a key that is too short', () => {
    expect(() => streams.draw(1, 10, 1.5)).toThrow(RangeError);
    expect(() => privateStreams(new Uint8Array(16))).toThrow(RangeError);
  });
});

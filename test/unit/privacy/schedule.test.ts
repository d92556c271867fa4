import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lengthsOfTraining } from '../../../src/engine/trainer.ts';
import { privacySpent, sketchedEpsilon } from '../../../src/privacy/accountant.ts';
import { epochEnds, privateSchedule, scheduledSteps } from '../../../src/privacy/schedule.ts';

const sizes = fc
  .record({ examples: fc.integer({ min: 1, max: 400_000 }), batchSize: fc.integer({ min: 1, max: 64 }) })
  .chain(({ examples, batchSize }) =>
    fc.record({
      examples: fc.constant(Math.max(examples, batchSize)),
      batchSize: fc.constant(batchSize),
      accumulation: fc.integer({ min: 1, max: Math.max(1, Math.floor(Math.max(examples, batchSize) / batchSize)) }),
      epochs: fc.double({ min: 0.01, max: 50, noNaN: true }),
    }),
  );

describe('the schedule of a private training', () => {
  it('is the one that the trainer keeps', () => {
    fc.assert(
      fc.property(sizes, ({ examples, batchSize, accumulation, epochs }) => {
        const length = { kind: 'epochs', epochs } as const;
        const expectedBatchSize = batchSize * accumulation;
        const schedule = privateSchedule({ examples, expectedBatchSize, length });
        const { stepsPerEpoch, totalSteps } = lengthsOfTraining(
          { batchSize, accumulation, length },
          examples,
          schedule.samplingRate,
        );
        expect(schedule).toMatchObject({ stepsPerEpoch, totalSteps, delta: 1 / (2 * examples), deltaIsWeak: false });
      }),
    );
  });

  it('takes steps as they are asked for, and at least one', () => {
    expect(scheduledSteps(0.01, { kind: 'steps', steps: 7 })).toEqual({ stepsPerEpoch: 100, totalSteps: 7 });
    expect(scheduledSteps(1, { kind: 'epochs', epochs: 0.1 })).toEqual({ stepsPerEpoch: 1, totalSteps: 1 });
    // 1/q is 67.349: epochs are whole steps long, so three of them are 201 steps and not 202.05.
    expect(scheduledSteps(1000 / 67_349, { kind: 'epochs', epochs: 3 })).toEqual({
      stepsPerEpoch: 67,
      totalSteps: 201,
    });
  });

  it('says when delta would let a few records be published outright', () => {
    const options = { examples: 1000, expectedBatchSize: 10, length: { kind: 'steps', steps: 1 } } as const;
    expect(privateSchedule({ ...options, delta: 1e-3 }).deltaIsWeak).toBe(false);
    expect(privateSchedule({ ...options, delta: 1.01e-3 }).deltaIsWeak).toBe(true);
  });

  it('has the ends of epochs, the last step always among them', () => {
    expect(epochEnds({ stepsPerEpoch: 10, totalSteps: 35 }, 20)).toEqual([10, 20, 30, 35]);
    expect(epochEnds({ stepsPerEpoch: 10, totalSteps: 5 }, 20)).toEqual([5]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 40 }),
        (stepsPerEpoch, totalSteps, most) => {
          const ends = epochEnds({ stepsPerEpoch, totalSteps }, most);
          expect(ends.length).toBeLessThanOrEqual(most);
          expect(ends.at(-1)).toBe(totalSteps);
          expect(ends.every((step, index) => step > (ends[index - 1] ?? 0))).toBe(true);
        },
      ),
    );
  });
});

describe('a curve of epsilon', () => {
  it.each([
    [512 / 67_349, 0.7, 396],
    [0.05, 0.5, 200],
    [0.001, 1, 1000],
  ])(
    'at rate %d, noise %d and %d steps is certified, and a few per cent above the finest at most',
    (q, sigma, steps) => {
      const phases = [{ samplingRate: q, noiseMultiplier: sigma, steps }];
      for (const accountant of [undefined, 'prv', 'rdp'] as const) {
        const exact = privacySpent(phases, 1e-5, accountant);
        const sketched = sketchedEpsilon(phases, 1e-5, accountant);
        expect(sketched).toBeGreaterThanOrEqual(exact.lower);
        expect(sketched).toBeLessThan(exact.epsilon * 1.05);
      }
    },
  );
});

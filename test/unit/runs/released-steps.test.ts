import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JournalEvent } from '../../../src/runs/events.ts';
import { releasedSteps, releasesOf, repeatedSteps } from '../../../src/runs/released-steps.ts';
import { segmentOf, started, step } from '../store/workspace.ts';

const ledger = {
  type: 'privacy',
  relation: 'add-or-remove-one',
  unit: 'example',
  sampling: 'poisson',
  examples: 320,
  samplingRate: 0.1,
  expectedBatchSize: 32,
  chunkSize: 32,
  noiseMultiplier: 1,
  maxGradNorm: 0.1,
  clipping: 'flat',
  delta: 1e-3,
  accountant: 'tightest',
  plannedSteps: 100,
  repeatedSteps: 0,
  generator: 'ChaCha20',
  insecure: false,
} as const;

interface Life {
  readonly keyId: string;
  readonly from: number;
  readonly to: number;
}

function segment(number: number, { keyId, from, to }: Life): readonly JournalEvent[] {
  const steps = Array.from({ length: to - from + 1 }, (_, index) => step(from + index, null));
  return segmentOf(number, [{ ...ledger, keyId }, started(from), ...steps]);
}

/** Lives of a run: each goes on from a checkpoint of those before it, and some have lost their key. */
const lives = fc
  .array(fc.record({ back: fc.nat(6), length: fc.integer({ min: 1, max: 9 }), loses: fc.boolean() }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((plans) => {
    let [reached, key] = [0, 0];
    return plans.map(({ back, length, loses }, index): Life => {
      if (loses && index > 0) key += 1;
      const from = Math.max(1, reached + 1 - back);
      reached = from + length - 1;
      return { keyId: `key ${key}`, from, to: reached };
    });
  });

describe('steps that were released', () => {
  it('are the different pairs of key and step, however often a run was interrupted', () => {
    fc.assert(
      fc.property(lives, (all) => {
        const pairs = new Set(
          all.flatMap(({ keyId, from, to }) =>
            Array.from({ length: to - from + 1 }, (_, index) => `${keyId} ${from + index}`),
          ),
        );
        expect(releasedSteps(releasesOf(all.flatMap((life, index) => segment(index, life))))).toBe(pairs.size);
      }),
    );
  });

  it('are, at the end of a segment that came as far as any before it, its step and what it counts as repeated', () => {
    fc.assert(
      fc.property(lives, fc.integer({ min: 1, max: 100 }), (all, further) => {
        const events = all.flatMap((life, index) => segment(index, life));
        const before = releasesOf(events);
        const key = all.at(-1)?.keyId ?? '';
        for (const keyId of [key, 'a new one']) {
          const from = before.lastStep;
          const to = before.lastStep + further;
          const whole = releasesOf([...events, ...segment(all.length, { keyId, from, to })]);
          expect(to + repeatedSteps(before, keyId, from)).toBe(releasedSteps(whole));
        }
      }),
    );
  });

  it('count also where nothing tells of them but what came after', () => {
    const whole = segment(0, { keyId: 'a', from: 1, to: 9 });
    const withoutStart = whole.filter(({ type }) => type !== 'started');
    // Budgets read only the last step of many.
    for (const events of [withoutStart, [...withoutStart.slice(0, 1), ...withoutStart.slice(-1)]])
      expect(releasedSteps(releasesOf(events))).toBe(9);
    const later = segment(1, { keyId: 'a', from: 8, to: 12 });
    expect(releasedSteps(releasesOf(later))).toBe(12);
    expect(releasedSteps(releasesOf([...whole.slice(0, 5), ...later]))).toBe(12);
    expect(releasedSteps(releasesOf(whole.slice(0, 5)), 9)).toBe(9);
    expect(releasedSteps(releasesOf(whole), 5)).toBe(9);
    // 1 to 9 once, 5 to 9 again, and 10 to 14, of which nothing is told: 5 more than the step that it goes on from.
    const twice = releasesOf([...whole, ...segment(1, { keyId: 'b', from: 5, to: 9 })]);
    expect(repeatedSteps(twice, 'b', 15)).toBe(5);
  });

  it('of a segment without a ledger count by themselves', () => {
    const bare = segmentOf(1, [started(3), step(3, null), step(4, null)]);
    expect(releasedSteps(releasesOf([...segment(0, { keyId: 'a', from: 1, to: 4 }), ...bare]))).toBe(6);
  });
});

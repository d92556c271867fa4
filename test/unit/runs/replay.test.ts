import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mix32 } from '../../../src/base/random.ts';
import type { JournalEvent, Unstamped } from '../../../src/runs/events.ts';
import { journalChunks, journalFile, openJournal } from '../../../src/runs/journal.ts';
import { emptySummary, latestCheckpoint, numbersOf, replay } from '../../../src/runs/replay.ts';
import type { RunSummary } from '../../../src/runs/replay.ts';
import { temporaryFolder } from '../../support/runs.ts';

interface Plan {
  readonly steps: number;
  readonly evaluateEvery: number;
  readonly checkpointEvery: number;
}

/** What a trainer writes from the step after `from` on: its numbers depend on the step alone, as a resumed trainer's must. */
function* life({ steps, evaluateEvery, checkpointEvery }: Plan, from: number): Generator<Unstamped> {
  const score = (step: number): number => mix32(step) / 2 ** 32;
  yield {
    type: 'started',
    processId: 1,
    fromStep: from + 1,
    totalSteps: steps,
    stepsPerEpoch: 10,
    trainExamples: 100,
    parameters: { method: 1, head: 1, total: 2, frozen: 3 },
    device: { provider: 'cpu', reason: '' },
  };
  for (let step = from + 1; step <= steps; step++) {
    yield {
      type: 'step',
      step,
      epoch: step / 10,
      loss: score(step + 1000),
      learningRate: 1,
      gradientNorm: null,
      examplesPerSecond: 1,
      tokensPerSecond: 1,
    };
    if (step % evaluateEvery === 0) {
      const earlier = Array.from({ length: step / evaluateEvery - 1 }, (_, i) => score((i + 1) * evaluateEvery));
      const best = earlier.every((other) => other < score(step));
      for (const split of ['dev', 'dev-mismatched'])
        yield {
          type: 'evaluation',
          step,
          epoch: step / 10,
          split,
          examples: 1,
          loss: 0,
          metrics: { score: score(step) },
          seconds: 0,
          best: best && split === 'dev',
        };
      if (best) yield { type: 'checkpoint', step, kind: 'best', path: 'checkpoints/best' };
    }
    if (step % checkpointEvery === 0) yield { type: 'checkpoint', step, kind: 'last', path: 'checkpoints/last' };
  }
  yield { type: 'finished', step: steps, reason: 'completed', last: {}, trainSeconds: 1, peakResidentBytes: 1 };
}

function live(folder: string, plan: Plan, from: number): void {
  const journal = openJournal(folder);
  for (const event of life(plan, from)) journal.append(event);
  journal.close();
}

function eventsOf(folder: string): readonly JournalEvent[] {
  return [...journalChunks(folder)].flatMap(({ events }) => events);
}

/** What has to be equal whatever the run went through. */
function essence(summary: RunSummary) {
  return {
    ...numbersOf(summary),
    state: summary.state,
    last: latestCheckpoint(summary, 'last')?.step,
    best: latestCheckpoint(summary, 'best')?.step,
    end: summary.end?.type,
  };
}

const anyPlan = fc.record({
  steps: fc.integer({ min: 1, max: 40 }),
  evaluateEvery: fc.integer({ min: 1, max: 12 }),
  checkpointEvery: fc.integer({ min: 1, max: 12 }),
});

describe('replay', () => {
  it('of any torn prefix, resumed from its last checkpoint, equals the unbroken run', () => {
    fc.assert(
      fc.property(
        anyPlan,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 3 }),
        (plan, cuts) => {
          const unbroken = temporaryFolder();
          live(unbroken, plan, 0);
          const expected = essence(replay(eventsOf(unbroken)));
          const folder = temporaryFolder();
          live(folder, plan, 0);
          for (const cut of cuts) {
            // What the run loses when it dies: everything from some byte of its present life on.
            const bytes = readFileSync(journalFile(folder));
            const kept = bytes.subarray(0, Math.floor(cut * bytes.length));
            writeFileSync(journalFile(folder), kept);
            const resumeFrom = latestCheckpoint(replay(eventsOf(folder)), 'last')?.step ?? 0;
            live(folder, plan, resumeFrom);
          }
          expect(essence(replay(eventsOf(folder)))).toEqual(expected);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('does not care in which portions events come, or how often', () => {
    fc.assert(
      fc.property(anyPlan, fc.nat(200), fc.nat(200), (plan, a, b) => {
        const folder = temporaryFolder();
        live(folder, plan, 0);
        live(folder, plan, Math.floor(plan.steps / 2));
        const events = eventsOf(folder);
        const whole = replay(events);
        const [from, to] = [Math.min(a, b, events.length), Math.min(Math.max(a, b), events.length)];
        const portions = replay(events.slice(from), replay(events.slice(0, to)));
        expect(portions).toEqual(whole);
        expect(replay(events, whole)).toEqual(whole);
      }),
      { numRuns: 20 },
    );
  });

  it('lets a later segment replace what it repeats, evaluations of its first step included', () => {
    const stamp = (segment: number, seq: number, event: Unstamped) => ({ segment, seq, time: 0, ...event });
    const [started] = life({ steps: 3, evaluateEvery: 9, checkpointEvery: 9 }, 0);
    if (started?.type !== 'started') throw new Error('a life begins with its start');
    const evaluation = (step: number, loss: number, best: boolean): Unstamped => ({
      type: 'evaluation',
      step,
      epoch: 0,
      split: 'dev',
      examples: 1,
      loss,
      metrics: {},
      seconds: 0,
      best,
    });
    const summary = replay([
      stamp(0, 0, started),
      stamp(0, 1, evaluation(0, 9, true)),
      stamp(0, 2, evaluation(2, 8, true)),
      stamp(0, 3, evaluation(4, 7, true)),
      stamp(1, 0, { ...started, fromStep: 3 }),
      stamp(1, 1, evaluation(2, 6, false)),
    ]);
    expect(summary.evaluations.map(({ step, loss }) => [step, loss])).toEqual([
      [0, 9],
      [2, 6],
    ]);
    expect(summary.best?.step).toBe(0);
    expect(summary.state).toBe('running');
    // An old trainer that wakes up late says nothing any more.
    expect(replay([stamp(0, 4, evaluation(5, 1, true))], summary)).toEqual(summary);
  });

  it('leaves its argument as it was', () => {
    const folder = temporaryFolder();
    live(folder, { steps: 5, evaluateEvery: 2, checkpointEvery: 2 }, 0);
    const [first, ...rest] = eventsOf(folder);
    const before = replay(first === undefined ? [] : [first]);
    const copy = structuredClone(before);
    replay(rest, before);
    expect(before).toEqual(copy);
    expect(emptySummary.steps).toEqual([]);
  });
});

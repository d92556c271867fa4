import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lifeOf, stateOf, type LastSegment, type RunHolder, type RunLife } from '../../../src/runs/run-life.ts';

const life: fc.Arbitrary<RunLife> = fc.record({
  isQueued: fc.boolean(),
  claimedSegment: fc.option(fc.nat(2), { nil: undefined }),
  stopAsked: fc.boolean(),
  isInterrupted: fc.boolean(),
});
const journal: fc.Arbitrary<LastSegment | undefined> = fc.option(
  fc.record({
    segment: fc.nat(2),
    began: fc.boolean(),
    ending: fc.constantFrom(undefined, 'finished', 'stopped', 'failed'),
  }),
  { nil: undefined },
);
const holder: fc.Arbitrary<RunHolder | undefined> = fc.option(
  fc.record({
    role: fc.constantFrom('supervisor' as const, 'trainer' as const),
    segment: fc.option(fc.nat(2), { nil: undefined }),
    isDead: fc.boolean(),
  }),
  { nil: undefined },
);

describe('the life of a run', () => {
  it('begins when it was last queued', () => {
    const marks = [{ type: 'claimed', segment: 0 }, { type: 'stop-asked' }, { type: 'queued' }, { type: 'star' }];
    expect(lifeOf(marks, ({ segment }) => segment)).toEqual({
      isQueued: true,
      claimedSegment: undefined,
      stopAsked: false,
      isInterrupted: false,
    });
    expect(lifeOf(marks.slice(0, 2), ({ segment }) => segment)).toEqual({
      isQueued: false,
      claimedSegment: 0,
      stopAsked: true,
      isInterrupted: false,
    });
  });

  it('is over when its own journal says so, whoever holds the run and whatever was marked', () => {
    fc.assert(
      fc.property(life, journal, holder, (marked, last, held) => {
        const isOwn = !marked.isQueued || (last?.segment ?? -1) >= (marked.claimedSegment ?? Infinity);
        fc.pre(isOwn && last?.ending !== undefined);
        expect(stateOf(marked, last, held)).toEqual({ state: last.ending, brokeOff: false });
      }),
    );
  });

  it('goes on while its holder lives, and only then', () => {
    fc.assert(
      fc.property(life, journal, holder, (marked, last, held) => {
        const { state, brokeOff } = stateOf(marked, last, held);
        const isActive = state === 'running' || state === 'starting';
        if (isActive) expect(held?.isDead).toBe(false);
        if (state === 'running')
          expect([held?.role, last?.began, last?.segment]).toEqual(['trainer', true, held?.segment]);
        if (state === 'queued')
          expect(marked).toMatchObject({ isQueued: true, stopAsked: false, isInterrupted: false });
        if (brokeOff) expect(state).toBe(marked.stopAsked ? 'stopped' : 'interrupted');
      }),
    );
  });

  it('that was called off before anyone took it leaves the run as it was', () => {
    const calledOff = { isQueued: true, claimedSegment: undefined, stopAsked: true, isInterrupted: false };
    const before = { segment: 0, began: true };
    for (const ending of ['finished', 'stopped', 'failed'] as const)
      expect(stateOf(calledOff, { ...before, ending }, undefined)).toEqual({ state: ending, brokeOff: false });
    expect(stateOf(calledOff, undefined, undefined)).toEqual({ state: 'stopped', brokeOff: false });
  });
});

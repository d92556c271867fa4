import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Unstamped } from '../../../src/runs/events.ts';
import type { TerminalEvent } from '../../../src/runs/journal.ts';
import { ownIdentity } from '../../../src/runs/process-identity.ts';
import { deriveState as stateOfFiles, type RunFacts } from '../../../src/runs/run-state.ts';
import { readMarkLine, isUnreadable, type Mark } from '../../../src/store/records.ts';
import { deriveState, summariseMarks, type LatestSegment } from '../../../src/store/state.ts';
import { segmentOf } from './workspace.ts';

const endings: Readonly<Record<'finished' | 'stopped' | 'failed', Unstamped<TerminalEvent>>> = {
  finished: { type: 'finished', step: 1, reason: 'completed', last: {}, trainSeconds: 1, peakResidentBytes: 1 },
  stopped: { type: 'stopped', step: 1 },
  failed: { type: 'failed', step: 1, message: 'x', kind: 'user' },
};

function marks(...members: readonly Readonly<Record<string, unknown>>[]): Mark[] {
  return members.map((each) => {
    const mark = readMarkLine(JSON.stringify(each));
    if (isUnreadable(mark)) throw new Error(mark.problem);
    return mark;
  });
}

const queued = { type: 'queued', time: 10 };
const claimed = (segment: number): Readonly<Record<string, unknown>> => ({
  type: 'claimed',
  time: 20,
  segment,
  launcher: 'local',
  host: 'here',
});
const stop = { type: 'stop-asked', time: 30, how: 'ask' };
const interrupted = { type: 'interrupted', time: 200, reason: 'gone' };

function segment(changes: Partial<LatestSegment> = {}): LatestSegment {
  return { segment: 0, lastAt: 150, began: true, ending: undefined, ...changes };
}

describe('the state of a run', () => {
  it('before the journal begins', () => {
    expect(deriveState(undefined, [])).toBe('queued');
    expect(deriveState(undefined, marks(queued))).toBe('queued');
    expect(deriveState(undefined, marks(queued, stop))).toBe('stopped');
    expect(deriveState(undefined, marks(queued, claimed(0)))).toBe('starting');
    expect(deriveState(undefined, marks(queued, claimed(0), interrupted))).toBe('interrupted');
    expect(deriveState(undefined, marks(queued, claimed(0), interrupted, queued))).toBe('queued');
  });

  it('is running without a terminal event, until it is marked interrupted', () => {
    expect(deriveState(segment(), marks(queued, claimed(0)))).toBe('running');
    expect(deriveState(segment(), [])).toBe('running');
    expect(deriveState(segment(), marks(queued, claimed(0), stop))).toBe('running');
    expect(deriveState(segment(), marks(queued, claimed(0), interrupted))).toBe('interrupted');
    expect(deriveState(segment(), marks(queued, claimed(0), stop, interrupted))).toBe('stopped');
    expect(deriveState(segment(), marks(interrupted))).toBe('interrupted');
    expect(deriveState(segment({ began: false }), marks(queued, claimed(0)))).toBe('starting');
  });

  it('follows the terminal event, whatever was marked meanwhile', () => {
    for (const ending of ['finished', 'failed', 'stopped'] as const) {
      expect(deriveState(segment({ ending }), marks(queued, claimed(0)))).toBe(ending);
      expect(deriveState(segment({ ending }), marks(queued, claimed(0), stop, interrupted))).toBe(ending);
    }
  });

  it('follows a resume from mark to mark', () => {
    const first = [queued, claimed(0), interrupted, queued];
    expect(deriveState(segment(), marks(...first))).toBe('queued');
    expect(deriveState(segment({ ending: 'failed' }), marks(...first, stop))).toBe('failed');
    const second = [...first, claimed(1)];
    expect(deriveState(segment(), marks(...second))).toBe('starting');
    expect(deriveState(segment(), marks(...second, interrupted))).toBe('interrupted');
    expect(deriveState(segment({ segment: 1 }), marks(...second))).toBe('running');
    expect(deriveState(segment({ segment: 1, ending: 'finished' }), marks(...second))).toBe('finished');
  });

  it('reads marks of older and newer versions', () => {
    expect(deriveState(segment(), marks({ type: 'claimed', time: 20 }, { type: 'applauded' }))).toBe('running');
  });

  it('is what the files tell, when the lease agrees with the marks', () => {
    const markArbitrary = fc.oneof(
      fc.constantFrom<Readonly<Record<string, unknown>>>(queued, { ...stop, by: 'user' }, interrupted),
      fc.nat(2).map(claimed),
    );
    const journalArbitrary = fc.option(
      fc.record({
        segment: fc.nat(2),
        began: fc.boolean(),
        ending: fc.constantFrom(undefined, 'finished', 'stopped', 'failed'),
      }),
      { nil: undefined },
    );
    fc.assert(
      fc.property(
        fc.array(markArbitrary, { maxLength: 7 }),
        journalArbitrary,
        fc.boolean(),
        (said, journal, byHand) => {
          // Every run that a supervisor knows was queued first; one that was started by hand has a journal.
          const all: Readonly<Record<string, unknown>>[] = byHand && journal !== undefined ? said : [queued, ...said];
          const life = all.slice(
            Math.max(
              0,
              all.findLastIndex(({ type }) => type === 'queued'),
            ),
          );
          const claim = life.findLast(({ type }) => type === 'claimed');
          const isHeld =
            (claim !== undefined || life[0]?.type !== 'queued') && !life.some(({ type }) => type === 'interrupted');
          const lease = {
            nonce: '0123456789abcdef',
            role: 'trainer',
            holder: ownIdentity(),
            claimed: 1,
            heartbeat: 1,
            segment: Number(journal?.segment ?? claim?.segment ?? 0),
          } as const;
          const event =
            journal?.ending === undefined ? undefined : segmentOf(journal.segment, [endings[journal.ending]])[0];
          const facts: RunFacts = {
            journal:
              journal === undefined
                ? undefined
                : {
                    segment: journal.segment,
                    began: journal.began || event !== undefined,
                    terminal: event as TerminalEvent | undefined,
                    time: 1,
                  },
            marks: all as unknown as RunFacts['marks'],
            lease: isHeld ? { lease, state: 'alive' } : undefined,
          };
          const latest =
            journal === undefined ? undefined : segment({ ...journal, began: facts.journal?.began ?? false });
          expect(deriveState(latest, marks(...all))).toBe(stateOfFiles(facts).state);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('what people attach to a run', () => {
  it('folds over the configuration in the order of the marks', () => {
    const said = marks(
      { type: 'tag', tag: 'b' },
      { type: 'tag', tag: 'c' },
      { type: 'untag', tag: 'a' },
      { type: 'note', text: 'second' },
      { type: 'star', on: true },
      claimed(0),
    );
    expect(summariseMarks(said, { tags: ['a'], note: 'first' })).toEqual({
      tags: ['b', 'c'],
      note: 'second',
      starred: true,
      deleted: false,
      host: 'here',
    });
    expect(
      summariseMarks(
        [...said, ...marks({ type: 'star', on: false }, { type: 'deleted' }, { type: 'note', text: '' })],
        { tags: [], note: '' },
      ),
    ).toMatchObject({
      starred: false,
      deleted: true,
      note: '',
    });
    expect(summariseMarks(marks({ type: 'tag', tag: 5 }, { type: 'note' }), { tags: [], note: 'kept' })).toMatchObject({
      tags: [],
      note: 'kept',
    });
  });
});

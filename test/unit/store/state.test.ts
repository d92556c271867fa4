import { describe, expect, it } from 'vitest';
import { readMarkLine, isUnreadable, type Mark } from '../../../src/store/records.ts';
import { deriveState, summariseMarks, type LatestSegment } from '../../../src/store/state.ts';

function marks(...members: readonly Readonly<Record<string, unknown>>[]): Mark[] {
  return members.map((each) => {
    const mark = readMarkLine(JSON.stringify(each));
    if (isUnreadable(mark)) throw new Error(mark.problem);
    return mark;
  });
}

const queued = { type: 'queued', time: 10 };
const claimed = (segment: number, time: number): Readonly<Record<string, unknown>> => ({
  type: 'claimed',
  time,
  segment,
  launcher: 'local',
  host: 'here',
});
const interrupted = { type: 'interrupted', time: 200, reason: 'gone' };

function segment(changes: Partial<LatestSegment> = {}): LatestSegment {
  return { segment: 0, startedAt: 100, lastAt: 150, began: true, ending: undefined, ...changes };
}

describe('the state of a run', () => {
  it('before the journal begins', () => {
    expect(deriveState(undefined, [])).toBe('queued');
    expect(deriveState(undefined, marks(queued))).toBe('queued');
    expect(deriveState(undefined, marks(queued, claimed(0, 20)))).toBe('starting');
    expect(deriveState(undefined, marks(queued, claimed(0, 20), interrupted))).toBe('interrupted');
    expect(deriveState(undefined, marks(queued, claimed(0, 20), interrupted, queued))).toBe('queued');
  });

  it('is running without a terminal event, until it is marked interrupted', () => {
    expect(deriveState(segment(), marks(queued, claimed(0, 20)))).toBe('running');
    expect(deriveState(segment(), [])).toBe('running');
    expect(deriveState(segment(), marks(queued, claimed(0, 20), interrupted))).toBe('interrupted');
    expect(deriveState(segment(), marks(interrupted))).toBe('interrupted');
    expect(deriveState(segment({ began: false }), marks(queued, claimed(0, 20)))).toBe('starting');
  });

  it('follows the terminal event, whatever was marked meanwhile', () => {
    for (const ending of ['finished', 'failed', 'stopped'] as const) {
      expect(deriveState(segment({ ending }), marks(queued, claimed(0, 20)))).toBe(ending);
      expect(deriveState(segment({ ending }), marks(queued, claimed(0, 20), interrupted))).toBe(ending);
    }
  });

  it('follows a resume from mark to mark', () => {
    const first = marks(queued, claimed(0, 20), interrupted);
    expect(deriveState(segment(), [...first, ...marks({ ...queued, time: 210 })])).toBe('queued');
    const second = [...first, ...marks({ ...queued, time: 210 }, claimed(1, 220))];
    expect(deriveState(segment(), second)).toBe('starting');
    expect(deriveState(segment(), [...second, ...marks({ ...interrupted, time: 230 })])).toBe('interrupted');
    expect(deriveState(segment({ segment: 1, startedAt: 225, lastAt: 240 }), second)).toBe('running');
    expect(deriveState(segment({ segment: 1, startedAt: 225, lastAt: 240, ending: 'finished' }), second)).toBe(
      'finished',
    );
  });

  it('does not rest on clocks where the marks name the segment', () => {
    // The trainer's machine is a day behind the supervisor's.
    expect(deriveState(segment({ startedAt: -86_400_000, lastAt: -86_300_000 }), marks(queued, claimed(0, 20)))).toBe(
      'running',
    );
  });

  it('reads marks of older and newer versions', () => {
    expect(deriveState(segment(), marks({ type: 'claimed', time: 20 }, { type: 'applauded' }))).toBe('running');
    expect(deriveState(segment(), marks({ type: 'claimed', time: 300 }))).toBe('starting');
    expect(deriveState(segment({ startedAt: 250 }), marks(interrupted))).toBe('running');
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
      claimed(0, 3),
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

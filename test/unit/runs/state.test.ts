import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clearControl, readControl, watchControl, wishCheckpoint, wishStop } from '../../../src/runs/control.ts';
import type { JournalEnd } from '../../../src/runs/journal.ts';
import type { Lease } from '../../../src/runs/lease.ts';
import { annotationsOf } from '../../../src/runs/annotations.ts';
import { appendMarks, marksFile, readMarks } from '../../../src/runs/marks.ts';
import type { Mark } from '../../../src/runs/marks.ts';
import { ownIdentity } from '../../../src/runs/process-identity.ts';
import { canResume, deriveState } from '../../../src/runs/run-state.ts';
import type { RunFacts } from '../../../src/runs/run-state.ts';
import { temporaryFolder } from '../../support/runs.ts';

describe('marks', () => {
  it('are kept in order, and survive torn and unknown lines', () => {
    const folder = temporaryFolder();
    appendMarks(folder, [{ type: 'queued' }, { type: 'tag', tag: 'a' }], () => 5);
    appendFileSync(marksFile(folder), '{"type":"from-the-future","time":1}\n{"type":"ta');
    appendMarks(folder, [{ type: 'star', on: true }], () => 6);
    expect(readMarks(folder)).toEqual([
      { type: 'queued', time: 5 },
      { type: 'tag', tag: 'a', time: 5 },
      { type: 'star', on: true, time: 6 },
    ]);
  });

  it('say what a person attached', () => {
    const folder = temporaryFolder();
    appendMarks(folder, [
      { type: 'tag', tag: 'b' },
      { type: 'untag', tag: 'a' },
      { type: 'note', text: 'first' },
      { type: 'note', text: 'second' },
      { type: 'star', on: true },
      { type: 'deleted' },
    ]);
    const start = { tags: ['a', 'c'], note: 'from the configuration' };
    expect(annotationsOf([], start)).toEqual({ ...start, starred: false, deleted: false });
    expect(annotationsOf(readMarks(folder), start)).toEqual({
      tags: ['c', 'b'],
      note: 'second',
      starred: true,
      deleted: true,
    });
    expect(annotationsOf([{ type: 'note', text: '' }], start).note).toBe('');
  });
});

describe('control', () => {
  it('carries wishes, each wish for a checkpoint once', () => {
    const folder = temporaryFolder();
    const look = watchControl(folder);
    expect(look()).toEqual({ stop: false, checkpoint: false });
    wishCheckpoint(folder);
    expect(look()).toEqual({ stop: false, checkpoint: true });
    expect(look()).toEqual({ stop: false, checkpoint: false });
    wishCheckpoint(folder);
    wishCheckpoint(folder);
    wishStop(folder);
    expect(look()).toEqual({ stop: true, checkpoint: true });
    expect(look()).toEqual({ stop: true, checkpoint: false });
    clearControl(folder);
    expect(look()).toEqual({ stop: false, checkpoint: false });
  });

  it('that cannot be read holds no wish', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'control.json'), '{"stop":');
    expect(readControl(folder)).toEqual({ stop: false, checkpoint: 0 });
  });
});

const lease = (role: Lease['role'], state: 'alive' | 'dead' | 'other-host', segment?: number): RunFacts['lease'] => ({
  lease: {
    nonce: '0123456789abcdef',
    role,
    holder: ownIdentity(),
    claimed: 0,
    heartbeat: 1,
    ...(segment === undefined ? {} : { segment }),
  },
  state,
});
const queued: Mark = { type: 'queued', time: 0 };
const claimed = (segment: number): Mark => ({ type: 'claimed', time: 0, segment, launcher: 'local', host: 'h' });
const asked: Mark = { type: 'stop-asked', time: 0, how: 'ask', by: 'user' };
const interrupted: Mark = { type: 'interrupted', time: 0, reason: 'the power went' };
const journal = (segment: number, terminal?: 'finished' | 'stopped' | 'failed', began = true): JournalEnd => ({
  segment,
  began,
  time: 0,
  terminal:
    terminal === undefined
      ? undefined
      : terminal === 'failed'
        ? { type: 'failed', segment, seq: 9, time: 0, step: 1, message: 'NaN', kind: 'diverged' }
        : terminal === 'stopped'
          ? { type: 'stopped', segment, seq: 9, time: 0, step: 1 }
          : {
              type: 'finished',
              segment,
              seq: 9,
              time: 0,
              step: 1,
              reason: 'completed',
              last: {},
              trainSeconds: 1,
              peakResidentBytes: 1,
            },
});

describe('the state of a run', () => {
  it.each<[string, RunFacts, string]>([
    ['is new', { marks: [queued], journal: undefined, lease: undefined }, 'queued'],
    [
      'is claimed',
      { marks: [queued, claimed(0)], journal: undefined, lease: lease('supervisor', 'alive') },
      'starting',
    ],
    [
      'lost its supervisor before it began',
      { marks: [queued, claimed(0)], journal: undefined, lease: lease('supervisor', 'dead') },
      'queued',
    ],
    [
      'waits again while the lease of its dead trainer still lies there',
      { marks: [queued, claimed(0), queued], journal: journal(0), lease: lease('trainer', 'dead', 0) },
      'queued',
    ],
    [
      'has a trainer that loads',
      { marks: [queued, claimed(0)], journal: journal(0, undefined, false), lease: lease('trainer', 'alive', 0) },
      'starting',
    ],
    ['trains', { marks: [queued, claimed(0)], journal: journal(0), lease: lease('trainer', 'alive', 0) }, 'running'],
    [
      'trains on another machine',
      { marks: [queued, claimed(0)], journal: journal(0), lease: lease('trainer', 'other-host', 0) },
      'running',
    ],
    [
      'has written its end and not gone',
      { marks: [queued, claimed(0)], journal: journal(0, 'finished'), lease: lease('trainer', 'alive', 0) },
      'finished',
    ],
    ['finished', { marks: [queued, claimed(0)], journal: journal(0, 'finished'), lease: undefined }, 'finished'],
    ['diverged', { marks: [queued, claimed(0)], journal: journal(0, 'failed'), lease: undefined }, 'failed'],
    [
      'stopped when asked',
      { marks: [queued, claimed(0), asked], journal: journal(0, 'stopped'), lease: undefined },
      'stopped',
    ],
    [
      'finished although it was asked to stop',
      { marks: [queued, claimed(0), asked], journal: journal(0, 'finished'), lease: undefined },
      'finished',
    ],
    [
      'was killed after it was asked to stop',
      { marks: [queued, claimed(0), asked], journal: journal(0), lease: lease('trainer', 'dead', 0) },
      'stopped',
    ],
    ['died', { marks: [queued, claimed(0)], journal: journal(0), lease: lease('trainer', 'dead', 0) }, 'interrupted'],
    [
      'died before its first event',
      { marks: [queued, claimed(0)], journal: undefined, lease: lease('trainer', 'dead', 0) },
      'interrupted',
    ],
    [
      'could not be started',
      { marks: [queued, claimed(0), interrupted], journal: undefined, lease: undefined },
      'interrupted',
    ],
    ['was called off', { marks: [queued, asked], journal: undefined, lease: undefined }, 'stopped'],
    [
      'waits to go on',
      { marks: [queued, claimed(0), interrupted, queued], journal: journal(0), lease: undefined },
      'queued',
    ],
    [
      'was stopped and waits to go on',
      { marks: [queued, claimed(0), asked, queued], journal: journal(0, 'stopped'), lease: undefined },
      'queued',
    ],
    [
      'goes on',
      {
        marks: [queued, claimed(0), asked, queued, claimed(1)],
        journal: journal(0, 'stopped'),
        lease: lease('trainer', 'alive', 1),
      },
      'starting',
    ],
    [
      'failed and was called off before it went on',
      { marks: [queued, claimed(0), queued, asked], journal: journal(0, 'failed'), lease: undefined },
      'failed',
    ],
    ['was started by hand', { marks: [], journal: journal(0), lease: lease('trainer', 'alive', 0) }, 'running'],
    ['lost the mark of its making, as in a power cut', { marks: [], journal: undefined, lease: undefined }, 'queued'],
    ['lost its marks', { marks: [], journal: journal(1, 'finished'), lease: undefined }, 'finished'],
  ])('that %s', (_, facts, state) => {
    expect(deriveState(facts).state).toBe(state);
  });

  it('says why', () => {
    expect(
      deriveState({ marks: [queued, claimed(0), interrupted], journal: journal(0), lease: undefined }).reason,
    ).toBe('the power went');
    expect(deriveState({ marks: [queued, claimed(0)], journal: journal(0, 'failed'), lease: undefined }).reason).toBe(
      'NaN',
    );
  });

  const anyMark = fc.oneof(fc.constant(queued), fc.nat(2).map(claimed), fc.constant(asked), fc.constant(interrupted));
  const anyFacts: fc.Arbitrary<RunFacts> = fc.record({
    marks: fc.array(anyMark, { maxLength: 8 }),
    journal: fc.option(
      fc.tuple(fc.nat(2), fc.constantFrom(undefined, 'finished', 'stopped', 'failed')).map(([s, t]) => journal(s, t)),
      { nil: undefined },
    ),
    lease: fc.option(
      fc
        .tuple(fc.constantFrom('supervisor', 'trainer'), fc.constantFrom('alive', 'dead', 'other-host'), fc.nat(2))
        .map(([r, s, n]) => lease(r, s, n)),
      { nil: undefined },
    ),
  });

  it('obeys its laws whatever the files hold', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const status = deriveState(facts);
        const alive = facts.lease !== undefined && facts.lease.state !== 'dead';
        // Nothing is taken for running that nobody runs, and nothing for interrupted that somebody runs.
        if (status.state === 'running' || status.state === 'starting') expect(alive).toBe(true);
        if (status.brokeOff || canResume(status)) expect(alive && facts.journal?.terminal === undefined).toBe(false);
        // Queued again it waits, whatever was before.
        if (!alive)
          expect(deriveState({ ...facts, marks: [...facts.marks, queued], lease: undefined }).state).toBe('queued');
        // Tags and stars change nothing.
        expect(deriveState({ ...facts, marks: [...facts.marks, { type: 'star', time: 0, on: true }] })).toEqual(status);
      }),
      { numRuns: 2000 },
    );
  });
});

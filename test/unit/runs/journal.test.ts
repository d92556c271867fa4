import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JournalEvent, Unstamped } from '../../../src/runs/events.ts';
import {
  eventsBackward,
  followJournal,
  journalChunks,
  journalCursor,
  journalEnd,
  journalFile,
  journalStart,
  nextSegment,
  openJournal,
  readJournal,
} from '../../../src/runs/journal.ts';
import { temporaryFolder } from '../../support/runs.ts';

const stepEvent = (step: number, loss = 0.5): Unstamped => ({
  type: 'step',
  step,
  epoch: step / 10,
  loss,
  learningRate: 1e-3,
  gradientNorm: 1,
  examplesPerSecond: 10,
  tokensPerSecond: 100,
});
const log = (message: string): Unstamped => ({ type: 'log', level: 'info', message });

function allEvents(folder: string): readonly JournalEvent[] {
  return [...journalChunks(folder)].flatMap(({ events }) => events);
}

function messages(events: readonly JournalEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === 'log' ? [event.message] : []));
}

describe('writing', () => {
  it('stamps events with segment, a gapless sequence and the time', () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder, { now: () => 42 });
    journal.append(log('a'));
    journal.append(stepEvent(1));
    journal.append(log('b'));
    journal.close();
    expect(allEvents(folder).map(({ segment, seq, time }) => [segment, seq, time])).toEqual([
      [0, 0, 42],
      [0, 1, 42],
      [0, 2, 42],
    ]);
    expect(statSync(journalFile(folder)).size).toBe(journal.offset());
  });

  it('writes NaN and infinities as null, and refuses an event that could not be read again', () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    journal.append(stepEvent(1, NaN));
    journal.append(stepEvent(2, Infinity));
    expect(() => journal.append({ ...stepEvent(3), learningRate: NaN } as Unstamped)).toThrow(/learningRate/);
    journal.append(stepEvent(3));
    journal.close();
    expect(allEvents(folder).map((event) => [event.seq, event.type === 'step' ? event.loss : undefined])).toEqual([
      [0, null],
      [1, null],
      [2, 0.5],
    ]);
  });

  it('begins each life with the next segment', () => {
    const folder = temporaryFolder();
    for (const segment of [0, 1, 2]) {
      expect(nextSegment(folder)).toBe(segment);
      const journal = openJournal(folder);
      expect(journal.segment).toBe(segment);
      journal.append(log(`${segment}`));
      journal.close();
    }
    expect(allEvents(folder).map(({ segment, seq }) => [segment, seq])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
  });

  it('refuses events once it is closed', () => {
    const journal = openJournal(temporaryFolder());
    journal.close();
    journal.close();
    expect(() => journal.append(log('late'))).toThrow('closed');
  });
});

describe('batches', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('of steps wait at most as long as they may, and come before whatever follows them', () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder, { batchMs: 250 });
    const written = () => allEvents(folder).length;
    journal.append(stepEvent(1));
    expect(written()).toBe(1);
    journal.append(stepEvent(2));
    journal.append(stepEvent(3));
    expect(written()).toBe(1);
    vi.advanceTimersByTime(249);
    expect(written()).toBe(1);
    vi.advanceTimersByTime(1);
    expect(written()).toBe(3);
    journal.append(stepEvent(4));
    journal.append(log('now'));
    expect(allEvents(folder).map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4]);
    journal.append(stepEvent(5));
    journal.close();
    expect(written()).toBe(6);
  });
});

describe('torn ends', () => {
  it('are left alone by readers, and healed by the next segment on a line of its own', () => {
    const folder = temporaryFolder();
    const first = openJournal(folder);
    first.append(log('whole'));
    first.append(log('torn'));
    first.close();
    const { size } = statSync(journalFile(folder));
    truncateSync(journalFile(folder), size - 5);
    const before = readJournal(folder);
    expect(messages(before.events)).toEqual(['whole']);
    expect(before.problems).toEqual([]);

    const second = openJournal(folder);
    second.append(log('after'));
    second.close();
    const after = readJournal(folder, before.cursor);
    expect(messages(after.events)).toEqual(['after']);
    expect(after.events[0]).toMatchObject({ segment: 1, seq: 0 });
    expect(after.problems).toMatchObject([
      { line: 2, file: journalFile(folder), message: expect.stringContaining('not JSON') as string },
    ]);
  });

  it('that lack nothing but the line break count as written', () => {
    const folder = temporaryFolder();
    const first = openJournal(folder);
    first.append(log('kept'));
    first.close();
    truncateSync(journalFile(folder), statSync(journalFile(folder)).size - 1);
    expect(nextSegment(folder)).toBe(1);
    openJournal(folder).close();
    const { events, problems } = readJournal(folder);
    expect(messages(events)).toEqual(['kept']);
    expect(problems).toEqual([]);
  });
});

describe('reading', () => {
  it('goes on behind the last whole line, whatever the lines before it say', () => {
    const folder = temporaryFolder();
    expect(journalCursor(folder)).toEqual(journalStart);
    const journal = openJournal(folder);
    journal.append(log('before'));
    appendFileSync(journalFile(folder), 'no event\n\n');
    expect(journalCursor(folder)).toEqual(readJournal(folder).cursor);
    appendFileSync(journalFile(folder), '{"torn');
    const cursor = journalCursor(folder);
    expect(cursor).toEqual(readJournal(folder).cursor);
    expect(cursor.line).toBe(4);
    appendFileSync(journalFile(folder), '\n');
    journal.append(log('after'));
    journal.close();
    expect(messages(readJournal(folder, cursor).events)).toEqual(['after']);
  });

  it('takes a missing journal for an empty one', () => {
    expect(readJournal(temporaryFolder())).toEqual({ events: [], problems: [], cursor: journalStart, more: false });
  });

  it('reports malformed lines with their number and goes on', () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    journal.append(log('a'));
    journal.close();
    appendFileSync(
      journalFile(folder),
      'garbage\n\n{"type":"step","segment":0,"seq":1,"time":0}\n{"type":"new-kind"}\n\u0000\u0000\n',
    );
    const again = openJournal(folder);
    again.append(log('z'));
    again.close();
    const { events, problems } = readJournal(folder);
    expect(messages(events)).toEqual(['a', 'z']);
    expect(problems.map(({ line }) => line)).toEqual([2, 4, 5, 6]);
  });

  it('says when a journal became shorter, and does not move', () => {
    const folder = temporaryFolder();
    writeFileSync(journalFile(folder), '');
    const chunk = readJournal(folder, { offset: 10, line: 3 });
    expect(chunk.cursor).toEqual({ offset: 10, line: 3 });
    expect(chunk.problems).toMatchObject([{ line: 3, message: expect.stringContaining('shorter') as string }]);
  });

  it('gives the same events in whatever portions, and backwards', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 300 }),
        (texts, atMost) => {
          const folder = temporaryFolder();
          const journal = openJournal(folder);
          for (const text of texts) journal.append(log(text));
          journal.close();
          const portions: JournalEvent[] = [];
          let cursor = journalStart;
          for (let more = true; more;) {
            const chunk = readJournal(folder, cursor, { atMost });
            portions.push(...chunk.events);
            ({ cursor, more } = chunk);
          }
          expect(messages(portions)).toEqual(texts);
          expect(messages([...eventsBackward(folder, atMost)].reverse())).toEqual(texts);
          expect(cursor).toEqual({ offset: journal.offset(), line: texts.length + 1 });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('follows what is being written', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    journal.append(log('0'));
    const seen: string[] = [];
    const abort = new AbortController();
    for await (const { events } of followJournal(folder, { pollMs: 1, signal: abort.signal })) {
      seen.push(...messages(events));
      if (seen.length === 5) abort.abort();
      else journal.append(log(`${seen.length}`));
    }
    journal.close();
    expect(seen).toEqual(['0', '1', '2', '3', '4']);
  });

  it('is read to its end once more when following ends', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    journal.append(log('0'));
    const abort = new AbortController();
    const seen: string[] = [];
    for await (const { events } of followJournal(folder, { pollMs: 60_000, signal: abort.signal })) {
      seen.push(...messages(events));
      if (abort.signal.aborted) continue;
      // While the reader waits for more.
      setTimeout(() => {
        journal.append(log('the last words'));
        journal.close();
        abort.abort();
      }, 10);
    }
    expect(seen).toEqual(['0', 'the last words']);
  });

  it('finds how the last segment stands from its end alone', () => {
    const folder = temporaryFolder();
    expect(journalEnd(folder)).toBeUndefined();
    const journal = openJournal(folder, { now: () => 7 });
    journal.append(log('loading'));
    expect(journalEnd(folder)).toEqual({ segment: 0, began: false, terminal: undefined, time: 7 });
    journal.append(stepEvent(1));
    journal.append(log('still here'));
    expect(journalEnd(folder)).toEqual({ segment: 0, began: true, terminal: undefined, time: 7 });
    journal.append({ type: 'stopped', step: 1 });
    journal.close();
    expect(journalEnd(folder)).toMatchObject({ segment: 0, terminal: { type: 'stopped', step: 1 } });
    const next = openJournal(folder);
    next.append(log('again'));
    next.close();
    expect(journalEnd(folder)).toMatchObject({ segment: 1, began: false, terminal: undefined });
    expect(readFileSync(journalFile(folder), 'utf8').split('\n')).toHaveLength(6);
  });
});

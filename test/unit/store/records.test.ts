import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isUnreadable, readJournalLine, readMarkLine } from '../../../src/store/records.ts';
import { journalArbitrary, rubbishArbitrary } from './workspace.ts';

function problemOf(value: unknown): string | undefined {
  const record = readJournalLine(typeof value === 'string' ? value : JSON.stringify(value));
  return isUnreadable(record) ? record.problem : undefined;
}

const stamp = { segment: 0, seq: 3, time: 1 };

describe('reading lines', () => {
  it('reads every event that the trainer writes', () => {
    fc.assert(
      fc.property(journalArbitrary, (events) => {
        for (const event of events) {
          const { segment, seq, time, type } = event;
          expect(readJournalLine(JSON.stringify(event))).toMatchObject({ segment, seq, time, type });
        }
      }),
      { numRuns: 30 },
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(rubbishArbitrary, (text) => {
        expect(readJournalLine(text).type).toBeTypeOf('string');
        expect(readMarkLine(text).type).toBeTypeOf('string');
      }),
    );
    expect(problemOf(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toBe('not a JSON object');
  });

  it('keeps every number of a step by name, and null for what JSON cannot say', () => {
    const text =
      '{"segment":0,"seq":3,"time":1,"type":"step","step":2,"epoch":0.5,"loss":1e999,"epsilon":1.5,"note":"x","list":[1],"remainingMs":9}';
    expect(readJournalLine(text)).toEqual({
      ...stamp,
      type: 'step',
      step: 2,
      epoch: 0.5,
      values: [
        ['loss', null],
        ['epsilon', 1.5],
      ],
      remainingMs: 9,
    });
  });

  it('forgives what no query needs', () => {
    expect(readJournalLine(JSON.stringify({ ...stamp, type: 'finished', reason: 'a new reason' }))).toMatchObject({
      type: 'finished',
    });
    expect(
      readJournalLine(JSON.stringify({ ...stamp, type: 'started', fromStep: 1, parameters: 'many' })),
    ).toMatchObject({
      fromStep: 1,
      parameters: null,
      provider: null,
    });
    expect(
      readJournalLine(
        JSON.stringify({ ...stamp, type: 'evaluation', step: 0, split: 'dev', metrics: { f1: 'high', mcc: 1 } }),
      ),
    ).toMatchObject({
      metrics: { mcc: 1 },
      best: false,
    });
  });

  it('says what is wrong with a line', () => {
    expect(problemOf('{"segment":0,')).toBe('not a JSON object');
    expect(problemOf([1])).toBe('not a JSON object');
    expect(problemOf({ ...stamp, segment: 0.5 })).toContain('"segment"');
    expect(problemOf({ ...stamp, seq: -1 })).toContain('"seq"');
    expect(problemOf({ ...stamp, time: 'now' })).toContain('"time"');
    expect(problemOf({ ...stamp, type: 'invented' })).toContain('"type"');
    expect(problemOf({ ...stamp, type: 'step' })).toContain('"step"');
    expect(problemOf({ ...stamp, type: 'started', fromStep: 'one' })).toContain('"fromStep"');
    expect(problemOf({ ...stamp, type: 'evaluation', step: 1, metrics: {} })).toContain('"split"');
    expect(problemOf({ ...stamp, type: 'evaluation', step: 1, split: 'dev' })).toContain('"metrics"');
    expect(problemOf({ ...stamp, type: 'checkpoint', step: 1 })).toContain('"path"');
    expect(problemOf({ ...stamp, type: 'log' })).toContain('"message"');
  });

  it('keeps marks of unknown types', () => {
    expect(readMarkLine('{"type":"applauded","time":7,"by":"everyone"}')).toEqual({
      type: 'applauded',
      time: 7,
      members: { type: 'applauded', time: 7, by: 'everyone' },
    });
    expect(isUnreadable(readMarkLine('{"time":7}'))).toBe(true);
  });
});

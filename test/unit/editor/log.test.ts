import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { logText } from '../../../src/editor/core/log-text.ts';
import { logReader, runLogs } from '../../../src/editor/worker/run-log.ts';
import { journalFile, openJournal, type Journal } from '../../../src/runs/journal.ts';
import { temporaryFolder } from '../../support/runs.ts';

function tell(journal: Journal, ...messages: readonly string[]): void {
  for (const message of messages) journal.append({ type: 'log', level: 'info', message });
}

/** What a log tells, without the times. */
function told(text: string): readonly string[] {
  return text.split('\n').map((line) => line.replace(/^\S+Z {2}info: /, ''));
}

describe('the log of a run that goes on', () => {
  it('is read from where the last look ended', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    tell(journal, 'a', 'b');
    const read = logReader(folder);
    expect(told((await read()).text)).toEqual(['a', 'b']);
    // Whoever read the beginning again would find it changed.
    const bytes = readFileSync(journalFile(folder), 'utf8');
    writeFileSync(journalFile(folder), bytes.replace('"a"', '"X"'));
    tell(journal, 'c');
    expect(told((await read()).text)).toEqual(['a', 'b', 'c']);
    expect(told((await logReader(folder)()).text)).toEqual(['X', 'b', 'c']);
    journal.close();
  });

  it('is the same at every moment as one that is read at once', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    const read = logReader(folder);
    expect((await read()).text).toBe('');
    for (let number = 0; number < 20; number++) {
      tell(journal, `${number}\nand more`, 'again');
      expect(await read()).toEqual(await logReader(folder)());
    }
    expect(told((await read()).text).slice(0, 3)).toEqual(['0', '  and more', 'again']);
    journal.close();
  });

  it('is read anew when the journal became shorter', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    tell(journal, 'a');
    const kept = journal.offset();
    tell(journal, 'b');
    const read = logReader(folder);
    expect(told((await read()).text)).toEqual(['a', 'b']);
    truncateSync(journalFile(folder), kept);
    expect(told((await read()).text)).toEqual(['a']);
    tell(journal, 'c');
    expect(told((await read()).text)).toEqual(['a', 'c']);
    journal.close();
  });

  it('of a long run lets others have their turn, and is told once to all who ask together', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    tell(journal, ...Array.from({ length: 300 }, (_, index) => `${index} ${'x'.repeat(5000)}`));
    journal.close();
    const read = runLogs();
    let turns = 0;
    let isRead = false;
    const count = async (): Promise<void> => {
      while (!isRead) {
        await nextTurn();
        turns++;
      }
    };
    const counting = count();
    const both = await Promise.all([read(folder), read(folder)]);
    isRead = true;
    await counting;
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(both.map(({ text }) => text.split('\n').length)).toEqual([300, 300]);
  });

  it('ends with what was written to stderr, as far as that is worth showing', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'stderr.log'), `${'old\n'.repeat(20_000)}the end\n`);
    const { errors } = await logReader(folder)();
    expect(errors).toMatch(/the end$/);
    expect(errors.length).toBeLessThan(25_000);
  });
});

describe('a log as a document', () => {
  const log = { text: 'one\ntwo', state: 'running', reason: undefined, errors: '' } as const;

  it('holds what was told, and why it broke off', () => {
    expect(logText(log)).toBe('one\ntwo\n');
    expect(logText({ ...log, state: 'interrupted', reason: 'the power went', errors: 'oh\nno' })).toBe(
      'one\ntwo\nInterrupted: the power went\n\nThe end of what it wrote to stderr:\noh\nno\n',
    );
    // Of a failure the journal has told.
    expect(logText({ ...log, state: 'failed', reason: 'no memory' })).toBe('one\ntwo\n');
    expect(logText({ ...log, text: '', state: 'queued' })).toBe(
      'The run is queued; its trainer has told nothing yet.\n',
    );
  });
});

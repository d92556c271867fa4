import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { eventText, stepSieve } from '../../runs/event-text.ts';
import type { JournalEvent } from '../../runs/events.ts';
import { readTail } from '../../runs/files.ts';
import { journalStart, readJournal } from '../../runs/journal.ts';
import { runState } from '../../runs/run-state.ts';
import type { RunLog } from './operations.ts';

/** The logs of runs, read as far as they have grown. */

const shownSteps = 100;
const longestLog = 20_000;
const longestErrors = 20_000;

/** Bytes of a journal that are read before others get their turn: some milliseconds of work. */
const portion = 256 << 10;

/** The lines of a log that have been told so far. */
interface Told {
  /** @returns whether it made a line */
  readonly add: (event: JournalEvent) => boolean;
  readonly text: () => string;
}

function nothingTold(): Told {
  const lines: string[] = [];
  const isShown = stepSieve(shownSteps);
  return {
    add(event) {
      const text = isShown(event) ? eventText(event) : undefined;
      if (text === undefined) return false;
      // What a log tells may span lines; those after the first are indented, so that none can pass for another event.
      lines.push(`${new Date(event.time).toISOString()}  ${text.replaceAll(/\r?\n/g, '\n  ')}`);
      if (lines.length > longestLog) lines.splice(0, longestLog / 2);
      return true;
    },
    text: () => lines.join('\n'),
  };
}

/** Reads a run's log again and again, each time only what was written since. @param folder the run's */
export function logReader(folder: string): () => Promise<RunLog> {
  let cursor = journalStart;
  let told = nothingTold();
  let text = '';
  let last: Promise<unknown> = Promise.resolve();

  async function read(): Promise<RunLog> {
    let hasMore: boolean;
    let hasGrown = false;
    do {
      const chunk = readJournal(folder, cursor, { atMost: portion });
      const hasAdvanced = chunk.cursor.offset > cursor.offset;
      // A full disk makes a trainer take back what it wrote last.
      const isShorter = !hasAdvanced && chunk.problems.length > 0;
      if (isShorter) told = nothingTold();
      cursor = isShorter ? journalStart : chunk.cursor;
      for (const event of chunk.events) hasGrown = told.add(event) || hasGrown;
      hasGrown ||= isShorter;
      hasMore = isShorter || (hasAdvanced && chunk.more);
      if (hasMore) await nextTurn();
    } while (hasMore);
    if (hasGrown) text = told.text();
    const { state, reason } = runState(folder);
    const errors = readTail(join(folder, 'stderr.log'), longestErrors)?.trim() ?? '';
    return { text, state, reason, errors };
  }

  return () => {
    // One after the other: two at once would both take what is new.
    const next = last.then(read);
    last = next.catch(() => undefined);
    return next;
  };
}

/** So many logs are kept: a person looks at one or two, and forgets to close a few. */
const keptReaders = 4;

/** Logs by the folders of their runs; those that were looked at last are only read on. */
export function runLogs(): (folder: string) => Promise<RunLog> {
  const readers = new Map<string, () => Promise<RunLog>>();
  return (folder) => {
    const reader = readers.get(folder) ?? logReader(folder);
    readers.delete(folder);
    readers.set(folder, reader);
    for (const other of [...readers.keys()].slice(0, -keptReaders)) readers.delete(other);
    return reader();
  };
}

import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { dotted } from './configuration-problems.ts';
import { journalEvent } from './events.ts';
import type { JournalEvent, Unstamped } from './events.ts';
import { asDiskFull, openIfThere, parseJson, readBytes, writeFully } from './files.ts';

/** Where a run's events are, a line each. */
export function journalFile(folder: string): string {
  return join(folder, 'journal.jsonl');
}

export type TerminalEvent = Extract<JournalEvent, { type: 'finished' | 'stopped' | 'failed' }>;

/** Whether a segment ends with this event. */
export function isTerminal(event: JournalEvent): event is TerminalEvent {
  return event.type === 'finished' || event.type === 'stopped' || event.type === 'failed';
}

// Reading

/** Where a reader stands: everything before `offset`, the beginning of line `line` (from 1), is read. */
export interface JournalCursor {
  readonly offset: number;
  readonly line: number;
}

export const journalStart: JournalCursor = { offset: 0, line: 1 };

/** A line that is not an event. It is reported and passed over. */
export interface JournalProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface JournalChunk {
  readonly events: readonly JournalEvent[];
  readonly problems: readonly JournalProblem[];
  /** From where to read on. */
  readonly cursor: JournalCursor;
  /** Whether more complete lines were there when this was read. */
  readonly more: boolean;
}

const newline = 0x0a;

function parseLine(text: string): JournalEvent | string {
  const value = parseJson(text);
  if (value === undefined) return 'not JSON; a write may have been cut off here';
  const parsed = journalEvent.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = dotted((issue?.path ?? []).map((key) => (typeof key === 'symbol' ? String(key) : key)));
  return `not an event that this version knows: ${place === '' ? '' : `${place}: `}${issue?.message ?? ''}`;
}

/**
 * Reads the complete lines of a journal from a cursor on, about `atMost` bytes of them. A last line without its end is left for later.
 * A missing journal is an empty one; malformed lines are reported, never fatal.
 */
export function readJournal(
  folder: string,
  cursor: JournalCursor = journalStart,
  { atMost = 4 << 20 }: { readonly atMost?: number } = {},
): JournalChunk {
  const file = journalFile(folder);
  const nothing: JournalChunk = { events: [], problems: [], cursor, more: false };
  const descriptor = openIfThere(file);
  if (descriptor === undefined) return nothing;
  try {
    const { size } = fstatSync(descriptor);
    if (size < cursor.offset) {
      const message = `the journal is shorter (${size} bytes) than what was read of it (${cursor.offset})`;
      return { ...nothing, problems: [{ file, line: cursor.line, message }] };
    }
    const available = size - cursor.offset;
    let wanted = Math.min(atMost, available);
    let bytes = readBytes(descriptor, cursor.offset, wanted);
    // A line longer than a whole portion is read in greater ones. Fewer bytes than asked for: the file was cut off meanwhile.
    while (bytes.lastIndexOf(newline) < 0 && bytes.length === wanted && wanted < available) {
      wanted = Math.min(wanted * 4, available);
      bytes = readBytes(descriptor, cursor.offset, wanted);
    }
    return { ...parseLines(file, bytes, cursor), more: bytes.length === wanted && wanted < available };
  } finally {
    closeSync(descriptor);
  }
}

function parseLines(file: string, bytes: Buffer, cursor: JournalCursor): Omit<JournalChunk, 'more'> {
  const events: JournalEvent[] = [];
  const problems: JournalProblem[] = [];
  let start = 0;
  let line = cursor.line;
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
    if (end > start) {
      const parsed = parseLine(bytes.toString('utf8', start, end));
      if (typeof parsed === 'string') problems.push({ file, line, message: parsed });
      else events.push(parsed);
    }
    start = end + 1;
    line++;
  }
  return { events, problems, cursor: { offset: cursor.offset + start, line } };
}

/** All of a journal, portion by portion. */
export function* journalChunks(
  folder: string,
  from: JournalCursor = journalStart,
): Generator<JournalChunk, void, void> {
  for (let cursor = from; ;) {
    const chunk = readJournal(folder, cursor);
    if (chunk.events.length > 0 || chunk.problems.length > 0) yield chunk;
    if (!chunk.more || chunk.cursor.offset === cursor.offset) return;
    cursor = chunk.cursor;
  }
}

/** Behind the last whole line of a journal as it is now: where following what comes begins. What the lines say is not read. */
export function journalCursor(folder: string): JournalCursor {
  const descriptor = openIfThere(journalFile(folder));
  if (descriptor === undefined) return journalStart;
  try {
    let { offset, line } = journalStart;
    const { size } = fstatSync(descriptor);
    for (let at = 0; at < size;) {
      const bytes = readBytes(descriptor, at, Math.min(size - at, 4 << 20));
      if (bytes.length === 0) break;
      for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, end + 1)) {
        offset = at + end + 1;
        line++;
      }
      at += bytes.length;
    }
    return { offset, line };
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Yields portions of a journal as they are written, until the consumer ends it, or `signal`: then once more with what was written until
 * then.
 */
export async function* followJournal(
  folder: string,
  options: { readonly from?: JournalCursor; readonly pollMs?: number; readonly signal?: AbortSignal } = {},
): AsyncGenerator<JournalChunk, void, void> {
  const { from = journalStart, pollMs = 200, signal } = options;
  for (let cursor = from; ;) {
    // Asked before reading: what was there at the abort is then read.
    const isLast = signal?.aborted === true;
    const chunk = readJournal(folder, cursor);
    if (chunk.cursor.offset > cursor.offset) {
      cursor = chunk.cursor;
      yield chunk;
    }
    if (chunk.more) continue;
    if (isLast) return;
    // An abort ends the wait, not the reading.
    await delay(pollMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}

/** The events of a journal from its end to its beginning, reading only as far as the consumer asks. An unended but whole last line counts. */
export function* eventsBackward(folder: string, portion = 64 << 10): Generator<JournalEvent, void, void> {
  const descriptor = openIfThere(journalFile(folder));
  if (descriptor === undefined) return;
  try {
    let position = fstatSync(descriptor).size;
    let rest = Buffer.alloc(0);
    while (position > 0) {
      const length = Math.min(portion, position);
      position -= length;
      let bytes = Buffer.concat([readBytes(descriptor, position, length), rest]);
      for (let end = bytes.lastIndexOf(newline); end >= 0; end = bytes.lastIndexOf(newline)) {
        const parsed = parseLine(bytes.toString('utf8', end + 1));
        if (typeof parsed !== 'string') yield parsed;
        bytes = bytes.subarray(0, end);
      }
      rest = bytes;
    }
    const parsed = parseLine(rest.toString('utf8'));
    if (typeof parsed !== 'string') yield parsed;
  } finally {
    closeSync(descriptor);
  }
}

/** The segment that the next start of the run writes. */
export function nextSegment(folder: string): number {
  for (const { segment } of eventsBackward(folder)) return segment + 1;
  return 0;
}

/** How far the last segment of a journal came. */
export interface JournalEnd {
  readonly segment: number;
  /** Whether training began in it: an event beyond logs was written. */
  readonly began: boolean;
  readonly terminal: TerminalEvent | undefined;
  /** Of the last event. */
  readonly time: number;
}

/** Reads only the end of a journal. Nothing when it holds no event. */
export function journalEnd(folder: string): JournalEnd | undefined {
  let last: JournalEvent | undefined;
  for (const event of eventsBackward(folder)) {
    last ??= event;
    if (event.segment !== last.segment) break;
    if (isTerminal(event)) return { segment: event.segment, began: true, terminal: event, time: last.time };
    if (event.type === 'log' || event.type === 'resources') continue;
    return { segment: event.segment, began: true, terminal: undefined, time: last.time };
  }
  return last === undefined ? undefined : { segment: last.segment, began: false, terminal: undefined, time: last.time };
}

// Writing

export interface JournalOptions {
  readonly segment?: number;
  readonly now?: () => number;
  /** Step events wait at most so long to be written together. */
  readonly batchMs?: number;
  /** Everything is on the disk itself at most so long after it was written. */
  readonly syncMs?: number;
}

export interface Journal {
  readonly segment: number;
  /**
   * Stamps an event and writes it: at once, but for step events, of which several are written together. Evaluations, checkpoints and
   * ends are on the disk itself when this returns.
   * @throws DiskFullError also for a batch that could not be written since the last call. Nothing is dropped: what could not be written
   * goes first when the next call finds room.
   */
  append(event: Unstamped): JournalEvent;
  /** Writes what waits, to the disk itself. @throws DiskFullError */
  flush(): void;
  /** Bytes of the journal that are written. */
  offset(): number;
  /** Flushes and closes. @throws DiskFullError */
  close(): void;
}

/**
 * Opens a run's journal for a new segment. A last line that a crash tore is closed, so that the segment begins on a line of its own.
 * Only the holder of the run's lease may do this.
 * @throws DiskFullError
 */
export function openJournal(folder: string, options: JournalOptions = {}): Journal {
  const { now = Date.now, batchMs = 250, syncMs = 5000 } = options;
  const file = journalFile(folder);
  const segment = options.segment ?? nextSegment(folder);
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'a+');
  } catch (error) {
    throw asDiskFull(error, file);
  }
  let written = fstatSync(descriptor).size;
  let seq = 0;
  /** Lines that are not in the file. A torn last line is closed by the first of them. */
  let waiting: string[] = written > 0 && readBytes(descriptor, written - 1, 1)[0] !== newline ? ['\n'] : [];
  let unsynced = false;
  let lastSync = now();
  let lastWrite = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  let failure: Error | undefined;

  function write(): void {
    if (descriptor === undefined || waiting.length === 0) return;
    clearTimeout(timer);
    timer = undefined;
    const bytes = Buffer.from(waiting.join(''));
    try {
      writeFully(descriptor, bytes);
    } catch (error) {
      // A part may have found room. Taken back, it leaves the file as it was; a reader that saw its whole lines will find the same
      // bytes there again, since all of it is still waiting, in the same order.
      takeBack(descriptor);
      throw asDiskFull(error, file);
    }
    waiting = [];
    written += bytes.length;
    unsynced = true;
    lastWrite = now();
  }

  function takeBack(open: number): void {
    try {
      ftruncateSync(open, written);
    } catch {
      // Windows cannot shorten what is open for appending. Repeated events are harmless: readers know them by segment and seq.
      written = fstatSync(open).size;
      if (waiting[0] !== '\n') waiting.unshift('\n');
    }
  }

  function sync(): void {
    if (descriptor === undefined || !unsynced) return;
    try {
      fdatasyncSync(descriptor);
    } catch (error) {
      throw asDiskFull(error, file);
    }
    unsynced = false;
    lastSync = now();
  }

  function writeLater(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      try {
        write();
        if (now() - lastSync >= syncMs) sync();
      } catch (error) {
        // There is no one to catch it here; the next call throws it.
        failure = error instanceof Error ? error : new Error(String(error));
      }
    }, batchMs).unref();
  }

  function rethrow(): void {
    if (failure === undefined) return;
    const error = failure;
    failure = undefined;
    throw error;
  }

  function append(unstamped: Unstamped): JournalEvent {
    if (descriptor === undefined) throw new Error('the journal is closed');
    const event = { segment, seq, time: now(), ...unstamped };
    const line = JSON.stringify(event); // NaN and infinities become null.
    const readable = parseLine(line);
    if (typeof readable === 'string') throw new Error(`an event that no one could read: ${readable}: ${line}`);
    seq++;
    waiting.push(`${line}\n`);
    rethrow();
    const lasting = event.type === 'evaluation' || event.type === 'checkpoint' || isTerminal(event);
    if (event.type === 'step' && now() - lastWrite < batchMs) {
      writeLater();
      return readable;
    }
    write();
    if (lasting || now() - lastSync >= syncMs) sync();
    return readable;
  }

  function flush(): void {
    failure = undefined;
    write();
    sync();
  }

  try {
    write();
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }

  return {
    segment,
    append,
    flush,
    offset: () => written,
    close: () => {
      if (descriptor === undefined) return;
      try {
        flush();
      } finally {
        clearTimeout(timer);
        closeSync(descriptor);
        descriptor = undefined;
      }
    },
  };
}

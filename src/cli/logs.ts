import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, UserError } from '../base/errors.ts';
import { moment } from '../base/format.ts';
import { followJournal, journalChunks } from '../runs/journal.ts';
import { eventText, stepSieve } from '../runs/event-text.ts';
import type { JournalEvent } from '../runs/events.ts';
import { findRun, runFolder } from '../runs/run-folder.ts';
import { hasEnded, runState } from '../runs/run-state.ts';
import { readWorkspace, type App } from './app.ts';
import { jsonText, plainLines } from './output.ts';

export interface LogOptions {
  readonly follow: boolean;
  readonly stderr: boolean;
  /** Every step rather than some twenty of them. */
  readonly steps: boolean;
}

/** What there is of a file from `offset` on. */
function readFrom(file: string, offset: number): Buffer {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= offset) return Buffer.alloc(0);
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(Math.min(size - offset, 1 << 20));
    return buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, offset));
  } finally {
    closeSync(descriptor);
  }
}

function isOver(folder: string): boolean {
  const status = runState(folder);
  return hasEnded(status) && (status.holder === 'none' || status.holder === 'dead');
}

/** Prints what the trainer wrote to its stderr, as it was written but for what would act on a terminal. */
async function printErrors(app: App, folder: string, follow: boolean): Promise<void> {
  const file = join(folder, 'stderr.log');
  const decoder = new TextDecoder();
  for (let offset = 0; ;) {
    const over = isOver(folder);
    for (let part = readFrom(file, offset); part.length > 0; part = readFrom(file, offset)) {
      offset += part.length;
      app.terminal.out(plainLines(decoder.decode(part, { stream: true })));
    }
    if (!follow || over) return;
    await delay(300);
  }
}

/** Prints journal events as lines, of the steps only some unless all are asked for. */
function printer(app: App, options: LogOptions): (event: JournalEvent) => void {
  const isShown = options.steps ? () => true : stepSieve(20);
  return (event) => {
    if (app.json) {
      app.terminal.out(jsonText(event));
      return;
    }
    if (!isShown(event)) return;
    const text = eventText(event);
    if (text !== undefined) app.terminal.out(`${moment(event.time)}  ${plainLines(text)}\n`);
  };
}

/** `peft-lab logs RUN`: what a run's trainer told, as lines; with `--json` its journal's events, one a line. */
export async function logsCommand(app: App, text: string, options: LogOptions): Promise<number> {
  if (app.json && options.stderr)
    throw new UserError('--stderr prints text, which has no JSON', 'Leave out --json, or --stderr for the events.');
  const workspace = readWorkspace(app);
  const id = findRun(workspace, text);
  const folder = runFolder(workspace, id);
  if (options.stderr) {
    await printErrors(app, folder, options.follow);
    return 0;
  }
  const print = printer(app, options);
  let written = 0;
  let trouble: Error | undefined;
  const take = (events: readonly JournalEvent[]): void => {
    written += events.length;
    events.forEach(print);
  };
  if (options.follow) {
    const done = new AbortController();
    const watch = setInterval(() => {
      try {
        if (isOver(folder)) done.abort();
      } catch (error) {
        trouble = error instanceof Error ? error : new Error(messageOf(error));
        done.abort();
      }
    }, 300);
    try {
      for await (const { events } of followJournal(folder, { signal: done.signal })) take(events);
    } finally {
      clearInterval(watch);
    }
    if (trouble !== undefined) throw trouble;
  } else for (const { events } of journalChunks(folder)) take(events);
  const { state, reason } = runState(folder);
  if (written === 0 && !app.json) app.terminal.err(`${id} is ${state}; its trainer has told nothing yet\n`);
  if (state === 'interrupted' && !app.json)
    app.terminal.err(`interrupted: ${plainLines(reason ?? 'the trainer is gone')}\n`);
  return 0;
}

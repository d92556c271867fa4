import { cut, duration, score } from '../base/format.ts';
import type { JournalEvent, RunState } from '../runs/events.ts';
import { eventText, lossOf } from '../runs/event-text.ts';
import { followJournal, journalStart, type JournalCursor } from '../runs/journal.ts';
import { plain, plainLines, type Terminal } from './output.ts';

type EventOf<T extends JournalEvent['type']> = Extract<JournalEvent, { type: T }>;

/** What a follower has seen of a run. */
interface Seen {
  totalSteps: number;
  lastLine: number;
  best: number | undefined;
}

/** What is told of a run: all that happens, or of one among many only what went wrong and how it ended. */
export type Telling = 'everything' | 'end';

function bar(fraction: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
}

function progressLine(event: EventOf<'step'>, totalSteps: number): string {
  const rest = event.remainingMs === undefined ? '' : `  ${duration(event.remainingMs)} left`;
  return `${bar(event.step / totalSteps, 24)} ${event.step}/${totalSteps}  loss ${lossOf(event)}  ${event.examplesPerSecond.toFixed(0)} examples/s${rest}`;
}

/** An event as a line where many runs are followed; undefined for what goes as it should. */
function endText(event: JournalEvent, best: number | undefined): string | undefined {
  if (event.type === 'finished')
    return `${best === undefined ? 'finished' : `score ${score(best)}`}  ${duration(event.trainSeconds * 1000)}`;
  return event.type === 'failed' || event.type === 'stopped' || (event.type === 'log' && event.level !== 'info')
    ? eventText(event)
    : undefined;
}

/**
 * Prints a run's journal as it grows, until the run ends or `signal` aborts: a progress line redrawn in place on a terminal, one line
 * now and then elsewhere.
 */
export async function follow(
  terminal: Terminal,
  folder: string,
  { id, title }: { readonly id: string; readonly title: string },
  signal: AbortSignal,
  { from = journalStart, telling = 'everything' }: { readonly from?: JournalCursor; readonly telling?: Telling } = {},
): Promise<RunState | undefined> {
  const seen: Seen = { totalSteps: 0, lastLine: Date.now(), best: undefined };
  let ended: RunState | undefined;
  const line = (text: string): void =>
    terminal.err(`${terminal.interactive ? '\r\u001b[2K' : ''}${plain(title)}: ${plainLines(text)}\n`);
  const redraw = (text: string): void => {
    if (terminal.interactive) terminal.err(`\r\u001b[2K${cut(plain(text), Math.max(20, terminal.columns - 1))}`);
    else if (telling === 'everything' && Date.now() - seen.lastLine > 10_000) {
      seen.lastLine = Date.now();
      line(text);
    }
  };
  const show = (event: JournalEvent): void => {
    if (event.type === 'started') seen.totalSteps = event.totalSteps;
    if (event.type === 'step') {
      redraw(`${telling === 'end' ? `${title}: ` : ''}${progressLine(event, seen.totalSteps)}`);
      return;
    }
    if (event.type === 'evaluation' && event.best) seen.best = event.metrics['score'] ?? undefined;
    const text = telling === 'everything' ? eventText(event) : endText(event, seen.best);
    if (text !== undefined)
      line(event.type === 'stopped' ? `${text}; go on with: peft-lab resume ${id.slice(-6)}` : text);
    if (event.type === 'finished' || event.type === 'stopped' || event.type === 'failed') ended = event.type;
  };
  for await (const { events } of followJournal(folder, { signal, from })) {
    for (const event of events) show(event);
    if (ended !== undefined) return ended;
  }
  return ended;
}

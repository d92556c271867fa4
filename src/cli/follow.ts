import type { JournalEvent, RunState } from '../runs/events.ts';
import { followJournal, journalChunks, journalStart, type JournalCursor } from '../runs/journal.ts';
import { duration, score, type Terminal } from './output.ts';

/** What a follower has seen of a run. */
interface Seen {
  totalSteps: number;
  lastLine: number;
}

function bar(fraction: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
}

function evaluationLine(event: Extract<JournalEvent, { type: 'evaluation' }>): string {
  const metrics = Object.entries(event.metrics)
    .filter(([name]) => name !== 'score')
    .map(([name, value]) => `${name} ${score(value)}`);
  const loss = event.loss === null ? 'not finite' : event.loss.toFixed(4);
  return `epoch ${event.epoch.toFixed(2)}  ${event.split}  ${metrics.join('  ')}  loss ${loss}${event.best ? '  best' : ''}`;
}

function progressLine(event: Extract<JournalEvent, { type: 'step' }>, totalSteps: number): string {
  const rest = event.remainingMs === undefined ? '' : `  ${duration(event.remainingMs)} left`;
  return `${bar(event.step / totalSteps, 24)} ${event.step}/${totalSteps}  loss ${event.loss?.toFixed(4) ?? '-'}  ${event.examplesPerSecond.toFixed(0)} examples/s${rest}`;
}

/**
 * Prints a run's journal as it grows, until the run ends or `signal` aborts: a progress line redrawn in place on a terminal, one line
 * now and then elsewhere.
 */
export async function follow(
  terminal: Terminal,
  folder: string,
  title: string,
  signal: AbortSignal,
  from: JournalCursor = journalStart,
): Promise<RunState | undefined> {
  const seen: Seen = { totalSteps: 0, lastLine: 0 };
  let ended: RunState | undefined;
  const line = (text: string): void => terminal.err(terminal.interactive ? `\r\u001b[2K${text}\n` : `${text}\n`);
  const redraw = (text: string): void => {
    if (terminal.interactive) terminal.err(`\r\u001b[2K${text.slice(0, Math.max(20, terminal.columns - 1))}`);
    else if (Date.now() - seen.lastLine > 10_000) {
      seen.lastLine = Date.now();
      terminal.err(`${title}  ${text}\n`);
    }
  };
  const show = (event: JournalEvent): void => {
    switch (event.type) {
      case 'started': {
        seen.totalSteps = event.totalSteps;
        const { method, head } = event.parameters;
        const from = event.fromStep > 1 ? ` from step ${event.fromStep}` : '';
        line(
          `${title}: ${event.totalSteps} steps on ${event.device.provider}${from}; trains ${method.toLocaleString('en')} (method) + ${head.toLocaleString('en')} (head)`,
        );
        return;
      }
      case 'step':
        redraw(progressLine(event, seen.totalSteps));
        return;
      case 'evaluation':
        line(`${title}: ${evaluationLine(event)}`);
        return;
      case 'log':
        line(`${title}: ${event.level}: ${event.message}`);
        return;
      case 'finished':
        line(
          `${title}: ${event.reason === 'completed' ? 'finished' : 'stopped early, no gain'} after ${duration(event.trainSeconds * 1000)} of training`,
        );
        ended = 'finished';
        return;
      case 'stopped':
        line(`${title}: stopped at step ${event.step}; resume it with: peft-lab resume ${title}`);
        ended = 'stopped';
        return;
      case 'failed':
        line(`${title}: failed at step ${event.step}: ${event.message}`);
        ended = 'failed';
        return;
      case 'checkpoint':
      case 'resources':
        return;
    }
  };
  for await (const { events } of followJournal(folder, { signal, from })) {
    for (const event of events) show(event);
    if (ended !== undefined) return ended;
  }
  return ended;
}

/** The end of a journal as it is now: where following a resumed run begins. */
export function journalCursor(folder: string): JournalCursor {
  let cursor = journalStart;
  for (const chunk of journalChunks(folder)) cursor = chunk.cursor;
  return cursor;
}

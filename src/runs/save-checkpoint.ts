import { UserError } from '../base/errors.ts';
import { wishCheckpoint } from './control.ts';
import type { JournalEvent, RunState } from './events.ts';
import { followJournal, journalCursor } from './journal.ts';
import { unseenAdvice } from './queue.ts';
import { runFolder, type Workspace } from './run-folder.ts';
import { hasEnded, runState } from './run-state.ts';
import { watchSilence } from './silence.ts';

type Checkpoint = Extract<JournalEvent, { type: 'checkpoint' }>;

function cannotSave(run: string, state: RunState): UserError {
  return hasEnded({ state })
    ? new UserError(`the run ${run} has ended already: it is ${state}`)
    : new UserError(`the run ${run} has not begun, so that there is nothing to save`);
}

/**
 * Has a run write a checkpoint and go on, and waits until its journal tells of it.
 * @throws UserError when it does not train, ends before it has saved, or has a trainer that cannot be seen from here and does not answer
 */
export async function saveCheckpoint(workspace: Workspace, run: string): Promise<Checkpoint> {
  const folder = runFolder(workspace, run);
  const { state } = runState(folder);
  if (state !== 'running') throw cannotSave(run, state);
  const from = journalCursor(folder);
  wishCheckpoint(folder);
  const silence = watchSilence(folder);
  const over = new AbortController();
  const timer = setInterval(() => {
    if (silence.signal.aborted || hasEnded(runState(folder))) over.abort();
  }, 200);
  try {
    for await (const { events } of followJournal(folder, { from, signal: over.signal })) {
      const saved = events.find((event): event is Checkpoint => event.type === 'checkpoint' && event.kind === 'last');
      if (saved !== undefined) return saved;
    }
  } finally {
    clearInterval(timer);
    silence.end();
  }
  if (!silence.signal.aborted) throw cannotSave(run, runState(folder).state);
  throw new UserError(`the wish for a checkpoint of ${run} is kept, but nothing answers`, unseenAdvice(run));
}

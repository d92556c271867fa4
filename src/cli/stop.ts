import { messageOf, UserError } from '../base/errors.ts';
import { runFolder, type Workspace } from '../runs/run-folder.ts';
import { unseenAdvice } from '../runs/queue.ts';
import { runState, type RunStatus } from '../runs/run-state.ts';
import { watchSilence } from '../runs/silence.ts';
import type { Supervisor } from '../runs/supervisor.ts';
import { makeSupervisor, readWorkspace, type App } from './app.ts';
import { plainLines, printJson } from './output.ts';
import { findRuns } from './runs.ts';

interface End extends Pick<RunStatus, 'state' | 'reason'> {
  /** It has not ended: its trainer cannot be seen from here and shows no life. */
  readonly isSilent: boolean;
}

/** Waits until a run has ended, or longer than its trainer can be silent if it lives. */
async function endOf(supervisor: Supervisor, workspace: Workspace, id: string): Promise<End> {
  const folder = runFolder(workspace, id);
  const silence = watchSilence(folder);
  try {
    return { ...(await supervisor.ended(id, silence.signal)), isSilent: false };
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    const { state } = runState(folder);
    return { state, reason: `the wish to stop is kept, but nothing answers. ${unseenAdvice(id)}`, isSilent: true };
  } finally {
    silence.end();
  }
}

/**
 * `peft-lab stop RUN…`: lets runs write a checkpoint and end, and waits until they have.
 * @returns 2 when one had ended already, or its trainer cannot be seen from here and does not answer
 */
export async function stopCommand(
  app: App,
  texts: readonly string[],
  { force }: { readonly force: boolean },
): Promise<number> {
  const workspace = readWorkspace(app);
  const ids = findRuns(workspace, texts);
  // What waits goes on waiting: someone else starts it.
  const supervisor = makeSupervisor(app, workspace, { startsQueued: false });
  supervisor.start();
  const results: { id: string; state: string; reason: string | null }[] = [];
  let refused = 0;
  try {
    const asked = await Promise.all(
      ids.map(async (id) => {
        try {
          await supervisor.stop(id, { force });
          return id;
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          refused += 1;
          const { state } = runState(runFolder(workspace, id));
          if (app.json) results.push({ id, state, reason: messageOf(error) });
          else app.terminal.err(`peft-lab: ${plainLines(messageOf(error))}\n`);
          return undefined;
        }
      }),
    );
    for (const id of asked) {
      if (id === undefined) continue;
      const { state, reason, isSilent } = await endOf(supervisor, workspace, id);
      results.push({ id, state, reason: reason ?? null });
      if (isSilent) refused += 1;
      const line = `${id}  ${state}${reason === undefined ? '' : `: ${plainLines(reason)}`}\n`;
      if (!app.json) (isSilent ? app.terminal.err : app.terminal.out)(line);
    }
  } finally {
    await supervisor.close();
  }
  if (app.json) printJson(app.terminal, { runs: results });
  return refused > 0 ? 2 : 0;
}

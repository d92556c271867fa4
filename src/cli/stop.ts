import { messageOf, UserError } from '../base/errors.ts';
import { runFolder } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import { makeSupervisor, readWorkspace, type App } from './app.ts';
import { plainLines, printJson } from './output.ts';
import { findRuns } from './runs.ts';

/** `peft-lab stop RUN…`: lets runs write a checkpoint and end, and waits until they have. @returns 2 when one had ended already */
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
      const { state, reason } = await supervisor.ended(id);
      results.push({ id, state, reason: reason ?? null });
      if (!app.json) app.terminal.out(`${id}  ${state}${reason === undefined ? '' : `: ${plainLines(reason)}`}\n`);
    }
  } finally {
    await supervisor.close();
  }
  if (app.json) printJson(app.terminal, { runs: results });
  return refused > 0 ? 2 : 0;
}

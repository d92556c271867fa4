import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { removeRun } from '../runs/remove-run.ts';
import { runFolder, type Workspace } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import { readWorkspace, withStore, type App } from './app.ts';
import { printJson } from './output.ts';
import { findRuns } from './runs.ts';

/** A deletion that was cut off has taken the run away already; this takes the rest of its files. */
function removeLeftovers(workspace: Workspace): void {
  for (const name of readdirSync(workspace.runs))
    if (name.startsWith('.deleted-'))
      rmSync(join(workspace.runs, name), { recursive: true, force: true, maxRetries: 3 });
}

/** `peft-lab rm RUN…`: deletes runs with all their files. Where one of them runs, none is deleted. */
export async function removeCommand(app: App, texts: readonly string[]): Promise<number> {
  const workspace = readWorkspace(app);
  const ids = findRuns(workspace, texts);
  for (const id of ids) {
    const { state } = runState(runFolder(workspace, id));
    if (state === 'running' || state === 'starting')
      throw new UserError(`the run ${id} is ${state}`, `Stop it first: peft-lab stop ${id.slice(-6)}.`);
  }
  for (const id of ids) await removeRun(workspace, id);
  removeLeftovers(workspace);
  // The database forgets what has no folder.
  await withStore(app, () => Promise.resolve());
  if (app.json) printJson(app.terminal, { removed: ids });
  else app.terminal.out(ids.map((id) => `${id}  removed\n`).join(''));
  return 0;
}

import { removeRuns } from '../runs/remove-run.ts';
import { readWorkspace, withStore, type App } from './app.ts';
import { printJson } from './output.ts';
import { findRuns } from './runs.ts';

/** `peft-lab rm RUN…`: deletes runs with all their files. Where one of them runs, none is deleted. */
export async function removeCommand(
  app: App,
  texts: readonly string[],
  { force }: { readonly force: boolean },
): Promise<number> {
  const workspace = readWorkspace(app);
  const ids = findRuns(workspace, texts);
  await removeRuns(workspace, ids, { force });
  // The database forgets what has no folder.
  await withStore(app, () => Promise.resolve());
  if (app.json) printJson(app.terminal, { removed: ids });
  else app.terminal.out(ids.map((id) => `${id}  removed\n`).join(''));
  return 0;
}

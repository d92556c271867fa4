import { counted } from '../base/format.ts';
import type { IngestReport } from '../store/ingest.ts';
import type { Store } from '../store/store.ts';
import type { RunSummary } from '../store/summaries.ts';
import { plain, printJson } from './output.ts';
import { hasWorkspace, withStore, type App } from './app.ts';

/** What was read, and the runs of which some lines could not be. */
async function rebuilt(store: Store): Promise<IngestReport & { readonly damaged: readonly RunSummary[] }> {
  const report = await store.reindex();
  const { runs } = await store.list();
  return { ...report, damaged: runs.filter(({ diagnostics }) => diagnostics > 0) };
}

/** `peft-lab reindex`: rebuilds the database from the run folders. */
export async function reindexCommand(app: App): Promise<number> {
  const { changed, events, points, unreadable, problems, damaged } = hasWorkspace(app)
    ? await withStore(app, rebuilt)
    : { changed: [], events: 0, points: 0, unreadable: 0, problems: [], damaged: [] };
  if (app.json) {
    printJson(app.terminal, { runs: changed.length, events, points, unreadable, problems });
    return 0;
  }
  app.terminal.out(
    `${counted(changed.length, 'run')}, ${counted(events, 'event')}, ${counted(points, 'point')} read anew\n`,
  );
  for (const { id, diagnostics } of damaged)
    app.terminal.err(
      `${id}: ${counted(diagnostics, 'line')} of its files could not be read; see them with: peft-lab show ${id.slice(-6)}\n`,
    );
  for (const { run, message } of problems) app.terminal.err(`${plain(run)}: ${plain(message)}\n`);
  return 0;
}

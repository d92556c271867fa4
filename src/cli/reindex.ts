import { counted, grouped } from '../base/format.ts';
import { plain, printJson } from './output.ts';
import { hasWorkspace, withStore, type App } from './app.ts';

/** `peft-lab reindex`: rebuilds the database from the run folders. */
export async function reindexCommand(app: App): Promise<number> {
  const report = hasWorkspace(app)
    ? await withStore(app, (store) => store.reindex())
    : { changed: [], removed: [], events: 0, points: 0, unreadable: 0, problems: [] };
  if (app.json) {
    const { events, points, unreadable, problems } = report;
    printJson(app.terminal, { runs: report.changed.length, events, points, unreadable, problems });
    return 0;
  }
  const { changed, events, points, unreadable, problems } = report;
  app.terminal.out(
    `${counted(changed.length, 'run')}, ${counted(events, 'event')}, ${counted(points, 'point')} read anew${unreadable === 0 ? '' : `; ${grouped(unreadable)} lines could not be read, see peft-lab show`}\n`,
  );
  for (const { run, message } of problems) app.terminal.err(`${plain(run)}: ${plain(message)}\n`);
  return 0;
}

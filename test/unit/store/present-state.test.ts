import { expect, it } from 'vitest';
import { workspaceAt } from '../../../src/runs/run-folder.ts';
import { finish, ingest } from '../../../src/store/ingest.ts';
import { withPresentState } from '../../../src/store/present-state.ts';
import { listRuns, runPage } from '../../../src/store/listing.ts';
import { configuration, emptyDatabase, line, makeWorkspace, segmentOf, started, step } from './workspace.ts';

it('of a copy of a folder, whose name is no id, is looked up too', () => {
  const place = makeWorkspace();
  const database = emptyDatabase();
  const copy = '20261121-041512123-4f9k2a copy';
  place.write(copy, 'config.json', configuration());
  place.write(
    copy,
    'journal.jsonl',
    segmentOf(0, [started(1), step(1)])
      .map(line)
      .join(''),
  );
  finish(ingest(database, place.runsFolder));
  const states = runPage(listRuns(database)).runs.map((run) => [
    run.state,
    withPresentState(workspaceAt(place.root), run).state,
  ]);
  expect(states).toEqual([['running', 'interrupted']]);
  database.close();
  place.remove();
});

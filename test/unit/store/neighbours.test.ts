import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compareRuns, type ComparedRun } from '../../../src/analysis/comparison.ts';
import { isJsonObject } from '../../../src/analysis/json.ts';
import { renderComparison } from '../../../src/analysis/render.ts';
import type { Configuration } from '../../../src/runs/configuration-schema.ts';
import { collectEnvironment } from '../../../src/runs/environment.ts';
import { openJournal } from '../../../src/runs/journal.ts';
import { appendMarks } from '../../../src/runs/marks.ts';
import { createRun, openWorkspace, runFolder } from '../../../src/runs/run-folder.ts';
import { finish, ingest } from '../../../src/store/ingest.ts';
import { comparisonRows, type ComparisonRow } from '../../../src/store/comparison-rows.ts';
import { listRuns, runPage } from '../../../src/store/listing.ts';
import { showRun } from '../../../src/store/run-detail.ts';
import type { Database } from '../../../src/store/sqlite.ts';
import { configuration, emptyDatabase, evaluation, makeWorkspace, started, step, type Workspace } from './workspace.ts';

let place: Workspace;
let database: Database;

beforeEach(() => {
  place = makeWorkspace();
  database = emptyDatabase();
});

afterEach(() => {
  database.close();
  place.remove();
});

/** A run as the queue, a supervisor and a trainer write it. */
async function train(task: string, method: string, seed: number, score: number): Promise<string> {
  const workspace = openWorkspace(place.root);
  const environment = await collectEnvironment({
    folder: place.root,
    version: '0',
    packages: {},
    now: () => 1_700_000_000_000,
  });
  const config = configuration({ task: { id: task }, method: { id: method }, training: { seed }, tags: ['start'] });
  // The schema wants more than the store reads.
  const id = createRun(workspace, { configuration: config as unknown as Configuration, environment });
  const folder = runFolder(workspace, id);
  appendMarks(folder, [
    { type: 'claimed', segment: 0, launcher: 'local', host: 'here' },
    { type: 'tag', tag: 'mine' },
    { type: 'star', on: true },
    { type: 'note', text: 'fine' },
  ]);
  const journal = openJournal(folder);
  journal.append(started(1));
  for (let at = 1; at <= 3; at++) journal.append(step(at, NaN));
  journal.append(evaluation(3, score));
  journal.append({
    type: 'finished',
    step: 3,
    reason: 'completed',
    last: { score },
    trainSeconds: 2,
    peakResidentBytes: 5,
  });
  journal.close();
  return id;
}

function compared({ config, ...row }: ComparisonRow): ComparedRun {
  const parsed: unknown = config;
  return { ...row, config: isJsonObject(parsed) ? parsed : null };
}

describe('from the run folders to the comparison', () => {
  it('reads what the queue, the supervisor and the trainer write', async () => {
    const id = await train('sst2', 'lora', 3, 0.9);
    expect(finish(ingest(database, place.runsFolder))).toMatchObject({ changed: [id], unreadable: 0, problems: [] });
    expect(runPage(listRuns(database)).runs).toMatchObject([
      {
        id,
        state: 'finished',
        seed: 3,
        tags: ['start', 'mine'],
        note: 'fine',
        starred: true,
        score: 0.9,
        loss: null,
        createdAt: 1_700_000_000_000,
        trainSeconds: 2,
        diagnostics: 0,
      },
    ]);
    expect(showRun(database, id)?.environment).toMatchObject({ version: '0' });
  });

  it('compares what it has read', async () => {
    for (const [seed, score] of [0.9, 0.92, 0.91].entries()) await train('sst2', 'lora', seed, score);
    await train('sst2', 'slash', 0, 0.93);
    finish(ingest(database, place.runsFolder));
    expect(renderComparison(compareRuns(comparisonRows(database).map(compared)), { parameters: 'method' }))
      .toMatchInlineSnapshot(`
      "method  method parameters                sst2  seconds
      ------  -----------------  ------------------  -------
      lora               18,432  91.0 ± 2.5 (n=3) +      2.0
      slash              18,432        93.0 (n=1) *      2.0

      score in percent, at the best evaluation; n counts the runs (seeds).
      seconds is the mean training time of a run.
      ± is the half-width of the 95 % interval of the mean (Student's t).
      * best and + second best of the column.
      "
    `);
  });
});

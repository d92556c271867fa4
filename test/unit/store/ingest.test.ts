import { appendFileSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atLeast } from '../../../bin/find-node.mjs';
import type { JournalEvent, Unstamped } from '../../../src/runs/events.ts';
import { replay } from '../../../src/runs/replay.ts';
import { finish, ingest, type IngestReport } from '../../../src/store/ingest.ts';
import { curveOf } from '../../../src/store/curves.ts';
import { listRuns, runPage } from '../../../src/store/listing.ts';
import { logsOf } from '../../../src/store/logs.ts';
import { showRun } from '../../../src/store/run-detail.ts';
import type { RunSummary } from '../../../src/store/summaries.ts';
import type { Database } from '../../../src/store/sqlite.ts';
import {
  configuration,
  contentOf,
  emptyDatabase,
  evaluation,
  journalArbitrary,
  line,
  makeWorkspace,
  rubbishArbitrary,
  segmentOf,
  started,
  step,
  type Workspace,
} from './workspace.ts';

let workspace: Workspace;
let database: Database;

beforeEach(() => {
  workspace = makeWorkspace();
  database = emptyDatabase();
});

afterEach(() => {
  database.close();
  workspace.remove();
});

function read(into: Database = database, sliceBytes?: number): IngestReport {
  return finish(ingest(into, workspace.runsFolder, sliceBytes === undefined ? {} : { sliceBytes }));
}

function only(): RunSummary {
  const { runs } = runPage(listRuns(database));
  expect(runs).toHaveLength(1);
  return runs[0] as RunSummary;
}

function freshContent(): ReturnType<typeof contentOf> {
  const fresh = emptyDatabase();
  try {
    read(fresh);
    return contentOf(fresh);
  } finally {
    fresh.close();
  }
}

const journal = (events: readonly JournalEvent[]): string => events.map(line).join('');

describe('ingest', () => {
  it('reads a run from its folder', () => {
    workspace.write('r1', 'config.json', configuration({ tags: ['first'], note: 'a note' }));
    workspace.write('r1', 'environment.json', { host: 'gpu7', createdAt: 1_600_000_000_000 });
    workspace.write('r1', 'marks.jsonl', line({ type: 'star', on: true, time: 1_650_000_000_000 }));
    const events = segmentOf(0, [
      started(1, 20),
      step(1, 0.7),
      evaluation(1, 0.8),
      step(2, 0.6),
      evaluation(2, 0.9),
      evaluation(2, 0.85, false, 'dev-mismatched'),
      { type: 'resources', step: 2, residentBytes: 5e8, peakResidentBytes: 7e8 },
      step(3, null),
      evaluation(3, 0.5, false),
    ]);
    workspace.write('r1', 'journal.jsonl', journal(events));
    const report = read();
    expect(report).toMatchObject({ changed: ['r1'], removed: [], events: 9, unreadable: 0, problems: [] });
    expect(only()).toMatchObject({
      id: 'r1',
      state: 'running',
      name: 'a run',
      model: 'bert-base-uncased',
      task: 'sst2',
      method: 'lora',
      seed: 0,
      tags: ['first'],
      note: 'a note',
      starred: true,
      host: 'gpu7',
      parameters: { method: 18432, head: 1538, total: 19970, frozen: 108_310_272 },
      score: 0.9,
      bestStep: 2,
      lastScore: 0.5,
      step: 3,
      totalSteps: 20,
      epoch: 0.3,
      loss: null,
      remainingMs: 997,
      peakBytes: 7e8,
      createdAt: 1_600_000_000_000,
      provider: 'cpu',
      segments: 1,
    });
    expect(showRun(database, 'r1')).toMatchObject({
      best: { step: 2, splits: { dev: { score: 0.9 }, 'dev-mismatched': { score: 0.85 } } },
      last: { step: 3, splits: { dev: { score: 0.5 } } },
    });
    expect([...curveOf(database, { run: 'r1', metric: 'dev/accuracy' }).value]).toEqual([0.8, 0.9, 0.5]);
    expect([...curveOf(database, { run: 'r1', metric: 'loss' }).value]).toEqual([0.7, 0.6, NaN]);
  });

  it('reads nothing twice', () => {
    workspace.write('r1', 'config.json', configuration());
    workspace.write('r1', 'journal.jsonl', journal(segmentOf(0, [started(1), step(1)])));
    read();
    const before = contentOf(database);
    expect(read()).toMatchObject({ changed: [], events: 0 });
    workspace.append('r1', 'journal.jsonl', journal(segmentOf(0, [started(1), step(1), step(2)]).slice(2)));
    expect(read()).toMatchObject({ changed: ['r1'], events: 1 });
    expect(contentOf(database)).not.toEqual(before);
    expect(contentOf(database)).toEqual(freshContent());
  });

  it('waits for the end of a torn last line', () => {
    const [first = '', second = ''] = segmentOf(0, [started(1), step(1, 0.5)]).map(line);
    workspace.write('r1', 'journal.jsonl', first + second.slice(0, 40));
    expect(read()).toMatchObject({ events: 1, unreadable: 0 });
    expect(only().step).toBeNull();
    workspace.append('r1', 'journal.jsonl', second.slice(40, -1));
    expect(read()).toMatchObject({ events: 0, unreadable: 0 });
    workspace.append('r1', 'journal.jsonl', '\n');
    expect(read()).toMatchObject({ events: 1, unreadable: 0 });
    expect(only()).toMatchObject({ step: 1, loss: 0.5 });
  });

  it('keeps a diagnostic of a complete line that it cannot use, and goes on', () => {
    const [first = '', second = ''] = segmentOf(0, [started(1), step(1)]).map(line);
    workspace.write('r1', 'journal.jsonl', `${first}{"segment":0,"se\n\n${second}${second}`);
    workspace.write('r1', 'marks.jsonl', 'nonsense\n\n{"type":"tag","tag":"x","time":1}\n');
    workspace.write('r1', 'config.json', '{"name": "cut off');
    expect(read()).toMatchObject({ events: 2, unreadable: 4 });
    expect(only()).toMatchObject({ diagnostics: 4, tags: ['x'], name: null });
    const details = showRun(database, 'r1')?.diagnosticDetails;
    expect(details).toEqual([
      { file: 'config.json', position: 0, problem: 'not a JSON object', excerpt: '{"name": "cut off' },
      { file: 'journal.jsonl', position: first.length, problem: 'not a JSON object', excerpt: '{"segment":0,"se' },
      {
        file: 'journal.jsonl',
        position: expect.any(Number) as number,
        problem: 'segment 0 has an event 1 already',
        excerpt: second.trimEnd().slice(0, 200),
      },
      { file: 'marks.jsonl', position: 0, problem: 'not a JSON object', excerpt: 'nonsense' },
    ]);
    workspace.write('r1', 'config.json', configuration());
    read();
    expect(only()).toMatchObject({ diagnostics: 3, name: 'a run' });
  });

  it('never fails on what files hold', () => {
    fc.assert(
      fc.property(
        fc.array(rubbishArbitrary, { maxLength: 20 }),
        fc.integer({ min: 1, max: 200 }),
        (lines, sliceBytes) => {
          const fresh = emptyDatabase();
          for (const file of ['journal.jsonl', 'marks.jsonl', 'config.json', 'environment.json'])
            workspace.write('r1', file, lines.map((text) => `${text}\n`).join(''));
          read(fresh, sliceBytes);
          expect(runPage(listRuns(fresh)).runs).toHaveLength(1);
          showRun(fresh, 'r1');
          fresh.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('skips a line that is longer than any of ours', () => {
    const [first = '', second = ''] = segmentOf(0, [started(1), step(1)]).map(line);
    workspace.write('r1', 'journal.jsonl', `${first}{"x":"${'y'.repeat(17 * 1024 * 1024)}"}\n${second}`);
    expect(read()).toMatchObject({ events: 2, unreadable: 1 });
    // Without its end it may still become anything.
    workspace.append('r1', 'journal.jsonl', 'z'.repeat(17 * 1024 * 1024));
    expect(read()).toMatchObject({ events: 0, unreadable: 0 });
  });

  it('keeps what is stored when a line of hundreds of kilobytes is cut into slices', () => {
    const long = { type: 'log', level: 'info', message: 'ü'.repeat(300_000) } as const;
    const events = segmentOf(0, [started(1), long, step(1), long, step(2)]);
    workspace.write('r1', 'journal.jsonl', journal(events));
    expect(read(database, 1000)).toMatchObject({ events: 5, unreadable: 0 });
    expect(logsOf(database, { run: 'r1' }).map(({ message }) => message.length)).toEqual([300_000, 300_000]);
  });

  it('begins again when the journal was cut off, replaced or taken away', () => {
    const events = segmentOf(0, [started(1), step(1), step(2), step(3)]);
    workspace.write('r1', 'config.json', configuration());
    workspace.write('r1', 'journal.jsonl', journal(events));
    read();
    // Shorter than what was read.
    truncateSync(workspace.file('r1', 'journal.jsonl'), journal(events.slice(0, 2)).length);
    read();
    expect(only().step).toBe(1);
    expect(contentOf(database)).toEqual(freshContent());
    // Cut off and written on until it is longer.
    truncateSync(workspace.file('r1', 'journal.jsonl'), journal(events.slice(0, 1)).length);
    workspace.append('r1', 'journal.jsonl', journal(segmentOf(1, [started(1), step(1), step(2), step(3), step(4)])));
    read();
    expect(only()).toMatchObject({ step: 4, segments: 2 });
    expect(contentOf(database)).toEqual(freshContent());
    // Another file of the same length, in the same place.
    const replaced = journal(segmentOf(0, [started(1), step(1, 0.25)]));
    writeFileSync(workspace.file('r1', 'other'), replaced);
    renameSync(workspace.file('r1', 'other'), workspace.file('r1', 'journal.jsonl'));
    read();
    expect(only()).toMatchObject({ step: 1, loss: 0.25, segments: 1 });
    const again = replaced.replace('0.25', '0.75');
    writeFileSync(workspace.file('r1', 'journal.jsonl'), again);
    utimesSync(workspace.file('r1', 'journal.jsonl'), 1, 1);
    read();
    expect(only().loss).toBe(0.75);
    rmSync(workspace.file('r1', 'journal.jsonl'));
    read();
    expect(only()).toMatchObject({ state: 'queued', step: null, segments: 0 });
    expect(contentOf(database)).toEqual(freshContent());
  });

  it('forgets a run whose folder is gone, and all when there are none', () => {
    for (const run of ['r1', 'r2', 'r3']) workspace.write(run, 'config.json', configuration());
    read();
    rmSync(workspace.file('r2', ''), { recursive: true });
    expect(read()).toMatchObject({ removed: ['r2'], changed: [] });
    rmSync(workspace.file('r1', ''), { recursive: true });
    expect(finish(ingest(database, workspace.runsFolder, { ids: ['r1', 'r9'] }))).toMatchObject({ removed: ['r1'] });
    rmSync(workspace.runsFolder, { recursive: true });
    expect(read()).toMatchObject({ removed: ['r3'] });
    expect(contentOf(database)).toEqual(freshContent());
  });

  it('follows a run that was moved elsewhere, with a link in its place', () => {
    workspace.write('r1', 'config.json', configuration());
    read();
    renameSync(workspace.file('r1', ''), `${workspace.root}/moved`);
    symlinkSync(`${workspace.root}/moved`, workspace.file('r1', '').replace(/\/$/, ''));
    symlinkSync('nowhere', `${workspace.runsFolder}/broken`);
    expect(read()).toMatchObject({ removed: [], problems: [] });
    expect(only().id).toBe('r1');
    expect(contentOf(database)).toEqual(freshContent());
  });

  it('keeps its runs when the volume is not there', () => {
    workspace.write('r1', 'config.json', configuration());
    read();
    expect(finish(ingest(database, `${workspace.root}/elsewhere/.peft/runs`))).toMatchObject({
      removed: [],
      changed: [],
    });
    expect(only().id).toBe('r1');
  });

  it('reads only inside the folder of runs', () => {
    workspace.write('r1', 'config.json', configuration());
    const ids = ['../runs/r1', '..', '.', '', 'r1/../r1', '/etc', 'r1\0'];
    expect(finish(ingest(database, workspace.runsFolder, { ids }))).toMatchObject({ changed: [], problems: [] });
  });

  it('reports a run that cannot be read and reads the others', () => {
    workspace.write('r1', 'config.json', configuration());
    workspace.write('r2', 'config.json', configuration());
    // A file name that opens to an error: too many symbolic links.
    rmSync(workspace.file('r1', 'config.json'));
    workspace.write('r1', 'journal.jsonl', '');
    const loop = workspace.file('r1', 'config.json');
    symlinkSync('config.json', loop);
    const report = read();
    expect(report.changed).toContain('r2');
    expect(report.problems).toEqual([{ run: 'r1', message: expect.stringContaining('ELOOP') as string }]);
  });

  it('stores texts and numbers of any kind as they are', () => {
    // Node before 22.16 hands out a text only up to its first NUL.
    const nul = atLeast(process.versions.node, [22, 16]) ? '\0' : '';
    const name = `Robert"); DROP TABLE runs;-- ${nul} 🤖 \u2028`;
    workspace.write('r1', 'config.json', configuration({ name, training: { seed: 2 ** 53 } }));
    workspace.write(
      'r1',
      'journal.jsonl',
      journal(segmentOf(0, [started(1), { type: 'log', level: 'info', message: name }, step(1, -0), step(2, 5e-324)])),
    );
    read();
    expect(only()).toMatchObject({ name, seed: null, loss: 5e-324 });
    expect(logsOf(database, { run: 'r1' })[0]?.message).toBe(name);
    expect(showRun(database, 'r1')?.config).toMatchObject({ name });
  });
});

describe('segments', () => {
  it('a later one replaces the steps that it repeats', () => {
    const first = segmentOf(0, [
      started(1),
      step(1, 1),
      step(2, 2),
      evaluation(2, 0.6),
      step(3, 3),
      evaluation(3, 0.9),
      step(4, 4),
    ]);
    const second = segmentOf(1, [
      started(3),
      evaluation(2, 0.65),
      step(3, 30),
      evaluation(3, 0.7),
      step(4, 40),
      step(5, 50),
    ]);
    workspace.write('r1', 'journal.jsonl', journal([...first, ...second]));
    read();
    const curve = curveOf(database, { run: 'r1', metric: 'loss' });
    expect([...curve.step]).toEqual([1, 2, 3, 4, 5]);
    expect([...curve.value]).toEqual([1, 2, 30, 40, 50]);
    expect([...curveOf(database, { run: 'r1', metric: 'dev/score' }).value]).toEqual([0.65, 0.7]);
    expect(only()).toMatchObject({ score: 0.7, bestStep: 3, step: 5, segments: 2 });
  });

  it('a privacy loss that was spent stays spent where its steps are repeated', () => {
    const first = segmentOf(0, [
      started(1),
      { ...step(1, null), epsilon: 1.5 } as Unstamped,
      { ...step(2, null), epsilon: 2.5 } as Unstamped,
    ]);
    workspace.write('r1', 'config.json', configuration({ privacy: { epsilon: 3 } }));
    workspace.write('r1', 'journal.jsonl', journal([...first, ...segmentOf(1, [started(2)])]));
    read();
    expect(only().epsilon).toBe(2.5);
    workspace.append(
      'r1',
      'journal.jsonl',
      journal(segmentOf(1, [started(2), { ...step(2, null), epsilon: null } as Unstamped]).slice(1)),
    );
    read();
    expect(only().epsilon).toBeNull();
  });

  it('noise from a known seed promises nothing, whatever was told', () => {
    workspace.write('r1', 'config.json', configuration({ privacy: { epsilon: 3, insecureSeed: 5 } }));
    workspace.write(
      'r1',
      'journal.jsonl',
      journal(segmentOf(0, [started(1), { ...step(1, null), epsilon: 1.5 } as Unstamped])),
    );
    read();
    expect(only().epsilon).toBeNull();
  });

  it('a start that has not trained yet hides what it will repeat', () => {
    const first = segmentOf(0, [started(1), step(1), step(2), step(3), { type: 'stopped', step: 3 }]);
    workspace.write('r1', 'journal.jsonl', journal([...first, ...segmentOf(1, [started(3)])]));
    read();
    expect([...curveOf(database, { run: 'r1', metric: 'loss' }).step]).toEqual([1, 2]);
    expect(only()).toMatchObject({ state: 'running', step: 2, remainingMs: null });
  });

  it('what an old trainer still writes is hidden too', () => {
    const first = segmentOf(0, [started(1), step(1, 1), step(2, 2), step(3, 3)]);
    const second = segmentOf(1, [started(2), step(2, 20)]);
    workspace.write('r1', 'journal.jsonl', journal([...first.slice(0, 3), ...second, ...first.slice(3)]));
    read();
    expect([...curveOf(database, { run: 'r1', metric: 'loss' }).value]).toEqual([1, 20]);
    expect(only()).toMatchObject({ step: 2, loss: 20 });
  });

  it('agrees with the replay of the journal', () => {
    fc.assert(
      fc.property(journalArbitrary, (events) => {
        workspace.write('r1', 'journal.jsonl', journal(events));
        const fresh = emptyDatabase();
        read(fresh);
        const summary = replay(events);
        const curve = curveOf(fresh, { run: 'r1', metric: 'loss' });
        expect([...curve.step]).toEqual(summary.steps.map((each) => each.step));
        expect([...curve.value]).toEqual(summary.steps.map(({ loss }) => loss ?? NaN));
        const shown = showRun(fresh, 'r1');
        expect(shown?.evaluations.map((each) => [each.step, each.split, each.metrics])).toEqual(
          summary.evaluations.map((each) => [each.step, each.split, each.metrics]),
        );
        expect(shown?.state).toBe(summary.state);
        expect(shown?.bestStep).toBe(summary.best?.step ?? null);
        fresh.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe('the content does not depend on the way it was read', () => {
  const marksArbitrary = fc.array(
    fc.oneof(
      fc.record({ type: fc.constantFrom('tag', 'untag'), tag: fc.constantFrom('a', 'b', 'ü') }),
      fc.record({ type: fc.constant('note'), text: fc.string() }),
      fc.record({ type: fc.constant('star'), on: fc.boolean() }),
      fc.record({ type: fc.constantFrom('queued', 'interrupted', 'deleted', 'applauded') }),
      fc.record({ type: fc.constant('claimed'), segment: fc.nat(3), host: fc.constantFrom('a', 'b') }),
    ),
    { maxLength: 8 },
  );
  const fileArbitrary = fc
    .tuple(journalArbitrary, fc.array(fc.tuple(fc.nat(), rubbishArbitrary), { maxLength: 3 }))
    .map(([events, rubbish]) => {
      const lines = events.map((event) => JSON.stringify(event));
      for (const [place, text] of rubbish) lines.splice(place % (lines.length + 1), 0, text);
      return lines.map((text) => `${text}\n`).join('');
    });

  it('in whatever pieces the files grew, and in whatever slices they were read', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fileArbitrary, marksArbitrary), { minLength: 1, maxLength: 3 }),
        fc.array(
          fc.record({
            run: fc.nat(2),
            file: fc.boolean(),
            bytes: fc.nat(900),
            slice: fc.integer({ min: 1, max: 3000 }),
            read: fc.boolean(),
          }),
          {
            maxLength: 30,
          },
        ),
        (runs, moves) => {
          rmSync(workspace.runsFolder, { recursive: true, force: true });
          const incremental = emptyDatabase();
          const rests = runs.map(([text, marks], index) => {
            workspace.write(`run-${index}`, 'config.json', configuration({ training: { seed: index } }));
            const said = marks.map((mark, at) => line({ time: 1_700_000_000_000 + at * 50_000, ...mark })).join('');
            return { 'journal.jsonl': Buffer.from(text), 'marks.jsonl': Buffer.from(said) };
          });
          const grow = (run: number, file: 'journal.jsonl' | 'marks.jsonl', bytes: number): void => {
            const rest = rests[run]?.[file];
            if (rest === undefined) return;
            appendFileSync(workspace.file(`run-${run}`, file), rest.subarray(0, bytes));
            (rests[run] as Record<string, Buffer>)[file] = rest.subarray(bytes);
          };
          for (const { run, file, bytes, slice, read: isRead } of moves) {
            grow(run, file ? 'journal.jsonl' : 'marks.jsonl', bytes);
            if (isRead) read(incremental, slice);
          }
          for (const run of rests.keys()) {
            grow(run, 'journal.jsonl', Infinity);
            grow(run, 'marks.jsonl', Infinity);
          }
          read(incremental);
          expect(contentOf(incremental)).toEqual(freshContent());
          incremental.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('and when it was interrupted between any two steps', () => {
    for (const run of ['r1', 'r2', 'r3'])
      workspace.write(
        run,
        'journal.jsonl',
        journal(segmentOf(0, [started(1), ...Array.from({ length: 50 }, (_, index) => step(index + 1))])),
      );
    for (let steps = 0; ; steps++) {
      const partial = emptyDatabase();
      const generator = ingest(partial, workspace.runsFolder, { sliceBytes: 3000 });
      let done = false;
      for (let at = 0; at < steps && !done; at++) done = generator.next().done === true;
      read(partial);
      expect(contentOf(partial)).toEqual(freshContent());
      partial.close();
      if (done) break;
    }
  });
});

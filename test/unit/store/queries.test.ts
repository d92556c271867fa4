import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finish, ingest } from '../../../src/store/ingest.ts';
import { comparisonRows } from '../../../src/store/comparison-rows.ts';
import { curveOf } from '../../../src/store/curves.ts';
import { listRuns, runPage, sortKeys, type RunQuery } from '../../../src/store/listing.ts';
import { logsOf } from '../../../src/store/logs.ts';
import { showRun } from '../../../src/store/run-detail.ts';
import { smooth } from '../../../src/base/smoothing.ts';
import type { Database } from '../../../src/store/sqlite.ts';
import {
  configuration,
  emptyDatabase,
  evaluation,
  line,
  makeWorkspace,
  segmentOf,
  started,
  step,
  type Workspace,
} from './workspace.ts';

let workspace: Workspace;
let database: Database;

/** Twelve runs: two tasks, two methods, three seeds; the last one of each group is still queued. */
beforeAll(() => {
  workspace = makeWorkspace();
  database = emptyDatabase();
  let index = 0;
  for (const task of ['sst2', 'cola']) {
    for (const method of ['lora', 'slash']) {
      for (const seed of [0, 1, 2]) {
        const id = `run-${String(index).padStart(2, '0')}`;
        workspace.write(
          id,
          'config.json',
          configuration({ name: `${method.toUpperCase()} 100%_${seed}`, task, method, training: { seed } }),
        );
        workspace.write(id, 'environment.json', { createdAt: 1000 * index });
        const marks = [
          { type: 'note', text: `Änderung ${index}` },
          { type: 'star', on: seed === 1 },
          { type: 'tag', tag: `seed ${seed}` },
        ];
        workspace.write(
          id,
          'marks.jsonl',
          [...marks, ...(task === 'cola' ? [{ type: 'tag', tag: 'hard' }] : [])]
            .map((mark) => line({ time: 5, ...mark }))
            .join(''),
        );
        if (seed < 2) {
          const steps = Array.from({ length: 50 }, (_, at) => step(at + 1, 1 / (at + 1) + index));
          const ended = {
            type: 'finished',
            step: 50,
            reason: 'completed',
            last: {},
            trainSeconds: 9,
            peakResidentBytes: 3,
          } as const;
          workspace.write(
            id,
            'journal.jsonl',
            segmentOf(0, [started(1), ...steps, evaluation(50, index / 20), ended])
              .map(line)
              .join(''),
          );
        }
        index++;
      }
    }
  }
  workspace.write('run-gone', 'config.json', configuration());
  workspace.write('run-gone', 'marks.jsonl', line({ type: 'deleted', time: 1 }));
  finish(ingest(database, workspace.runsFolder));
});

afterAll(() => {
  database.close();
  workspace.remove();
});

function ids(query: RunQuery): string[] {
  return runPage(listRuns(database, query)).runs.map(({ id }) => id);
}

describe('runs of a sweep', () => {
  const sweepSpace = makeWorkspace();
  const sweepDatabase = emptyDatabase();
  afterAll(() => {
    sweepDatabase.close();
    sweepSpace.remove();
  });

  it('are found by it and know what it set for them', () => {
    const labels = [{ 'method.rank': 1 }, { 'method.rank': 4 }, {}];
    for (const [index, label] of labels.entries()) {
      sweepSpace.write(`run-${index}`, 'config.json', configuration());
      const sweep = index === 2 ? {} : { sweep: "a'b" };
      sweepSpace.write(`run-${index}`, 'environment.json', { created: '2026-11-21', origin: { label, ...sweep } });
    }
    finish(ingest(sweepDatabase, sweepSpace.runsFolder));
    const found = (query: RunQuery) =>
      runPage(listRuns(sweepDatabase, { ...query, sort: { by: 'id' } })).runs.map(({ sweep, label }) => [sweep, label]);
    expect(found({})).toEqual([
      ["a'b", labels[0]],
      ["a'b", labels[1]],
      [null, {}],
    ]);
    expect(found({ sweeps: ["a'b"] })).toHaveLength(2);
  });
});

describe('listing runs', () => {
  it('shows the newest first, without deleted ones', () => {
    expect(ids({})).toHaveLength(12);
    expect(ids({}).slice(0, 2)).toEqual(['run-11', 'run-10']);
  });

  it.each<[string, RunQuery, string[]]>([
    ['a state', { states: ['queued'] }, ['run-11', 'run-08', 'run-05', 'run-02']],
    ['a task and a method', { tasks: ['cola'], methods: ['slash'] }, ['run-11', 'run-10', 'run-09']],
    [
      'several states',
      { states: ['queued', 'finished'], tasks: ['sst2'], methods: ['lora'] },
      ['run-02', 'run-01', 'run-00'],
    ],
    ['a tag', { tags: ['hard', 'seed 1'] }, ['run-10', 'run-07']],
    ['a star', { starred: true, tasks: ['sst2'] }, ['run-04', 'run-01']],
    ['no star', { starred: false, tasks: ['sst2'], methods: ['lora'] }, ['run-02', 'run-00']],
    ['words in any case and order', { text: 'cola SLASH änderung' }, ['run-11', 'run-10', 'run-09']],
    ['signs that mean something to SQL', { text: '100%_1 lora' }, ['run-07', 'run-01']],
    ['ids', { ids: ['run-03', 'run-gone', 'run-99'] }, ['run-03']],
    ['nothing', { tasks: [] }, []],
    ['hostile text', { text: "' OR 1=1 --", tags: ["'"], models: ['"'] }, []],
  ])('by %s', (_, query, expected) => {
    expect(ids(query)).toEqual(expected);
  });

  it('sorts by every key, with what is not known last', () => {
    for (const by of sortKeys) {
      for (const descending of [false, true]) {
        const { runs } = runPage(listRuns(database, { sort: { by, descending } }));
        expect(runs).toHaveLength(12);
        if (by !== 'score') continue;
        const scores = runs.map(({ score }) => score);
        expect(scores.slice(8)).toEqual([null, null, null, null]);
        expect(scores.slice(0, 8)).toEqual(
          scores.slice(0, 8).sort((a, b) => (descending ? -1 : 1) * ((a ?? 0) - (b ?? 0))),
        );
      }
    }
  });

  it('pages without gaps or doubles', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 13 }), fc.constantFrom(...sortKeys), (limit, by) => {
        const sort = { by };
        const pages = Array.from({ length: Math.ceil(12 / limit) }, (_, page) =>
          listRuns(database, { sort, limit, offset: page * limit }),
        );
        expect(pages.map(({ total }) => total)).toEqual(pages.map(() => 12));
        expect(pages.flatMap(({ rows }) => rows.map(([id]) => id))).toEqual(ids({ sort }));
      }),
      { numRuns: 30 },
    );
  });
});

describe('one run', () => {
  it('is shown with everything but curves and logs', () => {
    const shown = showRun(database, 'run-06');
    expect(shown).toMatchObject({
      id: 'run-06',
      state: 'finished',
      config: { task: 'cola', method: 'lora' },
      environment: { createdAt: 6000 },
      trainSeconds: 9,
      tags: ['seed 0', 'hard'],
      best: { step: 50, splits: { dev: { score: 0.3 } } },
      segmentDetails: [{ segment: 0, fromStep: 1, totalSteps: 100, provider: 'cpu', threads: 2 }],
      metrics: [
        'dev/accuracy',
        'dev/loss',
        'dev/score',
        'examplesPerSecond',
        'gradientNorm',
        'learningRate',
        'loss',
        'tokensPerSecond',
      ],
    });
    expect(shown?.marks.map(({ type }) => type)).toEqual(['note', 'star', 'tag', 'tag']);
    expect(showRun(database, 'nowhere')).toBeUndefined();
    expect(showRun(database, 'run-gone')?.id).toBe('run-gone');
  });

  it('tells its metrics from the last event where no evaluation is left', () => {
    const other = makeWorkspace();
    const fresh = emptyDatabase();
    const ended = {
      type: 'finished',
      step: 9,
      reason: 'early-stopped',
      last: { score: 0.4 },
      best: { step: 6, metrics: { score: 0.6 } },
      trainSeconds: 1,
      peakResidentBytes: 1,
    } as const;
    other.write(
      'r',
      'journal.jsonl',
      segmentOf(0, [started(1), ended])
        .map(line)
        .join(''),
    );
    finish(ingest(fresh, other.runsFolder));
    expect(showRun(fresh, 'r')).toMatchObject({
      score: 0.6,
      bestStep: 6,
      lastScore: 0.4,
      best: { step: 6 },
      last: { step: 9 },
    });
    fresh.close();
    other.remove();
  });
});

describe('curves', () => {
  it('by range of steps, both ends included', () => {
    const curve = curveOf(database, { run: 'run-00', metric: 'loss', fromStep: 5, toStep: 8 });
    expect([...curve.step]).toEqual([5, 6, 7, 8]);
    expect([...curve.epoch]).toEqual([0.5, 0.6, 0.7, 0.8]);
    expect([...curve.value]).toEqual([1 / 5, 1 / 6, 1 / 7, 1 / 8]);
    expect([...curve.time]).toEqual([5, 6, 7, 8].map((at) => 1_700_000_000_000 + at * 10));
  });

  it('thinned to a number of points, and says how many there were', () => {
    for (const thinning of ['minmax', 'lttb'] as const) {
      const curve = curveOf(database, { run: 'run-00', metric: 'loss', points: 10, thinning });
      expect(curve.step.length).toBeLessThanOrEqual(10);
      expect(curve.total).toBe(50);
      expect([curve.step[0], curve.step.at(-1)]).toEqual([1, 50]);
    }
  });

  it('with its moving average over every point, whichever are asked for', () => {
    const whole = curveOf(database, { run: 'run-00', metric: 'loss', smoothing: 0.9 });
    const expected = smooth(whole.value, 0.9);
    expect(whole.smoothed).toEqual({ value: expected.values, state: expected.state });
    const part = curveOf(database, {
      run: 'run-00',
      metric: 'loss',
      smoothing: 0.9,
      fromStep: 21,
      toStep: 40,
      points: 6,
    });
    expect(part.total).toBe(20);
    expect([...(part.smoothed?.value ?? [])]).toEqual([...part.step].map((at) => expected.values[at - 1]));
    expect(curveOf(database, { run: 'run-00', metric: 'loss' })).not.toHaveProperty('smoothed');
    expect(curveOf(database, { run: 'run-00', metric: 'nothing', smoothing: 0.5 }).smoothed?.value).toHaveLength(0);
  });

  it('empty where run or metric are not there', () => {
    expect(curveOf(database, { run: 'run-00', metric: 'nothing' })).toMatchObject({ total: 0 });
    expect(curveOf(database, { run: 'nowhere', metric: 'loss' })).toMatchObject({ total: 0 });
    expect(curveOf(database, { run: 'run-02', metric: 'loss' })).toMatchObject({ total: 0 });
  });
});

describe('comparisons and logs', () => {
  it('gives configurations and metrics, oldest first', () => {
    const rows = comparisonRows(database, { methods: ['slash'], states: ['finished'] });
    expect(rows.map(({ id }) => id)).toEqual(['run-03', 'run-04', 'run-09', 'run-10']);
    expect(rows[0]).toMatchObject({
      seed: 0,
      config: { method: 'slash' },
      parameters: { total: 19970 },
      best: { splits: { dev: { accuracy: 3 / 20 } } },
      epsilon: null,
    });
  });

  it('gives the newest log lines, and goes on from where it was', () => {
    const other = makeWorkspace();
    const fresh = emptyDatabase();
    const logs = Array.from({ length: 5 }, (_, at) => ({ type: 'log', level: 'info', message: `line ${at}` }) as const);
    other.write('r', 'journal.jsonl', segmentOf(0, logs).map(line).join(''));
    finish(ingest(fresh, other.runsFolder));
    const last = logsOf(fresh, { run: 'r', limit: 2 });
    expect(last.map(({ message }) => message)).toEqual(['line 3', 'line 4']);
    other.append('r', 'journal.jsonl', segmentOf(1, logs.slice(0, 1)).map(line).join(''));
    finish(ingest(fresh, other.runsFolder));
    const [, newest] = last;
    if (newest === undefined) throw new Error('no line');
    expect(logsOf(fresh, { run: 'r', after: newest })).toEqual([
      { segment: 1, seq: 0, time: 1_700_000_100_000, level: 'info', message: 'line 0' },
    ]);
    fresh.close();
    other.remove();
  });
});

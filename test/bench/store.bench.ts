import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { watchFolder } from '../../src/editor/core/folder-watch.ts';
import { runTree } from '../../src/editor/core/run-tree.ts';
import type { RunQuery } from '../../src/store/listing.ts';
import { openStore, type Store } from '../../src/store/store.ts';

/**
 * How fast the store reads journals and lists runs, through its thread as the editor uses it, and how long the explorer's thread is
 * held up by it. Usage: node store.bench.ts [RUNS].
 * Prints one JSON line {name, value, unit} a measurement; of several rounds the median counts.
 */

const listedRuns = Number(process.argv[2] ?? 10_000);
const rounds = 9;

function print(name: string, value: number, unit: string): void {
  console.log(JSON.stringify({ name, value: Number(value.toPrecision(4)), unit }));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

async function medianOf(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) times.push(await milliseconds(work));
  return median(times);
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

function started(seed: number): string {
  return line({
    segment: 0,
    seq: 0,
    time: 1.79e12 + seed,
    type: 'started',
    processId: 4711,
    fromStep: 1,
    totalSteps: 6315,
    stepsPerEpoch: 2105,
    trainExamples: 67_349,
    parameters: { method: 294_912, head: 1538, total: 296_450, frozen: 108_310_272 },
    device: { provider: 'cpu', threads: 8, reason: 'asked for' },
  });
}

/** The journal of a run of SST-2 in three epochs, as long as it is given. */
function journal(seed: number, steps: number): string {
  const lines = [started(seed)];
  for (let step = 1; step <= steps; step++) {
    lines.push(
      line({
        segment: 0,
        seq: lines.length,
        time: 1.79e12 + step * 133.7,
        type: 'step',
        step,
        epoch: step / 2105,
        loss: Math.exp(-step / 2000) + 0.1 * Math.sin(step * 12.9898 + seed),
        learningRate: 5e-4 * (1 - step / steps),
        gradientNorm: 1 + Math.sin(step * 78.233),
        examplesPerSecond: 80 + 5 * Math.sin(step),
        tokensPerSecond: 4000 + 300 * Math.sin(step),
        remainingMs: 1000 * (steps - step),
      }),
    );
  }
  const metrics = { accuracy: 0.9 + seed / 1e6, score: 0.9 + seed / 1e6 };
  const at = { segment: 0, time: 1.8e12, step: steps };
  lines.push(
    line({
      ...at,
      seq: lines.length,
      type: 'evaluation',
      epoch: 3,
      split: 'dev',
      examples: 872,
      loss: 0.3,
      metrics,
      seconds: 9,
      best: true,
    }),
    line({
      ...at,
      seq: lines.length + 1,
      type: 'finished',
      reason: 'completed',
      last: metrics,
      trainSeconds: 900,
      peakResidentBytes: 2e9,
    }),
  );
  return lines.join('');
}

function writeRun(runs: string, index: number, steps: number): void {
  const id = `20261121-${String(index).padStart(9, '0')}-abcdef`;
  const folder = join(runs, id);
  mkdirSync(folder, { recursive: true });
  const methods = ['full', 'head', 'bitfit', 'lora', 'slash'];
  const tasks = ['cola', 'sst2', 'mrpc', 'stsb'];
  const config = {
    name: `sweep ${index}`,
    model: { id: 'roberta-base' },
    task: { id: tasks[index % 4], data: '/data/glue', maxLength: 128 },
    method: { id: methods[index % 5], rank: 2 ** (index % 6) },
    training: { epochs: 3, batchSize: 32, learningRate: 5e-4, schedule: 'linear', warmup: 0.06, seed: index % 5 },
    device: { provider: 'cpu', threads: 8 },
    tags: index % 7 === 0 ? ['paper'] : [],
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(
    join(folder, 'environment.json'),
    JSON.stringify({ created: new Date(1.79e12 + index).toISOString(), host: 'bench' }),
  );
  writeFileSync(
    join(folder, 'marks.jsonl'),
    line({ type: 'queued', time: 1.79e12 }) +
      line({ type: 'claimed', time: 1.79e12, segment: 0, host: 'bench', launcher: 'local' }),
  );
  writeFileSync(join(folder, 'journal.jsonl'), journal(index, steps));
}

async function withStore(work: (store: Store, root: string, runs: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'peft-bench-'));
  const runs = join(root, 'runs');
  mkdirSync(runs);
  const path = join(root, 'peft.db');
  let opening = performance.now();
  const store = await openStore({ path, journalMode: 'wal', runsFolder: runs });
  opening = performance.now() - opening;
  print('store.open', opening, 'ms');
  try {
    await work(store, root, runs);
  } finally {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  }
}

const nothingNew = { changed: [], removed: [], events: 0, points: 0, unreadable: 0, problems: [] };

await withStore(async (store, root, runs) => {
  const steps = 6315;
  for (let index = 0; index < 20; index++) writeRun(runs, index, steps);
  let points = 0;
  const ms = await milliseconds(async () => ({ points } = await store.ingest()));
  print('store.ingest', (1000 * points) / ms, 'metric points/s');
  print('store.ingest.unchanged', await medianOf(() => store.ingest()), 'ms');
  print('store.size', statSync(join(root, 'peft.db')).size / points, 'bytes/metric point');
  const { runs: listed } = await store.list({ limit: 1 });
  const run = listed[0]?.id ?? '';
  print('store.curve.thinned', await medianOf(() => store.curves([{ run, metric: 'loss', points: 1000 }])), 'ms');
  print('store.curve.full', await medianOf(() => store.curves([{ run, metric: 'loss' }])), 'ms');
  print('store.reindex', (1000 * points) / (await milliseconds(() => store.reindex())), 'metric points/s');
});

await withStore(async (store, _, runs) => {
  for (let index = 0; index < listedRuns; index++) writeRun(runs, index, 2);
  print('store.ingest.runs', (1000 * listedRuns) / (await milliseconds(() => store.ingest())), 'runs/s');
  print('store.ingest.runs.unchanged', await medianOf(() => store.ingest()), 'ms');
  const queries: readonly (readonly [string, RunQuery])[] = [
    ['all', {}],
    ['page', { limit: 200 }],
    ['page.sorted', { limit: 200, sort: { by: 'score', descending: true } }],
    ['page.filtered', { limit: 200, text: 'roberta lora', tags: ['paper'], states: ['finished'] }],
  ];
  for (const [name, query] of queries)
    print(`store.list.${name}`, await medianOf(() => store.list(query)), `ms for ${listedRuns} runs`);
  const { runs: listed } = await store.list({ limit: 500 });
  print(
    'store.comparison',
    await medianOf(() => store.comparison({ ids: listed.map(({ id }) => id) })),
    `ms for ${listed.length} runs`,
  );
  await fillExplorer(store);
});

/** What the explorer does when a window opens on a folder with these runs, and when one of them goes on. */
async function fillExplorer(store: Store): Promise<void> {
  const [first, all, held, update]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const tree = runTree({ grouping: 'method' });
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const begin = performance.now();
    let shown: number | undefined;
    delay.enable();
    const watch = watchFolder({
      look: () =>
        Promise.resolve({ exists: true, claimed: [], waiting: [], appeared: [], gone: [], supervised: false }),
      openStore: () =>
        Promise.resolve({ ...store, ingest: () => Promise.resolve(nothingNew), close: () => Promise.resolve() }),
      onChange: ({ changed, removed, everything }) => {
        if (everything) tree.load('here', watch.runs.values());
        else tree.update('here', changed, removed);
        shown ??= performance.now() - begin;
      },
      onTransitions: () => undefined,
      onLook: () => undefined,
      onProblem: (problem) => {
        throw problem;
      },
      timing: { idleMs: 1e9 },
    });
    await watch.ready;
    all.push(performance.now() - begin);
    first.push(shown ?? NaN);
    delay.disable();
    held.push(delay.max / 1e6);
    const [run] = watch.runs.values();
    if (run !== undefined) {
      const changing = performance.now();
      tree.update('here', [{ ...run, score: 1 }], []);
      update.push(performance.now() - changing);
    }
    await watch.dispose();
  }
  print('explorer.first', median(first), `ms until the first of ${listedRuns} runs are shown`);
  print('explorer.all', median(all), `ms until all of ${listedRuns} runs are`);
  print('explorer.held', median(held), 'ms that the thread is held up at most meanwhile');
  print('explorer.update', median(update), `ms to take in a change of one of ${listedRuns} runs`);
}

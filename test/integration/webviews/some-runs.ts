import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { randomStream } from '../../../src/base/random.ts';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import { generatorName } from '../../../src/privacy/streams.ts';
import type { JournalEvent, Unstamped } from '../../../src/runs/events.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { line, makeWorkspace, segmentOf, type Workspace } from '../../unit/store/workspace.ts';

/** Runs on disk for the panels to show: the recorded ones, and made-up ones of any number. */

export interface MadeRun {
  readonly id: string;
  readonly name?: string;
  readonly task?: string;
  readonly method?: Readonly<Record<string, unknown>> & { readonly id: string };
  readonly seed?: number;
  readonly steps?: number;
  readonly parameters?: { readonly method: number; readonly head: number };
  readonly score?: number;
  readonly epsilon?: number;
  readonly ending?: 'finished' | 'failed' | 'stopped' | 'none';
  readonly message?: string;
  readonly tags?: readonly string[];
  readonly note?: string;
  readonly logs?: readonly string[];
  readonly model?: string;
  /** Only the steps whose number is a multiple of this are written. */
  readonly every?: number;
  /** A private run with the ledger and the local record of a real one; its epsilons are those of its noise. */
  readonly mechanism?: {
    readonly noiseMultiplier: number;
    readonly targetEpsilon?: number;
    readonly insecure?: boolean;
  };
}

const start = Date.UTC(2026, 10, 21, 5, 0, 0);

const delta = 1e-5;

/** What a private run tells of itself before it begins. */
function ledgerOf(
  { noiseMultiplier, targetEpsilon, insecure = false }: NonNullable<MadeRun['mechanism']>,
  perEpoch: number,
  plannedSteps: number,
): Unstamped {
  return {
    type: 'privacy',
    relation: 'add-or-remove-one',
    unit: 'example',
    sampling: 'poisson',
    examples: perEpoch * 32,
    trainingData: ['0a1b2c3d:00112233445566778899aabbccddeeff'],
    samplingRate: 1 / perEpoch,
    expectedBatchSize: 32,
    chunkSize: 32,
    noiseMultiplier,
    maxGradNorm: 0.1,
    clipping: 'flat',
    delta,
    accountant: 'tightest',
    plannedSteps,
    repeatedSteps: 0,
    ...(targetEpsilon === undefined ? {} : { targetEpsilon }),
    generator: generatorName,
    keyId: '00112233aabbccdd',
    insecure,
  };
}

/** Epsilon after a step of a private run, at the ends of epochs. */
function epsilonAfter(
  mechanism: MadeRun['mechanism'],
  step: number,
  perEpoch: number,
  last: number,
): number | undefined {
  if (mechanism === undefined || (step % perEpoch !== 0 && step !== last)) return undefined;
  const { noiseMultiplier } = mechanism;
  return privacySpent([{ samplingRate: 1 / perEpoch, noiseMultiplier, steps: step }], delta).epsilon;
}

/** Steps of an epoch, and those that were planned: a run that has no ending was to take more than it has. */
function lengthsOf({ steps = 60, ending = 'finished' }: MadeRun): {
  readonly perEpoch: number;
  readonly totalSteps: number;
} {
  return { perEpoch: Math.ceil(steps / 3), totalSteps: ending === 'none' ? Math.round(steps * 1.6) : steps };
}

/** Curves like those of a real run: a loss that falls with noise, a warmed-up and then falling rate. */
function eventsOf(run: MadeRun): readonly JournalEvent[] {
  const { steps = 60, seed = 0, score = 0.8, epsilon, ending = 'finished', logs = [], every = 1, mechanism } = run;
  const random = randomStream(seed, run.id);
  const { method, head } = run.parameters ?? { method: 73_728, head: 770 };
  const { perEpoch, totalSteps } = lengthsOf(run);
  const events: Unstamped[] = [
    ...(mechanism === undefined ? [] : [ledgerOf(mechanism, perEpoch, totalSteps)]),
    {
      type: 'started',
      processId: 4711,
      fromStep: 1,
      totalSteps,
      stepsPerEpoch: perEpoch,
      trainExamples: perEpoch * 32,
      parameters: { method, head, total: method + head, frozen: 22_713_216 },
      device: { provider: 'cpu', threads: 2, reason: 'automatic; there is no GPU' },
    },
    ...logs.map((message): Unstamped => ({ type: 'log', level: 'info', message })),
  ];
  for (let step = 1; step <= steps; step++) {
    const done = step / steps;
    const spent = epsilonAfter(mechanism, step, perEpoch, steps);
    if (step % every === 0)
      events.push({
        type: 'step',
        step,
        epoch: step / perEpoch,
        loss: mechanism === undefined ? 0.2 + 0.5 * Math.exp(-4 * done) + 0.12 * (random.uniform() - 0.5) : null,
        learningRate: 1e-3 * Math.min(step / (0.06 * steps), (1 - done) / 0.94),
        gradientNorm: 0.4 + 0.5 * random.uniform(),
        examplesPerSecond: 180 + 20 * random.uniform(),
        tokensPerSecond: 5000 + 400 * random.uniform(),
        remainingMs: (steps - step) * 170,
        ...(epsilon === undefined ? {} : { epsilon: epsilon * Math.sqrt(done) }),
        ...(spent === undefined ? {} : { epsilon: spent }),
      });
    if (step % perEpoch !== 0 && step !== steps) continue;
    const accuracy = score * (0.9 + 0.1 * done) - (step === steps ? 0 : 0.004);
    events.push({
      type: 'evaluation',
      step,
      epoch: step / perEpoch,
      split: 'dev',
      examples: 872,
      loss: 0.25 + 0.3 * (1 - done),
      metrics: { accuracy, mcc: accuracy, score: step === steps ? score : accuracy },
      seconds: 2.5,
      best: mechanism === undefined,
    });
    events.push({ type: 'checkpoint', step, kind: 'last', path: `checkpoints/last.safetensors` });
    events.push({ type: 'resources', step, residentBytes: 6e8 + 1e8 * done, peakResidentBytes: 7e8 + 1e8 * done });
  }
  if (ending === 'failed')
    events.push({ type: 'failed', step: steps, message: run.message ?? 'the loss is not finite', kind: 'diverged' });
  if (ending === 'stopped') events.push({ type: 'stopped', step: steps });
  if (ending === 'finished')
    events.push({
      type: 'finished',
      step: steps,
      reason: 'completed',
      last: { score },
      trainSeconds: steps * 0.17,
      peakResidentBytes: 8e8,
    });
  return segmentOf(0, events, start);
}

/** Writes the folder of a run. */
export function writeRun(workspace: Workspace, run: MadeRun): void {
  const { id, task = 'sst2', method = { id: 'lora', rank: 8 }, seed = 0, name, tags, note, epsilon, model } = run;
  const { mechanism } = run;
  const { perEpoch, totalSteps } = lengthsOf(run);
  workspace.write(id, 'config.json', {
    ...(name === undefined ? {} : { name }),
    model: { id: model ?? 'sentence-transformers/all-MiniLM-L6-v2' },
    task: { id: task, maxLength: 128 },
    method,
    training: { epochs: mechanism === undefined ? 3 : totalSteps / perEpoch, batchSize: 32, learningRate: 1e-3, seed },
    ...(epsilon === undefined ? {} : { privacy: { epsilon, delta } }),
    ...(mechanism === undefined
      ? {}
      : {
          privacy:
            mechanism.targetEpsilon === undefined
              ? { noiseMultiplier: mechanism.noiseMultiplier, delta }
              : { epsilon: mechanism.targetEpsilon, delta },
        }),
    device: { provider: 'auto' },
    launcher: 'local',
    ...(tags === undefined ? {} : { tags }),
    ...(note === undefined ? {} : { note }),
  });
  workspace.write(id, 'environment.json', {
    created: new Date(start).toISOString(),
    version: '0.1.0',
    node: '24.21.0',
    packages: { 'onnxruntime-node': '1.30.0' },
    host: 'workstation',
    system: { platform: 'linux', release: '6.18', arch: 'x64' },
    hardware: { cpu: 'AMD EPYC', cores: 16, memoryBytes: 137_438_953_472 },
    git: { commit: '66a85eeebd638cec38b3cdaf2ff87585c50881a1', branch: 'main', dirty: true },
  });
  const marks = [
    { time: start - 1000, type: 'queued' },
    { time: start - 500, type: 'claimed', segment: 0, launcher: 'local', host: 'workstation' },
  ];
  workspace.write(id, 'marks.jsonl', marks.map(line).join(''));
  workspace.write(id, 'journal.jsonl', eventsOf(run).map(line).join(''));
  if (mechanism !== undefined) workspace.write(id, 'private/private.jsonl', localRecord(run));
}

/** Numbers that no other file of a run holds, so that they are recognised wherever they turn up. */
export const tellingLoss = 0.718281828459;

/** What the trainer of a private run knew without noise. */
function localRecord({ steps = 60, id }: MadeRun): string {
  const random = randomStream(1, id);
  return Array.from({ length: steps }, (_, index) =>
    line({
      step: index + 1,
      drawn: 26 + Math.floor(12 * random.uniform()),
      loss: index === 0 ? tellingLoss : 0.25 + 0.45 * Math.exp((-3 * index) / steps) + 0.1 * random.uniform(),
      gradientNorm: 0.6 + 0.3 * random.uniform(),
      clipped: 0.9 + 0.1 * random.uniform(),
      nonFinite: 0,
    }),
  ).join('');
}

/** The id of the run with a number. */
export function idOf(index: number): string {
  return `20261121-050000${String(index % 1000).padStart(3, '0')}-${(1_000_000 + index)
    .toString(32)
    .padStart(6, '0')
    .replaceAll(/[ilou]/g, 'z')}`;
}

const methods = [
  { method: { id: 'full' }, parameters: 22_713_216, score: 0.889 },
  { method: { id: 'lora', rank: 8 }, parameters: 73_728, score: 0.876 },
  { method: { id: 'lora', rank: 32 }, parameters: 294_912, score: 0.881 },
  { method: { id: 'bitfit' }, parameters: 26_112, score: 0.853 },
  { method: { id: 'slash', dimension: 1024 }, parameters: 1024, score: 0.828 },
  { method: { id: 'slash', dimension: 8192 }, parameters: 8192, score: 0.846 },
  { method: { id: 'compacter', reduction: 16 }, parameters: 47_100, score: 0.862 },
  { method: { id: 'prefix-tuning', length: 30 }, parameters: 184_320, score: 0.849 },
  { method: { id: 'ia3' }, parameters: 21_504, score: 0.858 },
  { method: { id: 'head' }, parameters: 0, score: 0.68 },
];

const tasks = [
  { id: 'sst2', shift: 0 },
  { id: 'mrpc', shift: -0.02 },
  { id: 'cola', shift: -0.42 },
  { id: 'rte', shift: -0.2 },
];

/** Ten methods on four tasks with three seeds each, and some of them with privacy. */
export function methodsByTasks(): readonly MadeRun[] {
  const random = randomStream(7, 'methods');
  const runs: MadeRun[] = [];
  for (const task of tasks)
    for (const { method, parameters, score } of methods)
      for (const epsilon of task.id === 'sst2' ? [undefined, 8, 1] : [undefined])
        for (let seed = 0; seed < 3; seed++) {
          if (epsilon !== undefined && method.id === 'full') continue;
          const loss = epsilon === undefined ? 0 : 0.1 / Math.sqrt(epsilon);
          runs.push({
            id: idOf(runs.length),
            task: task.id,
            method,
            seed,
            parameters: { method: parameters, head: 770 },
            score: score + task.shift - loss + 0.012 * (random.uniform() - 0.5),
            steps: 6,
            name: `${task.id} ${method.id}`,
            ...(epsilon === undefined ? {} : { epsilon }),
          });
        }
  return runs;
}

/** This many runs of many configurations. */
export function manyRuns(count: number): readonly MadeRun[] {
  const random = randomStream(11, 'many');
  return Array.from({ length: count }, (_, index): MadeRun => {
    const rank = 1 + (Math.floor(index / 4) % 64);
    const name = ['lora', 'compacter', 'slash', 'adapter'][index % 4] ?? 'lora';
    return {
      id: idOf(index),
      method: { id: name, rank },
      seed: Math.floor(index / 256),
      parameters: { method: rank * 9216 * (1 + (index % 4)), head: 770 },
      score: 0.8 + 0.02 * Math.log2(1 + rank) - 0.01 * (index % 4) + 0.02 * (random.uniform() - 0.5),
      steps: 2,
    };
  });
}

/** Markup and worse, as names, tags, notes and log lines may hold it. */
export const hostile = [
  '<img src=x onerror="globalThis.attacked=1">',
  '</script><script>globalThis.attacked=2</script>',
  '"><svg onload=globalThis.attacked=3>',
  "'; globalThis.attacked=4; //",
  '{{globalThis.attacked=5}} ${globalThis.attacked=6}',
  '<a href="javascript:globalThis.attacked=7">x</a>',
  '\u202eright to left\u202c \u0000\u001b[31m',
] as const;

export function hostileRun(id: string): MadeRun {
  const all = hostile.join(' ');
  return {
    id,
    name: hostile[0],
    task: hostile[1],
    method: { id: hostile[2], rank: all, [hostile[0]]: hostile[3] },
    model: hostile[5],
    tags: hostile,
    note: all,
    logs: hostile,
    ending: 'failed',
    message: all,
  };
}

export interface OpenedRuns {
  readonly workspace: Workspace;
  readonly store: Store;
  readonly close: () => Promise<void>;
}

/** A store over these runs. */
export async function storeOf(runs: readonly MadeRun[], { recorded = false } = {}): Promise<OpenedRuns> {
  const workspace = makeWorkspace();
  for (const run of runs) writeRun(workspace, run);
  if (recorded) {
    const fixtures = join(import.meta.dirname, '..', '..', 'fixtures', 'runs');
    mkdirSync(workspace.runsFolder, { recursive: true });
    cpSync(fixtures, workspace.runsFolder, { recursive: true, filter: (source) => !source.endsWith('README.md') });
  }
  const store = await openStore({
    path: workspace.databasePath,
    journalMode: 'wal',
    runsFolder: workspace.runsFolder,
  });
  await store.ingest();
  return {
    workspace,
    store,
    async close() {
      await store.close();
      workspace.remove();
    },
  };
}

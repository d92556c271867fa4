import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { FileError, UserError } from '../../../src/base/errors.ts';
import { predictedScores, predictedText } from '../../../src/editor/core/predicted.ts';
import { watchFolder, type Transition, type WatchChange } from '../../../src/editor/core/folder-watch.ts';
import { workerClient, type WorkerClient } from '../../../src/editor/worker/client.ts';
import { claimLease, leaseFile } from '../../../src/runs/lease.ts';
import { ownIdentity, processExists, signalGroup } from '../../../src/runs/process-identity.ts';
import { claimNext } from '../../../src/runs/queue.ts';
import { restartMachine } from '../../support/restart.ts';
import { supervision } from '../../../src/editor/core/supervision.ts';
import { workspaceAt } from '../../../src/runs/run-folder.ts';
import { livingSupervisor } from '../../../src/runs/supervise.ts';
import { openStore } from '../../../src/store/store.ts';
import { makeEditorWorkspace, type EditorWorkspace } from '../../support/editor-workspace.ts';
import { until } from '../../support/until.ts';

/**
 * The extension's host without the editor: its worker thread, the store's thread, a detached supervisor and real trainers, watched as
 * the extension watches them.
 */

const source = join(import.meta.dirname, '..', '..', '..', 'src');
const settings = { nodePath: '', libraryFolders: [], slots: { cpu: 1 } };

interface Bench {
  readonly workspace: EditorWorkspace;
  readonly worker: WorkerClient;
  readonly crashes: Error[];
}

async function bench(): Promise<Bench> {
  const workspace = await makeEditorWorkspace();
  const crashes: Error[] = [];
  const worker = workerClient(
    join(source, 'editor', 'worker', 'worker.ts'),
    { program: join(source, 'cli', 'main.ts') },
    (reason) => crashes.push(reason),
  );
  onTestFinished(async () => {
    const supervisor = livingSupervisor(workspaceAt(workspace.folder));
    if (supervisor !== undefined) signalGroup(supervisor.holder, 'kill');
    await worker.close();
    await workspace.remove();
  });
  return { workspace, worker, crashes };
}

function watched({ workspace, worker }: Bench) {
  const changes: WatchChange[] = [];
  const transitions: Transition[] = [];
  const problems: unknown[] = [];
  const { folder } = workspace;
  const watcher = randomUUID();
  const watch = watchFolder({
    look: () => worker.ask('look', { folder, watcher }),
    openStore: async () => {
      const { path, journalMode, runsFolder } = await worker.ask('locate', { folder, trusted: true });
      return openStore({ path, journalMode, runsFolder });
    },
    onChange: (change) => changes.push(change),
    onTransitions: (seen) => transitions.push(...seen),
    onLook: () => undefined,
    onProblem: (problem) => problems.push(problem),
    timing: { busyMs: 50, idleMs: 100, everythingMs: 60_000 },
  });
  onTestFinished(() => watch.dispose());
  return { watch, changes, transitions, problems };
}

test('what is started is trained by a process that nobody here holds, seen to its end, and can be cloned', async () => {
  const own = await bench();
  const { workspace, worker, crashes } = own;
  const { folder } = workspace;
  const { watch, changes, transitions, problems } = watched(own);
  await watch.ready;
  expect(watch.runs.size).toBe(0);
  expect(await watch.reader.list()).toEqual({ runs: [], total: 0 });
  expect(existsSync(join(folder, '.peft'))).toBe(false);

  const file = join(folder, workspace.configure('first', { training: { steps: 30 } }));
  const [id = ''] = await worker.ask('submit', { folder, file });
  await watch.refresh();
  expect(watch.runs.get(id)?.state).toBe('queued');
  expect(watch.queue().waiting.map((each) => each.id)).toEqual([id]);
  expect(readFileSync(join(folder, '.peft', '.gitignore'), 'utf8')).toBe('*\n');
  // Nothing starts by itself.
  expect(watch.queue().supervised).toBe(false);

  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await until('its end', () => watch.runs.get(id)?.state === 'finished');
  const run = watch.runs.get(id);
  expect(run).toMatchObject({ step: 30, totalSteps: 30, failure: null, sweep: null });
  expect(run?.score).not.toBeNull();
  expect(transitions.filter((each) => each.run.id === id).at(-1)?.run.state).toBe('finished');
  expect(changes.some(({ changed }) => changed.some((each) => each.id === id))).toBe(true);
  const [curve] = await watch.reader.curves([{ run: id, metric: 'loss' }]);
  expect(curve?.step).toHaveLength(30);
  expect((await worker.ask('log', { folder, id })).text).toMatch(/30 steps on cpu[\s\S]*finished after/);

  const { text, ...place } = await worker.ask('clone', { folder, id });
  expect(place).toEqual({ folder, name: 'first' });
  expect((await worker.ask('inspect', { file, text })).problems).toEqual([]);
  const { ids } = { ids: await worker.ask('submit', { folder, file, text }) };
  await watch.refresh();
  expect(watch.runs.get(ids[0] ?? '')).toMatchObject({ task: run?.task, method: run?.method });
  expect([problems, crashes]).toEqual([[], []]);
});

test('a run that is killed is shown as interrupted at once, resumed, and a waiting one is called off', async () => {
  const own = await bench();
  const { workspace, worker } = own;
  const { folder } = workspace;
  const { watch, transitions } = watched(own);
  const file = join(folder, workspace.configure('long', { training: { steps: 20_000, checkpointEvery: 20 } }));
  const other = join(folder, workspace.configure('other'));
  const [id = ''] = await worker.ask('submit', { folder, file });
  const [second = ''] = await worker.ask('submit', { folder, file: other });
  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await until('steps', () => (watch.runs.get(id)?.step ?? 0) > 40);
  expect(watch.runs.get(second)?.state).toBe('queued');
  const machine = await worker.ask('machine', [folder]);
  expect(machine.memoryBytes).toBeGreaterThan(machine.freeBytes);
  if (process.platform === 'linux') {
    // What waits holds nothing.
    expect(Object.keys(machine.runs)).toEqual([id]);
    expect(machine.runs[id]?.residentBytes).toBeGreaterThan(50e6);
  }
  await worker.ask('stop', { folder, ids: [second], force: false });
  await watch.refresh();
  expect(watch.runs.get(second)?.state).toBe('stopped');
  await expect(worker.ask('stop', { folder, ids: [second], force: false })).rejects.toThrow(UserError);
  await expect(worker.ask('remove', { folder, ids: [id] })).rejects.toThrow('Stop it');

  // The supervisor and the trainer die together, as with a power cut: only a look at the processes can tell.
  const supervisor = livingSupervisor(workspaceAt(folder));
  if (supervisor !== undefined) signalGroup(supervisor.holder, 'kill');
  process.kill(workspace.trainer(id) ?? 0, 'SIGKILL');
  await until('the interruption', () => watch.runs.get(id)?.state === 'interrupted');
  expect((await watch.reader.list({ ids: [id] })).runs[0]?.state).toBe('interrupted');
  expect(
    transitions.some(({ run, before }) => run.id === id && run.state === 'interrupted' && before === 'running'),
  ).toBe(true);
  // A supervisor that starts nothing only records it.
  await worker.ask('supervise', { folder, ...settings, startsQueued: false });
  await until('the record', () => watch.queue().claimed.length === 0 && !watch.queue().supervised);

  const before = watch.runs.get(id)?.step ?? 0;
  await worker.ask('resume', { folder, ids: [id] });
  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await until('more steps', () => (watch.runs.get(id)?.step ?? 0) > before + 20);
  await worker.ask('stop', { folder, ids: [id], force: false });
  await until('its end', () => watch.runs.get(id)?.state === 'stopped' && watch.queue().claimed.length === 0);
  expect(watch.runs.get(id)?.segments).toBe(2);

  await worker.ask('mark', {
    folder,
    ids: [id, second],
    marks: [
      { type: 'tag', tag: '<b>' },
      { type: 'star', on: true },
    ],
  });
  await watch.refresh({ everything: true });
  expect(watch.runs.get(second)).toMatchObject({ tags: ['<b>'], starred: true });
  await worker.ask('remove', { folder, ids: [id] });
  await watch.refresh();
  expect([...watch.runs.keys()]).toEqual([second]);
});

test('what waits is there for the next watcher of a folder too: a window gets another when the folder is trusted', async () => {
  const own = await bench();
  const { workspace, worker } = own;
  const { folder } = workspace;
  const [id = ''] = await worker.ask('submit', { folder, file: join(folder, workspace.configure('waiting')) });
  const first = watched(own);
  await first.watch.ready;
  await first.watch.dispose();
  const { watch, problems } = watched(own);
  await watch.ready;
  expect(watch.queue().waiting).toEqual([{ id, device: 'cpu' }]);
  expect(watch.runs.get(id)?.state).toBe('queued');
  expect(supervision().isPaused(watch.queue())).toBe(true);
  expect(problems).toEqual([]);
});

test('a run that the machine was restarted under is interrupted, and goes on when it is resumed', async () => {
  const own = await bench();
  const { workspace, worker } = own;
  const { folder } = workspace;
  const file = join(folder, workspace.configure('long', { training: { steps: 20_000, checkpointEvery: 20 } }));
  const [id = ''] = await worker.ask('submit', { folder, file });
  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await until('a checkpoint', () => existsSync(join(workspace.runFolder(id), 'checkpoints', 'last.safetensors')));
  restartMachine(workspace.folder, id);
  const { watch, transitions, problems } = watched(own);
  await watch.ready;
  expect(watch.runs.get(id)?.state).toBe('interrupted');
  // That is how the window knows what to offer: it is still claimed, and nobody has it.
  expect(watch.queue()).toMatchObject({ claimed: [{ id, state: 'interrupted', alive: false }], supervised: false });
  expect(supervision().next(watch.queue(), 0)).toBe('adopt');
  expect(transitions).toEqual([]);
  await worker.ask('supervise', { folder, ...settings, startsQueued: false });
  await until('the record', () => watch.queue().claimed.length === 0 && !watch.queue().supervised);

  const before = watch.runs.get(id)?.step ?? 0;
  await worker.ask('resume', { folder, ids: [id] });
  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await until('more steps', () => (watch.runs.get(id)?.step ?? 0) > before);
  await worker.ask('stop', { folder, ids: [id], force: true });
  await until('its end', () => watch.queue().claimed.length === 0);
  expect(problems).toEqual([]);
});

test('a run that a lost machine holds is told as such, and taken from it only where the user gives it up', async () => {
  const own = await bench();
  const { workspace, worker } = own;
  const { folder } = workspace;
  const { watch } = watched(own);
  const file = join(folder, workspace.configure('lost'));
  const ids = [...(await worker.ask('submit', { folder, file })), ...(await worker.ask('submit', { folder, file }))];
  const [id = '', other = ''] = ids;
  const claimed = await claimNext(workspaceAt(folder), { perDevice: {}, auto: 'cpu' }, 'test');
  expect(claimed?.id).toBe(id);
  const holder = { ...ownIdentity(), host: 'node17' };
  const place = leaseFile(workspace.runFolder(id));
  claimLease(place, { role: 'trainer', segment: 0, from: claimed?.lease.nonce ?? '', holder });
  await watch.refresh();
  expect(watch.runs.get(id)?.state).toBe('starting');
  expect(ids.map((each) => watch.isUnseen(each))).toEqual([true, false]);
  expect(await worker.ask('unseen', { folder, ids })).toMatchObject([{ id, state: 'starting', host: 'node17' }]);

  await expect(worker.ask('resume', { folder, ids: [id] })).rejects.toThrow('cannot be seen from here');
  await expect(worker.ask('resume', { folder, ids: [id], givenUp: [other] })).rejects.toThrow(UserError);
  await expect(worker.ask('remove', { folder, ids: [id], givenUp: [] })).rejects.toThrow(UserError);
  await worker.ask('resume', { folder, ids: [id], givenUp: [id] });
  await watch.refresh();
  expect(watch.runs.get(id)?.state).toBe('queued');
  expect(watch.isUnseen(id)).toBe(false);

  claimLease(place, { role: 'trainer', segment: 1, holder });
  await worker.ask('remove', { folder, ids: [id], givenUp: [id] });
  expect(workspace.ids()).toEqual([other]);
});

test('of a run that another deleted is said that it is gone; deleting it again is no mistake', async () => {
  const { workspace, worker } = await bench();
  const { folder } = workspace;
  const file = join(folder, workspace.configure('gone'));
  const [id = ''] = await worker.ask('submit', { folder, file });
  const [other = ''] = await worker.ask('submit', { folder, file });
  rmSync(workspace.runFolder(id), { recursive: true });
  for (const asked of [
    worker.ask('log', { folder, id }),
    worker.ask('mark', { folder, ids: [other, id], marks: [{ type: 'star', on: true }] }),
  ])
    await expect(asked).rejects.toMatchObject({
      name: 'UserError',
      message: expect.stringContaining('not there any more') as string,
    });
  await worker.ask('remove', { folder, ids: [id, other] });
  expect(workspace.ids()).toEqual([]);
});

test('checkpoints are thinned out as asked, of finished runs only', async () => {
  const own = await bench();
  const { workspace, worker } = own;
  const { folder } = workspace;
  const { watch } = watched(own);
  const file = join(
    folder,
    workspace.configure('short', { training: { steps: 20, evaluateEvery: 10, checkpointEvery: 10 } }),
  );
  const [id = ''] = await worker.ask('submit', { folder, file });
  expect(await worker.ask('prune', { folder, ids: [id], keep: 'none' })).toBe(0);
  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await until('its end', () => watch.runs.get(id)?.state === 'finished' && watch.queue().claimed.length === 0);
  const checkpoint = (name: string): string => join(workspace.runFolder(id), 'checkpoints', `${name}.safetensors`);
  expect([existsSync(checkpoint('last')), existsSync(checkpoint('best'))]).toEqual([true, true]);
  const { bytes, checkpointBytes, runs } = await worker.ask('diskUse', folder);
  expect(runs).toBe(1);
  expect(checkpointBytes).toBe(statSync(checkpoint('last')).size + statSync(checkpoint('best')).size);
  expect(bytes).toBeGreaterThan(checkpointBytes);
  const size = statSync(checkpoint('last')).size;
  expect(await worker.ask('prune', { folder, ids: [id], keep: 'best' })).toBe(size);
  expect([existsSync(checkpoint('last')), existsSync(checkpoint('best'))]).toEqual([false, true]);
  await worker.ask('prune', { folder, ids: [id], keep: 'none' });
  expect((await worker.ask('diskUse', folder)).checkpointBytes).toBe(0);
  expect(watch.runs.get(id)?.score).not.toBeNull();
});

test('what the user has to mend comes back as such, with its place', async () => {
  const { workspace, worker } = await bench();
  const { folder } = workspace;
  const file = join(folder, 'a.peft.json');
  const text =
    '{\n  "model": "./models/tiny-bert",\n  "task": { "id": "cola", "data": "./data" },\n  "method": "lroa"\n}\n';
  const error: unknown = await worker.ask('submit', { folder, file, text }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(FileError);
  expect(error).toMatchObject({ file, line: 4, message: expect.stringContaining('"lora"') as string });
  const { problems, runs } = await worker.ask('inspect', { file, text });
  expect(problems).toMatchObject([{ line: 4, path: ['method'] }]);
  expect(runs).toBeUndefined();
  const sweep = text
    .replace('"lroa"', '"lora"')
    .replace('\n}', ',\n  "matrix": { "method.rank": [1, 2], "training.seed": [0, 1, 2] }\n}');
  expect((await worker.ask('inspect', { file, text: sweep })).runs).toBe(6);
  const elsewhere = process.platform === 'darwin' ? 'dml' : 'coreml';
  const misplaced = sweep.replace('"method":', `"device": "${elsewhere}",\n  "method":`);
  const refused: unknown = await worker
    .ask('submit', { folder, file, text: misplaced })
    .catch((thrown: unknown) => thrown);
  expect(refused).toBeInstanceOf(FileError);
  expect(refused).toMatchObject({
    file,
    message: expect.stringContaining(`there is no execution provider ${elsewhere} here`) as string,
  });
  expect(await worker.ask('submit', { folder, file, text: sweep, onlyFirst: true })).toHaveLength(1);
  const look = (watcher = 'one') => worker.ask('look', { folder, watcher });
  const seen = await look();
  expect(seen).toMatchObject({ exists: true, claimed: [], supervised: false });
  expect(seen.waiting).toHaveLength(1);
  // Without a change nothing is sent again.
  expect(await look()).toMatchObject({ waiting: undefined, appeared: [], gone: [] });
  // To another watcher it is news, and so it is to the first one then.
  expect(await look('two')).toEqual(seen);
  expect(await look()).toEqual(seen);
  rmSync(join(folder, '.peft'), { recursive: true });
  expect(await look()).toMatchObject({ exists: false, gone: seen.appeared });
});

test('what is asked of a process of its own can be given up, and the process ends', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-endless-'));
  const told = join(folder, 'process.txt');
  const program = join(folder, 'endless.mjs');
  writeFileSync(
    program,
    `import { writeFileSync } from 'node:fs';
writeFileSync(${JSON.stringify(told)}, String(process.pid));
setInterval(() => undefined, 1000);
`,
  );
  const worker = workerClient(join(source, 'editor', 'worker', 'worker.ts'), { program }, () => undefined);
  onTestFinished(async () => {
    await worker.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const giveUp = new AbortController();
  const { signal } = giveUp;
  const asked = worker.ask('installCuda', { folder, ...settings }, { signal });
  const refused = expect(asked).rejects.toThrow('enough');
  await until('the process', () => existsSync(told) && Number(readFileSync(told, 'utf8')) > 0);
  const processId = Number(readFileSync(told, 'utf8'));
  expect(processExists(processId)).toBe(true);
  giveUp.abort(new Error('enough'));
  await refused;
  await until('its end', () => !processExists(processId));
  await expect(worker.ask('installCuda', { folder, ...settings }, { signal })).rejects.toThrow('enough');
  expect((await worker.ask('look', { folder, watcher: 'one' })).exists).toBe(false);
});

test('the environment is looked at from the folder on that is asked about, wherever the editor was started', async () => {
  const { workspace, worker } = await bench();
  const elsewhere = mkdtempSync(join(tmpdir(), 'peft-elsewhere-'));
  const before = process.cwd();
  process.chdir(elsewhere);
  onTestFinished(() => {
    process.chdir(before);
    rmSync(elsewhere, { recursive: true, force: true });
  });
  for (const place of [elsewhere, workspace.folder]) {
    const plant = join(place, 'node_modules', '@tensorflow', 'tfjs-node');
    mkdirSync(plant, { recursive: true });
    writeFileSync(join(plant, 'package.json'), JSON.stringify({ name: '@tensorflow/tfjs-node', version: '0.0.1' }));
    writeFileSync(
      join(plant, 'index.js'),
      `require('node:fs').writeFileSync(${JSON.stringify(join(place, 'loaded'))}, '');\n`,
    );
  }
  const { checks } = await worker.ask('doctor', { folder: workspace.folder, ...settings });
  expect(checks.map(({ name }) => name)).toContain('TensorFlow.js');
  expect([existsSync(join(elsewhere, 'loaded')), existsSync(join(workspace.folder, 'loaded'))]).toEqual([false, true]);
});

test('the CUDA provider is asked for in a process of its own: it is there, or this platform has none', async () => {
  const data = mkdtempSync(join(tmpdir(), 'peft-data-'));
  vi.stubEnv('PEFT_LAB_DATA', data);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(data, { recursive: true, force: true });
  });
  const { workspace, worker } = await bench();
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  const place = join(data, 'runtimes', `onnxruntime-node-${version}-cuda12`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'complete.json'), '{}');
  const asked = worker.ask('installCuda', { folder: workspace.folder, nodePath: '', libraryFolders: [], slots: {} });
  if (process.platform === 'linux' && process.arch === 'x64')
    expect(await asked).toEqual({ folder: place, already: true });
  else await expect(asked).rejects.toThrow('Linux x64 alone');
});

test('a run predicts texts, a file and a split of its own data, and is exported, in a process of its own', async () => {
  const { workspace, worker } = await bench();
  const { folder } = workspace;
  const file = join(folder, workspace.configure('first', { training: { steps: 10 } }));
  const [id = ''] = await worker.ask('submit', { folder, file });
  await worker.ask('supervise', { folder, ...settings, startsQueued: true });
  await workspace.waitFor(id, 'finished');
  const place = { folder, id, ...settings };

  const texts = await worker.ask('predictTexts', { ...place, lines: 'the cat sat\na dog ran' });
  expect(texts.predictions).toHaveLength(2);
  for (const each of texts.predictions) expect(predictedText(each)).toMatch(/^(un)?acceptable \([\d.]+ %\)$/);
  expect(predictedScores(texts)).toBe('2 examples were predicted; their labels are not known.');

  const output = join(folder, 'dev.csv');
  const dev = await worker.ask('predictInto', { ...place, from: { kind: 'split', name: 'dev' }, output });
  expect(predictedScores(dev)).toMatch(/^mcc -?[\d.]+, accuracy [\d.]+, score -?[\d.]+ over \d+ examples\.$/);
  const [header, ...rows] = readFileSync(output, 'utf8').trimEnd().split('\n');
  expect(header).toBe('index,prediction,p(unacceptable),p(acceptable),label,sentence');
  expect(rows).toHaveLength(dev.examples);
  writeFileSync(join(folder, 'new.csv'), 'sentence\nthe cat sat\n');
  const from = { kind: 'file', path: join(folder, 'new.csv') } as const;
  expect(await worker.ask('predictInto', { ...place, from, output })).toMatchObject({ examples: 1 });
  expect(readFileSync(output, 'utf8').split('\n')[0]).not.toContain('label');

  const target = join(folder, 'model');
  const exported = await worker.ask('exportModel', { ...place, target, format: 'model' });
  expect(exported).toMatchObject({ folder: target, architecture: 'BertForSequenceClassification' });
  const adapter = join(folder, 'adapter');
  expect(await worker.ask('exportModel', { ...place, target: adapter, format: 'peft' })).toMatchObject({
    folder: adapter,
  });
  expect(existsSync(join(adapter, 'adapter_config.json'))).toBe(true);
  const refused = worker.ask('exportModel', { ...place, target, format: 'model' });
  await expect(refused).rejects.toThrow(UserError);
  await expect(refused).rejects.toThrow(/^.*model is not empty/);
  const gone = { kind: 'file', path: join(folder, 'gone.csv') } as const;
  await expect(worker.ask('predictInto', { ...place, from: gone, output })).rejects.toThrow('gone.csv');
});

test('what a model says is told in a line', () => {
  expect(predictedText({ prediction: 3.14159 })).toBe('3.14');
  expect(predictedText({ prediction: 'yes', probabilities: { yes: 0.981, no: 0.019 } })).toBe('yes (98.10 %)');
  expect(predictedText({ prediction: ['O', null], words: ['The', 'cat'] })).toBe('The/O cat/–');
  expect(predictedScores({ examples: 3, metrics: { accuracy: 2 / 3 }, coveredByEpsilon: false })).toBe(
    'accuracy 0.6667 over 3 examples. These scores are not covered by epsilon.',
  );
});

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBench, type Bench } from '../../support/cli.ts';
import { tinyConfigJson } from '../../support/tiny-encoder.ts';

let bench: Bench;

beforeAll(async () => {
  bench = await makeBench();
  const file = bench.configure('a', { training: { steps: 10 }, matrix: { method: ['lora', 'head'] } });
  const { code } = await bench.run('run', file);
  expect(code).toBe(0);
});

afterAll(() => bench.remove());

async function json(...args: readonly string[]): Promise<unknown> {
  const { code, out, err } = await bench.run(...args, '--json');
  expect(err).toBe('');
  expect(code).toBe(0);
  return JSON.parse(out) as unknown;
}

const runKeys = [
  ...['id', 'state', 'name', 'model', 'task', 'method', 'seed', 'tags', 'note', 'starred', 'parameters', 'score'],
  ...['bestStep', 'lastScore', 'epsilon', 'step', 'totalSteps', 'epoch', 'loss', 'examplesPerSecond', 'remainingMs'],
  ...[
    'peakBytes',
    'trainSeconds',
    'provider',
    'host',
    'segments',
    'diagnostics',
    'createdAt',
    'startedAt',
    'updatedAt',
  ],
  ...['endedAt', 'failure', 'sweep', 'label', 'folder'],
];

describe('JSON that other programs rely on', () => {
  test('ls and show', async () => {
    const { runs, total } = (await json('ls', '--limit', '1')) as { runs: readonly object[]; total: number };
    expect([runs.length, total]).toEqual([1, 2]);
    expect(Object.keys(runs[0] ?? {})).toEqual(expect.arrayContaining(runKeys));
    const shown = (await json('show', 'latest')) as object;
    expect(Object.keys(shown)).toEqual(
      expect.arrayContaining([
        ...runKeys,
        'best',
        'last',
        'config',
        'environment',
        'evaluations',
        'checkpoints',
        'files',
      ]),
    );
    expect(shown).toMatchObject({ method: 'head', parameters: { method: 0, head: 34, total: 34 }, holder: 'none' });
  });

  test('marks are kept and found', async () => {
    expect(await json('tag', 'latest', 'good', 'old')).toMatchObject({ runs: [{ tags: ['good', 'old'] }] });
    await json('tag', 'latest', 'old', '--remove');
    const refused = await bench.run('tag', 'latest', 'one,two');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('"one,two" cannot be a tag');
    await json('star', 'latest');
    expect(await json('note', 'latest', 'looks right')).toMatchObject({
      runs: [{ tags: ['good'], note: 'looks right', starred: true }],
    });
    expect(await json('ls', '--tag', 'good', '--star', '--text', 'RIGHT')).toMatchObject({
      runs: [{ method: 'head', tags: ['good'], starred: true }],
      total: 1,
    });
    expect(await json('ls', '--method', 'lora', '--tag', 'good')).toEqual({ runs: [], total: 0 });
  });

  test('compare, in every format', async () => {
    const compared = await json('compare');
    expect(compared).toMatchObject({
      columns: ['sst2'],
      metric: 'score',
      rows: [{ label: 'lora' }, { label: 'head' }],
    });
    const csv = await bench.run('compare', '--format', 'csv', '--metric', 'accuracy');
    expect(csv.out.split('\r\n')).toHaveLength(4);
    expect(csv.out).toMatch(/^row,task,metric,at,n,mean,/);
    const markdown = await bench.run('compare', '--format', 'markdown', '--by', 'method', '--parameters', 'method');
    expect(markdown.out).toMatch(/^\| method \| method parameters \| sst2 \| seconds \|\n/);
  });

  test('compare writes a page that calls methods and tasks by their titles, as the editor does', async () => {
    const { code, out } = await bench.run('compare', '--format', 'html');
    expect(code).toBe(0);
    expect(out).toMatch(/"tasks":\{[^}]*"sst2":"SST-2"/);
    expect(out).toMatch(/"method":\{"id":"LoRA"/);
    expect(out).not.toMatch(/"method":\{"id":"lora"/);
  });

  test('compare with differences from a row; what it can not do is wrong usage', async () => {
    expect(await json('compare', '--against', 'head')).toMatchObject({
      against: { row: 'head', differences: [{ row: 'lora', column: 'sst2', n: 1, reason: 'too-few-pairs' }] },
    });
    const refused = await Promise.all([
      bench.run('compare', '--against', 'head', '--format', 'csv'),
      bench.run('compare', '--digits', '200'),
      bench.run('compare', '--by', 'training.adam'),
      bench.run('compare', '--by', 'nothing.like.it'),
      bench.run('compare', '--format', 'csv', '--json'),
      bench.run('logs', 'latest', '--stderr', '--json'),
      bench.run('models', 'a.peft.json'),
      bench.run('params', '--model', 'absent/config.json', '--method', 'lora'),
    ]);
    expect(refused.map(({ code, out }) => [code, out])).toEqual(refused.map(() => [2, '']));
    const says = [
      ...['table, markdown or json', 'whole number from 0 to 100', 'training.adam.beta1', 'a dotted path such as'],
      ...['--json and --format csv', '--stderr prints text', 'there is no folder', 'there is no file absent'],
    ];
    refused.forEach(({ err }, index) => expect(err).toContain(says[index]));
    expect((await bench.run('compare', '--by', 'method.id,task.data')).code).toBe(0);
    expect((await bench.run('compare', '--by', 'method,method')).out).toMatch(/^lora {2}/m);
  });

  test('diff: what runs differ in, and what they came to', async () => {
    const { runs } = (await json('ls')) as { runs: readonly { id: string; score: number }[] };
    const [head, lora] = runs.map(({ id }) => id.slice(-6));
    const told = await json('diff', lora ?? '', head ?? '');
    expect(told).toMatchObject({ runs: [{ id: runs[1]?.id, score: runs[1]?.score }, { id: runs[0]?.id }] });
    const { settings } = told as { settings: readonly { path: string; values: readonly unknown[] }[] };
    expect(settings).toContainEqual({ path: 'method.id', values: ['lora', 'head'], differs: true });
    expect(settings).toContainEqual({ path: 'method.rank', values: [8, null], differs: true });
    expect(settings.filter(({ path }) => path.startsWith('environment.'))).toEqual([]);
    const all = await bench.run('diff', 'latest', lora ?? '', '--all');
    expect(all.out).toMatch(new RegExp(`^ +${head} +${lora}\nmethod.id +head +lora\n`));
    expect(all.out).toMatch(/^training\.steps +10 +10$/m);
    expect(all.out).toMatch(/^environment\.modelFiles +sha256:\w+… +sha256:\w+…$/m);
    expect(all.out).toMatch(/^score +[\d.]+ +[\d.]+\n$/m);
    const refused = await bench.run('diff', 'latest', head ?? '');
    expect(refused).toMatchObject({ code: 2, out: '' });
    expect(refused.err).toContain('one run differs from nothing\n  Name two runs or more.');
    const empty = join(bench.folder, '.peft', 'runs', '20200101-000000000-aaaaaa');
    mkdirSync(empty);
    try {
      for (const command of [['show'], ['diff', 'latest']]) {
        const nothing = await bench.run(...command, 'aaaaaa');
        expect(nothing).toMatchObject({ code: 2, out: '' });
        expect(nothing.err).toContain(`${empty} holds no run`);
      }
    } finally {
      rmSync(empty, { recursive: true });
    }
  });

  test('methods, tasks, models, schema, reindex', async () => {
    const { methods } = (await json('methods')) as { methods: readonly { id: string; options: readonly object[] }[] };
    expect(methods.find(({ id }) => id === 'lora')?.options[0]).toMatchObject({ name: 'rank', default: 8 });
    const { tasks } = (await json('tasks')) as { tasks: readonly { id: string }[] };
    expect(tasks.find(({ id }) => id === 'mnli')).toMatchObject({ pair: true, score: { of: ['accuracy'] } });
    expect(await json('models', 'model')).toMatchObject({
      models: [
        { name: 'peft-lab-mini', source: 'shipped', commit: null, family: 'bert', problem: null },
        { name: 'model', source: 'folder', commit: null, family: 'bert', problem: null },
      ],
    });
    expect(await json('schema')).toMatchObject({ type: 'object' });
    expect(await json('reindex')).toMatchObject({ runs: 2, unreadable: 0, problems: [] });
  });

  test('doctor finds this installation sound', async () => {
    const { checks } = (await json('doctor')) as { checks: readonly { name: string; level: string }[] };
    expect(checks.filter(({ level }) => level === 'problem')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Node', 'onnxruntime', 'computation', 'SQLite', 'workspace', 'disk', 'memory', 'hub']),
    );
  });
});

describe('run --dry-run', () => {
  test('tells what would be trained, with --set from the current folder, and starts nothing', async () => {
    const before = bench.ids();
    const file = bench.configure('sub', { matrix: { method: ['lora', 'bitfit'], 'training.seed': [0, 1] } });
    mkdirSync(join(bench.folder, 'configs'));
    renameSync(join(bench.folder, file), join(bench.folder, 'configs', file));
    const args = ['run', `configs/${file}`, '--dry-run', '--set', 'model=model', '--set', 'task.data=data'];
    const { runs } = (await json(...args)) as { runs: readonly { label: object; configuration: object }[] };
    expect(runs.map(({ label }) => label)).toEqual([
      { method: 'lora', 'training.seed': 0 },
      { method: 'lora', 'training.seed': 1 },
      { method: 'bitfit', 'training.seed': 0 },
      { method: 'bitfit', 'training.seed': 1 },
    ]);
    // The system's own name of the folder may be another than the one it was made by.
    const folder = realpathSync(bench.folder);
    expect(runs[0]?.configuration).toMatchObject({
      model: { id: join(folder, 'model') },
      task: { id: 'sst2', data: join(folder, 'data') },
    });
    const { out, err } = await bench.run(...args);
    expect(out.split('\n').filter(Boolean)).toHaveLength(4);
    expect(err).toContain('4 runs; nothing was started');
    expect(bench.ids()).toEqual(before);
  });
});

describe('params', () => {
  // The numbers are the papers' own, or follow from the sizes by hand.
  test.each([
    ['bert-base-uncased', ['--method', 'lora', '--labels', '2'], [294_912, 1538]],
    ['bert-large-uncased', ['--method', 'lora', '--labels', '3'], [786_432, 3075]],
    ['roberta-base', ['--method', 'slash', '--labels', '1', '--set', 'dimension=2048'], [2048, 769]],
    ['roberta-base', ['--method', 'lora', '--labels', '2', '--set', 'head=linear', '--set', 'rank=1'], [36_864, 1538]],
    ['bert-base-cased', ['--method', 'head', '--labels', '2'], [0, 1538]],
  ])('%s %j', async (model, options, [method, head]) => {
    const { out, code } = await bench.run('params', '--model', model, ...options, '--json');
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^{"method":${method},"head":${head},"total":${(method ?? 0) + (head ?? 0)},`));
  });

  test('of a folder, a config.json without weights and a configuration file', async () => {
    writeFileSync(join(bench.folder, 'config.json'), JSON.stringify(tinyConfigJson));
    const counts = { method: 1024, head: 34, total: 1058 };
    expect(await json('params', '--model', 'model', '--method', 'lora')).toMatchObject(counts);
    expect(await json('params', '--model', 'config.json', '--method', 'lora', '--labels', '2')).toMatchObject(counts);
    expect(await json('params', '--model', bench.configure('b'))).toMatchObject({ ...counts, labels: 2 });
    const words = bench.configure('c', { task: 'usage-tagging' });
    expect(await json('params', '--model', words)).toMatchObject({ head: 51, headLayout: 'token', labels: 3 });
  });

  test('what does not exist is refused with the closest name', async () => {
    const refused = await Promise.all([
      bench.run('params', '--model', 'bert-base-uncase', '--method', 'lora'),
      bench.run('params', '--model', 'bert-base-uncased', '--method', 'lorra'),
      bench.run('params', '--model', 'bert-base-uncased', '--method', 'lora', '--set', 'rnk=1'),
      bench.run('params', '--model', 'bert-base-uncased', '--method', 'lora', '--set', 'rank=0'),
      bench.run('params', '--model', 'bert-base-uncased', '--method', 'lora', '--labels', '0'),
    ]);
    expect(refused.map(({ code, out }) => [code, out])).toEqual(refused.map(() => [2, '']));
    const says = ['"bert-base-uncased"', '"lora"', '"rank"', 'rank', 'whole number'];
    refused.forEach(({ err }, index) => expect(err).toContain(says[index]));
  });
});

test('verify counts what passed and what is not supported, and fails on numbers that are off', async () => {
  const golden = fileURLToPath(new URL('../../fixtures/golden', import.meta.url));
  const report = await json('verify', golden, '--only', 'head_only_bert');
  expect(report).toMatchObject({
    cases: [{ name: 'head_only_bert', status: 'passed' }],
    counts: { passed: 1, failed: 0, unsupported: 0, error: 0 },
  });
  expect(await bench.run('verify', golden, '--only', 'nothing')).toMatchObject({ code: 2, out: '' });
  for (const part of ['head_only_bert', '_models'])
    cpSync(join(golden, part), join(bench.folder, 'golden', part), { recursive: true });
  const expected = join(bench.folder, 'golden', 'head_only_bert', 'expected.safetensors');
  const bytes = readFileSync(expected);
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  for (let at = begin; at + 4 <= bytes.length; at += 4) bytes.writeFloatLE(bytes.readFloatLE(at) * 1.01, at);
  writeFileSync(expected, bytes);
  const off = await bench.run('verify', 'golden');
  expect(off.code).toBe(1);
  expect(off.out).toMatch(/head_only_bert +failed +9\.8e-3/);
  expect(off.out).toContain('0 passed, 1 failed');
});

test('verify tells of a device that is none once, before any case', async () => {
  const golden = fileURLToPath(new URL('../../fixtures/golden', import.meta.url));
  const { code, out, err } = await bench.run('verify', golden, '--device', 'cup');
  expect([code, out]).toEqual([2, '']);
  expect(err).toMatch(/there is no execution provider cup here\n +Did you mean "cpu"/);
});

test('reindex names the runs of which lines could not be read', async () => {
  const [first = ''] = bench.ids();
  const journal = join(bench.runFolder(first), 'journal.jsonl');
  const whole = readFileSync(journal, 'utf8');
  writeFileSync(journal, `${whole}not JSON\n`);
  try {
    const { code, err } = await bench.run('reindex');
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^${first}: 1 line .*show ${first.slice(-6)}\n$`)),
    ]);
  } finally {
    writeFileSync(journal, whole);
  }
});

test('verify passes where some cases are not supported, and fails where none is', async () => {
  const golden = fileURLToPath(new URL('../../fixtures/golden', import.meta.url));
  const copy = join(bench.folder, 'mixed');
  cpSync(join(golden, '_models'), join(copy, '_models'), { recursive: true });
  for (const as of ['known', 'unknown']) cpSync(join(golden, 'head_only_bert'), join(copy, as), { recursive: true });
  const meta = join(copy, 'unknown', 'meta.json');
  writeFileSync(meta, readFileSync(meta, 'utf8').replace('"method": "head only"', '"method": "mystery"'));
  const mixed = await bench.run('verify', 'mixed');
  expect(mixed.code).toBe(0);
  expect(mixed.out).toContain('1 passed, 0 failed, 0 could not be run, 1 unsupported');
  const empty = await bench.run('verify', 'mixed', '--only', 'unknown');
  expect(empty.code).toBe(1);
  expect(empty.out).toContain('0 passed, 0 failed, 0 could not be run, 1 unsupported');
  expect(empty.out).toContain('Nothing is verified');
});

test('a reader that goes away is no error', async () => {
  const program = fileURLToPath(new URL('../../../bin/peft-lab.mjs', import.meta.url));
  const child = spawn(process.execPath, [program, 'schema'], { cwd: bench.folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdout.destroy();
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect([code, err]).toEqual([0, '']);
});

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import type { BudgetStatement } from '../../../src/runs/budget-statement.ts';
import type { JournalEvent } from '../../../src/runs/events.ts';
import { privateRecordFile } from '../../../src/runs/private-training.ts';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(async () => {
  for (const id of bench.ids()) await bench.run('stop', '--force', id);
  bench.remove();
});

const training = { steps: 6, evaluateEvery: 6, checkpointEvery: 3 };

function declare(epsilon: number, data = 'data'): void {
  const text = `// of the committee\n${JSON.stringify({ budgets: [{ data, epsilon, delta: 1e-3 }] })}`;
  writeFileSync(join(bench.folder, 'privacy-budget.json'), text);
}

async function statements(): Promise<readonly BudgetStatement[]> {
  const { out, code } = await bench.run('privacy', 'budget', '--json');
  expect(code).toBe(0);
  return (JSON.parse(out) as { dataSets: BudgetStatement[] }).dataSets;
}

function ledgerOf(index: number): Extract<JournalEvent, { type: 'privacy' }> {
  const found = bench.events(bench.ids()[index] ?? '').find((event) => event.type === 'privacy');
  if (found === undefined) throw new Error('the run has no ledger');
  return found;
}

describe('a project with a privacy budget', () => {
  test('refuses what would exceed it in a dry run too, which makes nothing, and tells of data that are not there', async () => {
    declare(0.1);
    const file = bench.configure('dear', { training, privacy: { noiseMultiplier: 2 } });
    const refused = await bench.run('run', file, '--dry-run');
    expect([refused.code, refused.out]).toEqual([2, '']);
    expect(refused.err).toContain("the project's budget for data is epsilon 0.1 at delta 0.001");
    expect((await bench.run('run', file, '--dry-run', '--exceed-budget')).code).toBe(0);
    expect(existsSync(join(bench.folder, '.peft'))).toBe(false);
    declare(0.1, 'dta');
    const { code, err } = await bench.run('privacy', 'budget');
    expect(code).toBe(0);
    expect(err).toMatch(/warning: privacy-budget\.json names dta, and there is no .*dta/);
  });

  test('composes its runs, refuses one that would exceed it, and lets it through on the user’s word', async () => {
    // Each of the two is within it by itself (0.44 and 1.51), their composition is not (1.58).
    declare(1.55);
    const first = bench.configure('first', { training, privacy: { noiseMultiplier: 2 } });
    expect(await bench.run('run', first)).toMatchObject({ code: 0 });
    // Other noise, another rate, and the same data under another name.
    cpSync(join(bench.folder, 'data'), join(bench.folder, 'copy'), { recursive: true });
    const second = bench.configure('second', {
      training: { ...training, batchSize: 16 },
      task: { id: 'sst2', data: 'copy' },
      privacy: { noiseMultiplier: 1.5 },
    });
    const refused = await bench.run('run', second);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("the project's budget for data is epsilon 1.55 at delta 0.001");
    expect(refused.err).toContain('--exceed-budget');
    expect(bench.ids()).toHaveLength(1);

    const before = await statements();
    const phases = [{ samplingRate: 0.125, noiseMultiplier: 2, steps: 6 }];
    expect(before).toMatchObject([
      { data: 'data', budget: { epsilon: 1.55, delta: 1e-3 }, phases, withoutPrivacy: [] },
    ]);
    const alone = privacySpent(phases, 1e-3).epsilon;
    expect(before[0]?.spent?.epsilon).toBe(alone);
    expect(before[0]?.left).toBe(1.55 - alone);

    expect(await bench.run('run', second, '--exceed-budget')).toMatchObject({ code: 0 });
    const [after] = await statements();
    const both = [...phases, { samplingRate: 0.25, noiseMultiplier: 1.5, steps: 6 }];
    expect(after?.phases).toEqual(both);
    expect(after?.spent?.epsilon).toBe(privacySpent(both, 1e-3).epsilon);
    expect(after?.spent?.epsilon).toBeGreaterThan(1.55);
    expect(after?.left).toBe(0);
    expect(after?.runs.map(({ state, counted }) => [state, counted])).toEqual([
      ['finished', 'released'],
      ['finished', 'released'],
    ]);

    // The same file has the same id, which is no plain hash of it, and whose key only its owner can read.
    expect(ledgerOf(0).trainingData).toEqual(ledgerOf(1).trainingData);
    expect(ledgerOf(0).trainingData?.[0]).toMatch(/^[0-9a-f]{8}:[0-9a-f]{32}$/);
    expect(statSync(join(bench.folder, '.peft', 'data-key')).mode & 0o777).toBe(0o600);

    // Deleting a run takes nothing back.
    expect((await bench.run('rm', ...bench.ids())).code).toBe(0);
    const [kept] = await statements();
    expect(kept?.phases).toEqual(both);
    expect(kept?.runs.map(({ state }) => state)).toEqual(['deleted', 'deleted']);
    expect((await bench.run('privacy', 'budget')).out).toMatch(/^data: budget epsilon 1\.55 at delta 0\.001, spent \d/);
  });

  test('refuses runs that no epsilon covers: without privacy, and with a known seed', async () => {
    declare(8);
    const open = await bench.run('run', bench.configure('open', { training }));
    expect(open.code).toBe(2);
    expect(open.err).toContain('not private');
    expect(open.err).toContain('Train with privacy, change');
    const seeded = bench.configure('seeded', { training, privacy: { noiseMultiplier: 2, insecureSeed: 1 } });
    const { code, err } = await bench.run('run', seeded);
    expect(code).toBe(2);
    expect(err).toContain('would make it unbounded');
    // The same data found from a folder above, through a link, and as a copy.
    mkdirSync(join(bench.folder, 'tasks'));
    cpSync(join(bench.folder, 'data'), join(bench.folder, 'tasks', 'SST-2'), { recursive: true });
    symlinkSync(join(bench.folder, 'data'), join(bench.folder, 'linked'));
    for (const data of ['tasks', 'linked', { train: 'linked/train.tsv', dev: 'data/dev.tsv' }]) {
      const same = await bench.run('run', bench.configure('same', { training, task: { id: 'sst2', data } }));
      expect(same.code).toBe(2);
      expect(same.err).toContain('not private');
    }
    expect(bench.ids()).toEqual([]);
    // Data that no budget names are nobody's concern.
    cpSync(join(bench.folder, 'data', 'dev.tsv'), join(bench.folder, 'other.tsv'));
    const other = bench.configure('other', {
      training,
      task: { id: 'sst2', data: { train: 'other.tsv', dev: 'other.tsv' } },
    });
    expect(await bench.run('run', other)).toMatchObject({ code: 0 });
  });

  test('stops a run at its trainer that waited when the budget was declared', async () => {
    const file = bench.configure('two', {
      training: { ...training, steps: 1500, evaluateEvery: 1500, checkpointEvery: 100 },
      privacy: { noiseMultiplier: 2 },
      matrix: { 'training.seed': [0, 1] },
    });
    const life = bench.start('run', file);
    await bench.wait(0, (event) => event.type === 'step' && event.step >= 5);
    declare(0.5);
    const { code, err } = await life.ended;
    expect(code).toBe(2);
    const [first = '', second = ''] = bench.ids();
    expect(bench.events(first).at(-1)?.type).toBe('finished');
    const events = bench.events(second);
    expect(events.at(-1)).toMatchObject({ type: 'failed', kind: 'user', step: 0 });
    expect(events.some(({ type }) => type === 'step')).toBe(false);
    expect(err).toContain("the project's budget for data is epsilon 0.5");
  });

  test('stops a run without privacy at its trainer, wherever its configuration says that the data are', async () => {
    symlinkSync(join(bench.folder, 'data'), join(bench.folder, 'linked'));
    const long = { ...training, steps: 400, evaluateEvery: 400 };
    const file = bench.configure('open', {
      training: long,
      task: { id: 'sst2', data: 'linked' },
      matrix: { 'training.seed': [0, 1] },
    });
    const life = bench.start('run', file);
    await bench.wait(0, (event) => event.type === 'step' && event.step >= 5);
    declare(8);
    expect((await life.ended).code).toBe(2);
    expect(bench.events(bench.ids()[1] ?? '').at(-1)).toMatchObject({ type: 'failed', kind: 'user', step: 0 });
  });

  test('refuses to resume a run that would exceed it, and counts what that has released', async () => {
    const file = bench.configure('queued', {
      training: { ...training, steps: 4000, checkpointEvery: 20 },
      privacy: { noiseMultiplier: 2 },
    });
    const life = bench.start('run', file);
    const { id } = await bench.wait(0, (event) => event.type === 'step' && event.step >= 20);
    await bench.run('stop', id);
    await life.ended;
    const steps = bench.events(id).filter(({ type }) => type === 'step').length;
    declare(0.5);
    const refused = await bench.run('resume', id);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('epsilon 0.5');
    const [statement] = await statements();
    expect(statement?.phases).toMatchObject([{ steps }]);
    expect(statement?.runs).toMatchObject([{ state: 'stopped', counted: 'released' }]);
  });

  test('a budget that says something else is told of with its place, and nothing is started', async () => {
    writeFileSync(join(bench.folder, 'privacy-budget.json'), '{\n  "budgets": [{ "data": "data", "epsilom": 3 }]\n}');
    const { code, err } = await bench.run('run', bench.configure('a', { training, privacy: { epsilon: 1 } }));
    expect(code).toBe(2);
    expect(err).toContain('privacy-budget.json:2');
    expect(existsSync(join(bench.folder, '.peft', 'runs')) ? bench.ids() : []).toEqual([]);
  });

  test('what leaves a private run holds nothing that epsilon does not cover', async () => {
    const file = bench.configure('full', { training, method: 'full', privacy: { noiseMultiplier: 2 } });
    expect(await bench.run('run', file)).toMatchObject({ code: 0 });
    const [id = ''] = bench.ids();
    const record = readFileSync(privateRecordFile(bench.runFolder(id)), 'utf8');
    const telling = [...record.matchAll(/"(?:loss|gradientNorm)":(\d\.\d{6,})/g)].flatMap(([, number]) => number ?? []);
    expect(telling.length).toBeGreaterThan(5);
    const said: string[] = [];
    for (const format of ['table', 'csv', 'json', 'markdown', 'html'])
      said.push((await bench.run('compare', '--format', format)).out);
    for (const command of ['show', 'logs', 'audit']) said.push((await bench.run(command, id, '--json')).out);
    const out = join(bench.folder, 'exported');
    expect(await bench.run('export', id, out)).toMatchObject({ code: 0 });
    for (const name of readdirSync(out, { recursive: true, encoding: 'utf8' }))
      if (statSync(join(out, name)).isFile()) said.push(readFileSync(join(out, name), 'latin1'));
    expect(said.every((text) => text.length > 0)).toBe(true);
    expect(telling.filter((number) => said.some((text) => text.includes(number)))).toEqual([]);
  });

  test('an empty project says so', async () => {
    expect((await bench.run('privacy', 'budget')).out).toContain('No budget is declared');
    expect(await statements()).toEqual([]);
    expect(readFileSync(join(bench.folder, 'data', 'train.tsv'), 'utf8')).not.toBe('');
  });
});

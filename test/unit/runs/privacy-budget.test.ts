import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileError } from '../../../src/base/errors.ts';
import { writeCheckpoint } from '../../../src/engine/checkpoint-file.ts';
import { atStart } from '../../../src/engine/trainer-state.ts';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import type { Phase } from '../../../src/privacy/mechanism.ts';
import { budgetJsonSchema, readBudgets } from '../../../src/runs/budget-file.ts';
import { budgetStatements } from '../../../src/runs/budget-statement.ts';
import { checkpointPath } from '../../../src/runs/checkpoints.ts';
import { dataIds } from '../../../src/runs/data-id.ts';
import type { Unstamped } from '../../../src/runs/events.ts';
import { keepAccount } from '../../../src/runs/privacy-accounts.ts';
import { dataSetAccounts, spentOn } from '../../../src/runs/privacy-budget.ts';
import { workspaceAt } from '../../../src/runs/run-folder.ts';
import { idOf } from '../../integration/webviews/some-runs.ts';
import { configuration, line, makeWorkspace, segmentOf, started, step, type Workspace } from '../store/workspace.ts';

let made: Workspace;

beforeEach(() => {
  made = makeWorkspace();
});

afterEach(() => {
  made.remove();
});

interface Made {
  readonly place: string;
  readonly ids: readonly string[];
  readonly phase: Phase;
  /** Whether it has finished; otherwise it was cut off, so that what it released counts. */
  readonly finished?: boolean;
}

function write(index: number, { place, ids, phase, finished = true }: Made): string {
  const id = idOf(index);
  const { samplingRate, noiseMultiplier, steps } = phase;
  made.write(
    id,
    'config.json',
    configuration({
      task: { id: 'sst2', data: place },
      privacy: { noiseMultiplier },
      device: { provider: 'cpu' },
      launcher: 'local',
    }),
  );
  const ledger: Unstamped = {
    type: 'privacy',
    relation: 'add-or-remove-one',
    unit: 'example',
    sampling: 'poisson',
    examples: 1000,
    trainingData: [...ids],
    samplingRate,
    expectedBatchSize: 1000 * samplingRate,
    chunkSize: 8,
    noiseMultiplier,
    maxGradNorm: 0.1,
    clipping: 'flat',
    delta: 1e-4,
    accountant: 'tightest',
    plannedSteps: steps + 5,
    repeatedSteps: 0,
    generator: 'ChaCha20',
    keyId: `key ${index}`,
    insecure: false,
  };
  const steps_ = Array.from({ length: steps }, (_, each) => step(each + 1, null));
  const end: Unstamped = {
    type: 'finished',
    step: steps,
    reason: 'completed',
    last: {},
    trainSeconds: 1,
    peakResidentBytes: 1,
  };
  const events = segmentOf(0, [ledger, started(1), ...steps_, ...(finished ? [end] : [])]);
  made.write(id, 'journal.jsonl', events.map(line).join(''));
  return id;
}

function declare(budgets: readonly Readonly<Record<string, unknown>>[]): void {
  writeFileSync(join(made.root, 'privacy-budget.json'), JSON.stringify({ budgets }));
}

async function removeRuns(...ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await keepAccount(workspaceAt(made.root), id);
    rmSync(join(made.runsFolder, id), { recursive: true });
  }
}

const phases = fc.record({
  samplingRate: fc.constantFrom(0.01, 0.05, 0.2),
  noiseMultiplier: fc.constantFrom(0.8, 1.3, 3),
  steps: fc.integer({ min: 1, max: 8 }),
});

describe('a run that was cut off', () => {
  it('has released every step whose line is whole, when the last one is not', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 8 };
    const id = write(0, { place: join(made.root, 'data'), ids: ['k:1'], phase, finished: false });
    const file = join(made.runsFolder, id, 'journal.jsonl');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.slice(0, -40));
    const [account] = await dataSetAccounts(workspaceAt(made.root));
    expect(account?.runs.map(({ phase: { steps } = { steps: NaN } }) => steps)).toEqual([7]);
  });
});

describe('a data set', () => {
  it('of one run has spent what the run costs by itself', async () => {
    // Calibrated to epsilon 8, for which a coarse bound says 8.004.
    const phase = { samplingRate: 32 / 120, noiseMultiplier: 2.42573, steps: 400 };
    declare([{ data: 'data', epsilon: 8, delta: 1 / 240 }]);
    write(0, { place: join(made.root, 'data'), ids: ['k:1'], phase });
    const [statement] = await budgetStatements(workspaceAt(made.root));
    expect(statement?.runs[0]?.epsilon).toBe(statement?.spent?.epsilon);
    expect(statement?.spent?.epsilon).toBeLessThan(8);
  });

  it('has all runs on data in its place or with its contents, and composes them in whatever order', async () => {
    const at = (name: string): string => join(made.root, name);
    // What a run was made with never changes, so each is another one.
    let index = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ place: fc.constantFrom('data', 'data/sst2', 'copy', 'other'), phase: phases }), {
          minLength: 1,
          maxLength: 5,
        }),
        async (runs) => {
          made.remove();
          mkdirSync(made.runsFolder, { recursive: true });
          declare([{ data: 'data', epsilon: 3, delta: 1e-4 }]);
          // What lies in `copy` are the files of `data`; only contents tell.
          for (const { place, phase } of runs)
            write(index++, { place: at(place), ids: place === 'other' ? ['k:2'] : ['k:1'], phase });
          const accounts = await dataSetAccounts(workspaceAt(made.root));
          const [budgeted, rest] = accounts;
          if (budgeted === undefined) throw new Error('the budget is missing');
          // Without a run in its place nobody knows what its contents are.
          const isKnown = runs.some(({ place }) => place.startsWith('data'));
          const own = runs.filter(({ place }) => place !== 'other' && (isKnown || place !== 'copy'));
          expect(budgeted.runs).toHaveLength(own.length);
          const others = runs.length - own.length;
          expect(accounts.slice(1).reduce((sum, account) => sum + account.runs.length, 0)).toBe(others);
          if (rest !== undefined) expect(rest.budget).toBeUndefined();
          const composed = privacySpent(
            own.map(({ phase }) => phase),
            1e-4,
          );
          const spent = spentOn(budgeted);
          expect(spent?.upper).toBeGreaterThanOrEqual(composed.lower * (1 - 1e-9));
          expect(spent?.lower).toBeLessThanOrEqual(composed.upper * (1 + 1e-9));
          for (const { phase } of own)
            expect(spent?.epsilon).toBeGreaterThanOrEqual(privacySpent([phase], 1e-4).lower * (1 - 1e-9));
        },
      ),
      { numRuns: 12 },
    );
  });

  it('counts what a run has released once it has ended, whatever it had planned', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 7 };
    write(1, { place: '/data', ids: [], phase });
    write(2, { place: '/data', ids: [], phase, finished: false });
    const [statement] = await budgetStatements(workspaceAt(made.root));
    expect(statement).toMatchObject({ data: '/data', budget: null, left: null, examples: 1000 });
    expect(statement?.runs.map(({ state, counted, steps }) => [state, counted, steps])).toEqual([
      ['finished', 'released', 7],
      ['interrupted', 'released', 7],
    ]);
    expect(statement?.spent?.epsilon).toBe(privacySpent([{ ...phase, steps: 14 }], 1e-4).epsilon);
  });

  it('counts the steps that the end of a run shows, also where their own lines are missing', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 7 };
    const id = write(1, { place: '/data', ids: [], phase });
    const lines = readFileSync(made.file(id, 'journal.jsonl'), 'utf8').split('\n');
    made.write(id, 'journal.jsonl', lines.filter((text) => !/"step":[4-7],"epoch"/.test(text)).join('\n'));
    const [statement] = await budgetStatements(workspaceAt(made.root));
    expect(statement?.runs.map(({ steps }) => steps)).toEqual([7]);
  });

  it('counts the steps that the last checkpoint shows, whatever became of the journal', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 7 };
    const id = write(1, { place: '/data', ids: [], phase, finished: false });
    mkdirSync(made.file(id, 'checkpoints'), { recursive: true });
    const progress = { ...atStart, step: 7 };
    const state = { progress, values: new Map(), optimiserStep: 7, optimiser: new Map() };
    await writeCheckpoint(made.file(id, checkpointPath('last')), state, new Map(), { segment: 0, offset: 0 });
    const whole = readFileSync(made.file(id, 'journal.jsonl'), 'utf8').split('\n');
    const toldOf = async (lines: readonly string[]): Promise<unknown> => {
      made.write(id, 'journal.jsonl', lines.join('\n'));
      const [statement] = await budgetStatements(workspaceAt(made.root));
      return statement?.runs[0];
    };
    expect(await toldOf(whole)).toMatchObject({ steps: 7, noiseMultiplier: 1 });
    expect(await toldOf(whole.slice(0, 5))).toMatchObject({ steps: 7, noiseMultiplier: 1 });
    expect(await toldOf([])).toMatchObject({ steps: 7, noiseMultiplier: 0 });
  });

  it('has no bound where a private run’s ledger is damaged, and counts by the ledger where the configuration is', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 7 };
    const lost = write(1, { place: '/data', ids: ['k:1'], phase });
    const journal = readFileSync(made.file(lost, 'journal.jsonl'), 'utf8');
    made.write(lost, 'journal.jsonl', journal.replace('"noiseMultiplier":', '"noiseMultiplier";'));
    const unconfigured = write(2, { place: '/other', ids: ['k:2'], phase });
    made.write(unconfigured, 'config.json', '{');
    const [unbounded, bounded] = await budgetStatements(workspaceAt(made.root));
    expect(unbounded).toMatchObject({ data: '/data', runs: [{ run: lost, steps: 7, noiseMultiplier: 0 }] });
    expect(bounded?.runs).toMatchObject([{ run: unconfigured, steps: 7, noiseMultiplier: 1 }]);
    await removeRuns(lost, unconfigured);
    expect((await dataSetAccounts(workspaceAt(made.root))).flatMap(({ runs }) => runs)).toMatchObject([
      { run: lost, state: 'deleted', phase: { noiseMultiplier: 0, steps: 7 } },
      { run: unconfigured, state: 'deleted', phase },
    ]);
  });

  it('refuses to be told without a deleted run whose record is damaged', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 7 };
    const [kept, id] = [write(1, { place: '/data', ids: [], phase }), write(2, { place: '/data', ids: [], phase })];
    await removeRuns(id);
    const file = join(made.root, '.peft', 'removed-private-runs.jsonl');
    const text = readFileSync(file, 'utf8');
    // Of a deletion that was cut off the run is still there.
    writeFileSync(file, `${text.replace(id, kept).slice(0, 60)}\n${text}`);
    expect((await dataSetAccounts(workspaceAt(made.root))).flatMap(({ runs }) => runs)).toHaveLength(2);
    writeFileSync(file, `${text}${text.replace(id, idOf(3)).slice(0, 60)}\n`);
    await expect(dataSetAccounts(workspaceAt(made.root))).rejects.toThrow(FileError);
    await expect(dataSetAccounts(workspaceAt(made.root))).rejects.toThrow(`${file}:2: this line is damaged`);
  });

  it('joins places that a run’s contents connect, also those that were apart before', async () => {
    const phase = { samplingRate: 0.05, noiseMultiplier: 1, steps: 2 };
    write(1, { place: '/a', ids: ['k:1'], phase });
    write(2, { place: '/b', ids: ['k:2'], phase });
    write(3, { place: '/c', ids: ['k:3'], phase });
    expect(await dataSetAccounts(workspaceAt(made.root))).toHaveLength(3);
    write(4, { place: '/d', ids: ['k:1', 'k:2'], phase });
    const joined = await dataSetAccounts(workspaceAt(made.root));
    expect(joined.map(({ runs }) => runs.length).toSorted()).toEqual([1, 3]);
  });

  it('is recognised by the files that lie at its place before any run was on them', async () => {
    mkdirSync(join(made.root, 'data', 'SST-2'), { recursive: true });
    const file = join(made.root, 'data', 'SST-2', 'train.tsv');
    writeFileSync(file, 'sentence\tlabel\ngood\t1\n');
    declare([{ data: 'data', epsilon: 3, delta: 1e-4 }]);
    const ids = await dataIds(join(made.root, '.peft'), [file]);
    write(1, { place: '/elsewhere', ids, phase: { samplingRate: 0.05, noiseMultiplier: 1, steps: 2 } });
    const [budgeted, ...others] = await dataSetAccounts(workspaceAt(made.root));
    expect(budgeted?.runs).toHaveLength(1);
    expect(others).toEqual([]);
  });
});

describe('the budget file', () => {
  it('is read with comments, from the folder that it lies in', () => {
    writeFileSync(
      join(made.root, 'privacy-budget.json'),
      '// ours\n{ "budgets": [{ "data": "./data", "epsilon": 2, "delta": 1e-6, "note": "x", }] }',
    );
    expect(readBudgets({ folder: made.root })).toEqual([
      { data: './data', place: join(made.root, 'data'), epsilon: 2, delta: 1e-6 },
    ]);
    expect(readBudgets({ folder: join(made.root, '.peft') })).toEqual([]);
  });

  it.each([
    ['{', 1, 'expected a closing brace'],
    ['', 1, 'the file is empty'],
    ['['.repeat(20_000), 1, 'brackets within one another'],
    // Which of the two holds would decide what may be spent.
    ['{\n "budgets": [{ "data": "a", "epsilon": 1,\n "epsilon": 100, "delta": 1e-5 }]\n}', 3, 'written twice'],
    ['{}', 1, 'budgets: missing'],
    ['{\n "budgets": [\n  { "data": "a", "epsilon": 0, "delta": 1e-5 }]\n}', 3, 'budgets[0].epsilon'],
    ['{\n "budgets": [{ "data": "a", "epsilon": 1, "delta": 1 }]\n}', 2, 'budgets[0].delta'],
    ['{\n "budgets": [{ "data": "a", "epsilon": 1, "delta": 1e-200 }]\n}', 2, 'budgets[0].delta'],
    ['{\n "budgets": [{ "data": "a", "epsilon": 1, "delta": 1e-5, "epsilom": 1 }]\n}', 2, 'Did you mean "epsilon"'],
  ])('that says something else is no budget, and told of with its line: $2', (text, at, message) => {
    writeFileSync(join(made.root, 'privacy-budget.json'), text);
    let thrown: unknown;
    try {
      readBudgets({ folder: made.root });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FileError);
    expect(thrown).toMatchObject({ line: at });
    expect(String(thrown)).toContain(message);
  });

  it('has a schema for editors', () => {
    expect(budgetJsonSchema()).toMatchObject({
      type: 'object',
      required: ['budgets'],
      properties: { budgets: { items: { required: ['data', 'epsilon', 'delta'] } } },
    });
  });
});

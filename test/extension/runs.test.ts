import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, suiteSetup, test } from 'mocha';
import * as vscode from 'vscode';
import { readJournal } from '../../src/runs/journal.ts';
import { leaseFile, readLease } from '../../src/runs/lease.ts';
import { readMarks } from '../../src/runs/marks.ts';
import { processExists } from '../../src/runs/process-identity.ts';
import { listRuns, runFolder } from '../../src/runs/run-folder.ts';
import { until } from '../support/until.ts';
import { configure, extension, folder, lenses, newRun, open, read, stateOf, waitFor, workspace } from './host.ts';

suite('runs in the editor', () => {
  const ref = (id: string): { readonly folder: string; readonly id: string } => ({
    folder: folder().uri.toString(),
    id,
  });
  const steps = (id: string): number =>
    readJournal(runFolder(workspace(), id)).events.filter(({ type }) => type === 'step').length;

  /** Starts a file by its lens, as a click does. */
  async function start(uri: vscode.Uri): Promise<string> {
    await open(uri);
    const [lens] = await lenses(uri);
    assert.ok(lens?.command);
    const known = listRuns(workspace());
    void vscode.commands.executeCommand(
      lens.command.command,
      ...((lens.command.arguments ?? []) as readonly unknown[]),
    );
    return newRun(known);
  }

  suiteSetup(async () => {
    await extension();
  });

  test('a run is started by its lens, trains and finishes', async () => {
    const id = await start(configure('first'));
    await waitFor(id, 'finished');
    assert.equal(steps(id), 20);
    assert.equal(read('.peft', '.gitignore').trim(), '*');
  });

  test('a run is in a process of its own, which the extension host could leave behind', async () => {
    const id = await start(
      configure('detached', { training: { steps: 100_000, batchSize: 16, checkpointEvery: 90_000 } }),
    );
    const trainer = await until('the trainer', () => {
      const lease = readLease(leaseFile(runFolder(workspace(), id)));
      return lease?.role === 'trainer' ? lease.holder.processId : undefined;
    });
    assert.notEqual(trainer, process.pid);
    await until('steps', () => steps(id) > 5);
    const checkpoints = (): number =>
      readJournal(runFolder(workspace(), id)).events.filter(({ type }) => type === 'checkpoint').length;
    const before = checkpoints();
    await vscode.commands.executeCommand('peft.saveCheckpoint', ref(id));
    assert.ok(checkpoints() > before, 'the command ends when the checkpoint is written');
    // Linux: it leads a process group of its own, so that no signal for the editor reaches it.
    if (process.platform === 'linux') {
      const [, , group] = readFileSync(`/proc/${trainer}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      assert.equal(Number(group), trainer);
    }
    await vscode.commands.executeCommand('peft.stopRun', ref(id));
    await waitFor(id, 'stopped');
    await until('its process to end', () => !processExists(trainer));
  });

  test('a stopped run is resumed where it was, and can be stopped again', async () => {
    const id = listRuns(workspace()).find((each) => stateOf(each) === 'stopped');
    assert.ok(id);
    const before = steps(id);
    await vscode.commands.executeCommand('peft.resumeRun', ref(id));
    await until('more steps', () => steps(id) > before);
    await vscode.commands.executeCommand('peft.stopRun', ref(id));
    await waitFor(id, 'stopped');
    const numbers = readJournal(runFolder(workspace(), id)).events.flatMap((event) =>
      event.type === 'step' ? [event.step] : [],
    );
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
      'no step is missing or done twice',
    );
  });

  test('a star is kept with the run', async () => {
    const [id] = listRuns(workspace());
    assert.ok(id);
    await vscode.commands.executeCommand('peft.starRun', ref(id));
    await until('the mark', () => readMarks(runFolder(workspace(), id)).some(({ type }) => type === 'star'));
  });

  test('the privacy planner opens, once, and for what has been answered', async () => {
    const tabs = (): readonly string[] =>
      vscode.window.tabGroups.all
        .flatMap(({ tabs: all }) => all)
        .flatMap(({ input }) => (input instanceof vscode.TabInputWebview ? [input.viewType] : []))
        .filter((type) => type.endsWith('peft.privacyPlan'));
    await vscode.commands.executeCommand('peft.planPrivacyBudget');
    await until('its tab', () => tabs().length === 1);
    await vscode.commands.executeCommand('peft.planPrivacyBudget');
    assert.equal(tabs().length, 1);
    await vscode.commands.executeCommand('workbench.action.closeAllEditors');
  });

  test('a private run trains, and its file is checked beside the budget', async () => {
    const budget = join(workspace().folder, 'privacy-budget.json');
    writeFileSync(budget, JSON.stringify({ budgets: [{ data: 'data', epsilon: 1e3, delta: 1e-2 }] }));
    const id = await start(configure('private', { privacy: { noiseMultiplier: 2 } }));
    await waitFor(id, 'finished');
    const ledger = readJournal(runFolder(workspace(), id)).events.find(({ type }) => type === 'privacy');
    assert.ok(ledger);
    rmSync(budget);
  });

  test('panels of runs and comparisons open', async () => {
    const [id] = listRuns(workspace());
    assert.ok(id);
    await vscode.commands.executeCommand('peft.openRun', ref(id));
    await vscode.commands.executeCommand('peft.compareRuns', { kind: 'everything' });
    await until('both tabs', () => {
      const types = vscode.window.tabGroups.all
        .flatMap(({ tabs }) => tabs)
        .flatMap(({ input }) => (input instanceof vscode.TabInputWebview ? [input.viewType] : []));
      return ['peft.run', 'peft.comparison'].every((type) => types.some((each) => each.endsWith(type)));
    });
    await vscode.commands.executeCommand('workbench.action.closeAllEditors');
    assert.ok(existsSync(runFolder(workspace(), id)));
  });
});

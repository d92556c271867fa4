import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { packageExtension, ownTarget } from '../../scripts/package.ts';
import { startServer, type VSCodeServerProcess } from '../../scripts/vscode/server.ts';
import { processExists } from '../../src/runs/process-identity.ts';
import { readJournal } from '../../src/runs/journal.ts';
import { makeEditorWorkspace, type EditorWorkspace } from '../support/editor-workspace.ts';
import { until } from '../support/until.ts';
import { openWindow, type Workbench } from '../support/workbench.ts';

const root = join(import.meta.dirname, '..', '..');

/** What a person does from the first look at a folder to an exported comparison, in one window of a real VS Code. */
describe('a person with PEFT Lab', () => {
  let directory: string;
  let workspace: EditorWorkspace;
  let server: VSCodeServerProcess;
  let editor: Workbench;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'peft-e2e-'));
    workspace = await makeEditorWorkspace();
    workspace.configure('bitfit', { method: 'bitfit', training: { epochs: 2 } });
    workspace.configure('long', { method: 'lora', training: { steps: 200_000, checkpointEvery: 50 } });
    const vsix = await packageExtension(ownTarget() ?? '', directory);
    server = await startServer({
      directory,
      vsix: [vsix],
      environment: { HF_HUB_OFFLINE: '1' },
    });
    editor = await openWindow({ url: server.url, folder: workspace.folder });
    await editor.ready();
  });

  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    // What the window looked like and what the extension logged tell more than the message.
    await editor.screenshot(join(root, '.cache', 'e2e', 'failed.png'));
    process.stdout.write(`${server.extensionLog()}\n`);
  });

  afterAll(async () => {
    await editor.close();
    await server.stop();
    await workspace.remove();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });

  /** The highest step that a run has written. */
  function step(id: string): number {
    return readJournal(workspace.runFolder(id)).events.reduce(
      (highest, event) => (event.type === 'step' ? Math.max(highest, event.step) : highest),
      0,
    );
  }

  it('sees an explorer that says how to begin', async () => {
    await editor.openContainer('PEFT Lab');
    await editor.page.locator('.part.sidebar').getByRole('button', { name: 'Start Run' }).first().waitFor();
  });

  let first: string;

  it('starts a run from the palette, step by step', async () => {
    const known = workspace.ids();
    await editor.runCommand('PEFT: Start Run');
    await editor.pick('New configuration').click();
    await editor.pick('tiny-bert').click();
    await editor.pick('CoLA').click();
    await editor.pick('data').click();
    await until('the number of trained parameters', () => editor.pick(/LoRA.*trained/).isVisible());
    await editor.pick('LoRA').click();
    await editor.pick('1 run').click();
    await editor.pick('None').click();
    await editor.pick('cpu').click();
    await editor.pick('Start').click();
    first = await workspace.newRun(known);
  });

  it('watches it finish in the explorer and in its panel', async () => {
    await workspace.waitFor(first, 'finished');
    const row = editor.treeRow(workspace.nameOf(first) ?? '').first();
    await row.waitFor();
    await until('the row to say finished', async () => /finished/i.test((await row.getAttribute('aria-label')) ?? ''));
    const panel = await editor.webview(workspace.nameOf(first) ?? '');
    await panel.getByRole('status').filter({ hasText: 'Finished' }).waitFor();
    await panel.getByRole('tab', { name: 'Results' }).click();
    expect(await panel.getByRole('row').count()).toBeGreaterThan(1);
  });

  let second: string;

  it('starts a second with another method from a file', async () => {
    const known = workspace.ids();
    await editor.openFile('bitfit.peft.json');
    await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).click();
    second = await workspace.newRun(known);
    await workspace.waitFor(second, 'finished');
    await editor.treeRow('bitfit').first().waitFor();
  });

  it('compares the two', async () => {
    await editor.runCommand('PEFT: Compare Runs');
    await editor.pick('All runs').click();
    const panel = await editor.webview('Comparison');
    for (const method of ['lora', 'bitfit']) await panel.getByRole('row', { name: method }).first().waitFor();
  });

  it('holds the settings of the two against each other', async () => {
    await editor.runCommand('PEFT: Compare Settings');
    for (const run of [workspace.nameOf(first) ?? '', 'bitfit']) await editor.pick(run).click();
    await editor.page.keyboard.press('Enter');
    await editor.page.getByRole('tab', { name: /^Settings: .* ↔ .*/ }).waitFor();
    const changed = editor.page.locator('.editor.modified .view-line').filter({ hasText: '"method"' });
    await changed.first().waitFor();
    await editor.screenshot(join(root, '.cache', 'e2e', 'settings.png'));
    await editor.runCommand('View: Close Editor');
  });

  it('exports the comparison, with the numbers that the command line has', async () => {
    // On a busy machine the panel that has just opened may take the focus, which closes the list.
    await until('the format', async () => {
      await editor.runCommand('PEFT: Export Comparison…');
      const chosen = editor.pick('Markdown').click({ timeout: 15_000 });
      return chosen.then(
        () => true,
        () => false,
      );
    });
    await until('the path to write to', async () => (await editor.quickInput.inputValue()).endsWith('comparison.md'));
    await editor.page.keyboard.press('Enter');
    const file = join(workspace.folder, 'comparison.md');
    await until('the file', () => existsSync(file));
    const { stdout } = spawnSync(
      process.execPath,
      [join(root, 'bin', 'peft-lab.mjs'), '--folder', workspace.folder, 'compare', '--format', 'markdown'],
      { encoding: 'utf8' },
    );
    await until('its content', () => readFileSync(file, 'utf8') !== '');
    expect(readFileSync(file, 'utf8').trim()).toBe(stdout.trim());
  });

  it('predicts with a run that has ended: a text, and a split into a file', async () => {
    await editor.runCommand('PEFT: Predict…');
    await editor.pick('bitfit').first().click();
    await editor.pick('A text that you type').click();
    await until('the question for a text', () => editor.quickInput.isVisible());
    await editor.page.keyboard.type('The cat sat on the mat.');
    await editor.page.keyboard.press('Enter');
    await editor.toast(/acceptable \([\d.]+ %\) – The cat sat on the mat\./).waitFor();

    await editor.runCommand('PEFT: Predict…');
    await editor.pick('bitfit').first().click();
    await editor.pick('The dev split').click();
    await until('the path to write to', async () => (await editor.quickInput.inputValue()).endsWith('-dev.csv'));
    await editor.page.keyboard.press('Enter');
    await editor.toast(/mcc -?[\d.]+, accuracy [\d.]+, score -?[\d.]+ over \d+ examples/).waitFor();
    const file = join(workspace.folder, `predictions-${second.slice(-6)}-dev.csv`);
    expect(readFileSync(file, 'utf8')).toMatch(/^index,prediction,p\(unacceptable\),p\(acceptable\),label,sentence\n/);
    await editor.page.getByRole('tab', { name: /predictions-.*-dev\.csv/ }).waitFor();
  });

  it('exports the model of a run for transformers', async () => {
    await editor.runCommand('PEFT: Export Model…');
    await editor.pick('bitfit').first().click();
    await until('the place to write to', async () => /model-\w{6}$/.test(await editor.quickInput.inputValue()));
    await editor.page.keyboard.press('Enter');
    await editor.toast(/transformers loads it as BertForSequenceClassification/).waitFor();
    expect(existsSync(join(workspace.folder, `model-${second.slice(-6)}`, 'model.safetensors'))).toBe(true);
  });

  it('plans a privacy budget, and opens the plan as a configuration', async () => {
    await editor.runCommand('PEFT: Plan Privacy Budget');
    const panel = await editor.webview('Plan Privacy Budget');
    await panel.getByLabel('Training examples, N').fill('64');
    await panel.getByLabel('Batch size, expected').fill('16');
    await panel.getByLabel('Target ε').fill('2');
    const rate = panel.locator('dl > div').filter({ hasText: 'Sampling rate' }).locator('dd.value');
    await until('the plan', async () => (await rate.textContent()) === '0.25');
    await panel.getByText('Open as Configuration File').click();
    await editor.page.locator('.monaco-editor .view-lines').filter({ hasText: '"privacy"' }).first().waitFor();
    await editor.page.locator('.monaco-editor .view-lines').filter({ hasText: '"epsilon": 2' }).first().waitFor();
    await editor.runCommand('View: Revert and Close Editor');
    // The planner is in front again and would have the keys.
    await editor.treeRow('bitfit').first().click();
  });

  it('is asked before a run would exceed the budget of the project, and may decline', async () => {
    const budget = join(workspace.folder, 'privacy-budget.json');
    writeFileSync(budget, JSON.stringify({ budgets: [{ data: 'data', epsilon: 0.5, delta: 1e-3 }] }));
    workspace.configure('private', { method: 'bitfit', training: { epochs: 1 }, privacy: { epsilon: 4 } });
    const known = workspace.ids();
    await editor.openFile('private.peft.json');
    await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).click();
    const dialog = editor.page.locator('.monaco-dialog-box');
    await dialog.getByText('This run would exceed the privacy budget of the project.').waitFor();
    await dialog.getByText('the budget is ε 0.5 at δ 0.001').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(workspace.ids()).toEqual(known);
    rmSync(budget);
  });

  it('trains privately, and finds the record of it in the run’s panel', async () => {
    const known = workspace.ids();
    await editor.openFile('private.peft.json');
    await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).click();
    const id = await workspace.newRun(known);
    await workspace.waitFor(id, 'finished');
    const panel = await editor.webview(workspace.nameOf(id) ?? '');
    await panel.getByRole('tab', { name: 'Privacy' }).click();
    await panel.getByText('one training example more or less').waitFor();
    await panel.getByRole('button', { name: 'Audit' }).click();
    await panel.getByText('The recorded ε holds.').waitFor();
  });

  let long: string;
  let trainer: number;

  it('reloads the window in the middle of a run and finds it alive', async () => {
    const known = workspace.ids();
    await editor.runCommand('PEFT: Start Run');
    await editor.pick('long.peft.json').click();
    long = await workspace.newRun(known);
    await until('the first steps', () => step(long) > 20);
    trainer = await until('its process', () => workspace.trainer(long));
    await (await editor.webview('long')).getByRole('status').filter({ hasText: 'Running' }).waitFor();
    const before = step(long);
    await editor.reload();
    await editor.openContainer('PEFT Lab');
    const row = editor.treeRow('long').first();
    await row.waitFor();
    await until('the row to say running', async () => /running/i.test((await row.getAttribute('aria-label')) ?? ''));
    expect(workspace.trainer(long)).toBe(trainer);
    await until('more steps', () => step(long) > before + 20);
    // Its panel came back, and lives.
    const panel = await editor.webview('long');
    await panel.getByRole('status').filter({ hasText: 'Running' }).waitFor();
  });

  it('stops it, and it ends after a checkpoint', async () => {
    const panel = await editor.webview('long');
    await panel.getByRole('button', { name: 'Stop' }).click();
    await workspace.waitFor(long, 'stopped');
    await until('its process to end', () => !processExists(trainer));
    await panel.getByRole('status').filter({ hasText: 'Stopped' }).waitFor();
    const { events } = readJournal(workspace.runFolder(long));
    expect(events.map(({ type }) => type)).toContain('checkpoint');
  });

  it('leaves no error in the logs', () => {
    const problems = editor.lines.filter((line) => /peft/i.test(line) && /\[error\]|\[pageerror\]/.test(line));
    expect(problems).toEqual([]);
  });
});

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startServer, type ServerOptions } from '../../scripts/vscode/server.ts';
import { installedCatalogue } from '../../src/runs/catalogue.ts';
import { loadConfiguration } from '../../src/runs/configuration.ts';
import { readJournal } from '../../src/runs/journal.ts';
import { claimLease, leaseFile } from '../../src/runs/lease.ts';
import { planRuns } from '../../src/runs/plan-runs.ts';
import { ownIdentity } from '../../src/runs/process-identity.ts';
import { claimNext, submitRuns } from '../../src/runs/queue.ts';
import { openWorkspace, runFolder } from '../../src/runs/run-folder.ts';
import { makeEditorWorkspace, type EditorWorkspace } from '../support/editor-workspace.ts';
import { restartMachine } from '../support/restart.ts';
import { until } from '../support/until.ts';
import { openWindow, type Workbench } from '../support/workbench.ts';

/** Circumstances that seldom arise: what the window says then, and what it does not do. The extension is the one in this folder, built. */

const root = join(import.meta.dirname, '..', '..');

async function folderWithRuns(): Promise<EditorWorkspace> {
  const workspace = await makeEditorWorkspace();
  onTestFinished(() => workspace.remove());
  return workspace;
}

async function windowOn(workspace: EditorWorkspace, options: Partial<ServerOptions> = {}): Promise<Workbench> {
  const directory = mkdtempSync(join(tmpdir(), 'peft-e2e-'));
  const server = await startServer({
    directory,
    links: { 'peft-lab.peft-lab-0.0.0': root },
    ...options,
    environment: { HF_HUB_OFFLINE: '1', ...options.environment },
  });
  onTestFinished(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });
  const editor = await openWindow({ url: server.url, folder: workspace.folder });
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') {
      await editor.screenshot(join(root, '.cache', 'e2e', `${task.name.replaceAll(/\W+/g, '-')}.png`));
      process.stdout.write(`${server.extensionLog()}\n`);
    }
    await editor.close();
  });
  await editor.ready();
  return editor;
}

function peftLab(workspace: EditorWorkspace, ...args: readonly string[]): void {
  const program = join(root, 'bin', 'peft-lab.mjs');
  const ended = spawnSync(process.execPath, [program, '--folder', workspace.folder, ...args], { encoding: 'utf8' });
  expect(ended.status, ended.stderr).toBe(0);
}

/** Every file below the folder, with its content's length. */
function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

test('an editor whose Node has no SQLite says so, and what helps', async () => {
  const workspace = await folderWithRuns();
  const editor = await windowOn(workspace, { nodeFlags: ['--no-experimental-sqlite'] });
  await editor.toast(/has SQLite \(node:sqlite\).*Update VS Code to 1\.101 or later/).waitFor();
  await editor.openContainer('PEFT Lab');
  await editor.page.locator('.part.sidebar').getByText('This editor has no node:sqlite').waitFor();
  // What could not be seen afterwards is not offered.
  expect(await editor.offers('PEFT: Refresh')).toBe(true);
  expect(await editor.offers('PEFT: Start Run')).toBe(false);
});

test('in a folder that is not trusted runs are shown, nothing is started and nothing is written', async () => {
  const workspace = await folderWithRuns();
  const file = workspace.configure('finished', { training: { steps: 5 } });
  peftLab(workspace, 'run', join(workspace.folder, file));
  for (const name of ['peft.db', 'peft.db-wal', 'peft.db-shm'])
    rmSync(join(workspace.folder, '.peft', name), { force: true });
  workspace.configure('another');
  const before = filesBelow(workspace.folder);

  const editor = await windowOn(workspace, { trust: true });
  await editor.openContainer('PEFT Lab');
  await editor.treeRow('finished').first().waitFor();
  await editor.openFile('another.peft.json');
  await editor.page.locator('.codelens-decoration').getByText('Trust the workspace to start runs').waitFor();
  expect(await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).count()).toBe(0);
  // A configuration can be written; what can compute here is not tried out for it.
  await editor.runCommand('PEFT: New Configuration File');
  for (const answer of ['tiny-bert', 'CoLA', 'data']) await editor.pick(answer).click();
  await editor.pick(/LoRA.*trained/).waitFor();
  for (const answer of ['LoRA', '1 run', 'None']) await editor.pick(answer).click();
  await editor.pick('cpu').waitFor();
  await delay(5000);
  expect(await editor.pick('webgpu').count()).toBe(0);
  await editor.page.keyboard.press('Escape');
  expect(filesBelow(workspace.folder)).toEqual(before);

  // Once it is trusted its database lies in it.
  await editor.runCommand('Workspaces: Manage Workspace Trust');
  await editor.page.getByRole('button', { name: 'Trust', exact: true }).click();
  await until('the database', () => existsSync(join(workspace.folder, '.peft', 'peft.db')));
  await editor.openFile('finished.peft.json');
  await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).waitFor();
});

test('after the machine was restarted a window offers to go on with what was interrupted', async () => {
  const workspace = await folderWithRuns();
  const file = workspace.configure('long', { training: { steps: 200_000, checkpointEvery: 20 } });
  peftLab(workspace, 'run', join(workspace.folder, file), '--detach');
  const [id = ''] = workspace.ids();
  await until('a checkpoint', () => existsSync(join(workspace.runFolder(id), 'checkpoints', 'last.safetensors')));
  restartMachine(workspace.folder, id);
  const steps = (): number => readJournal(workspace.runFolder(id)).events.filter(({ type }) => type === 'step').length;
  const before = steps();

  const editor = await windowOn(workspace);
  const toast = editor.toast('long was interrupted. It can go on from its last checkpoint.');
  await toast.waitFor();
  await editor.openContainer('PEFT Lab');
  const row = editor.treeRow('long').first();
  await until('the row to say so', async () => /interrupted/i.test((await row.getAttribute('aria-label')) ?? ''));
  // The window sees it by itself; the supervisor that it started writes it down.
  const marks = join(workspace.runFolder(id), 'marks.jsonl');
  await until('the mark', () => readFileSync(marks, 'utf8').includes('interrupted'));
  await toast.getByRole('button', { name: 'Resume' }).click();
  await until('more steps', () => steps() > before);
  await until('the row to say running', async () => /running/i.test((await row.getAttribute('aria-label')) ?? ''));
});

/** Text that means something to HTML, Markdown, icons and links. */
const hostile = '<img src=x onerror=globalThis.attacked=1> $(bug) [x](command:workbench.action.closeWindow) **b**';

/** What of it would be in the page if any part of it had become more than text. */
function harm(editor: Workbench): Promise<unknown> {
  return editor.page.evaluate(() => {
    const { document, attacked } = globalThis as unknown as {
      readonly attacked: unknown;
      readonly document: { querySelectorAll(selector: string): { readonly length: number } };
    };
    const count = (selector: string): number => document.querySelectorAll(selector).length;
    return {
      attacked,
      images: count('img[src="x"]'),
      bugs: count('.codicon-bug'),
      links: count('a[href^="command:"]'),
    };
  });
}

test('a hostile name, tag and note are text wherever the window shows them', async () => {
  const workspace = await folderWithRuns();
  const file = workspace.configure('hostile', {
    name: hostile,
    tags: [hostile],
    note: hostile,
    training: { steps: 3 },
  });
  peftLab(workspace, 'run', join(workspace.folder, file));
  const editor = await windowOn(workspace);
  const unharmed = await harm(editor);
  expect(unharmed).toMatchObject({ images: 0 });
  await editor.openContainer('PEFT Lab');
  const row = editor.treeRow(hostile).first();
  await row.waitFor();
  expect(await harm(editor)).toEqual(unharmed);

  const tooltip = editor.page.locator('.monaco-hover').filter({ hasText: 'Trained' }).first();
  await until('the tooltip', async () => {
    await editor.page.mouse.move(900, 400);
    await row.locator('.monaco-icon-label, .label-name').first().hover();
    await delay(2000);
    return tooltip.isVisible();
  });
  // The name in bold is our own; what stands in it is as it was written.
  expect(await tooltip.locator('strong').allTextContents()).toEqual([hostile]);
  expect(await harm(editor)).toEqual(unharmed);
  await editor.page.keyboard.press('Escape');

  await editor.runCommand('PEFT: Open Run');
  await editor.pick('$(bug)').waitFor();
  expect(await editor.pick('$(bug)').textContent()).toContain(hostile);
  expect(await harm(editor)).toEqual(unharmed);
  await editor.pick('$(bug)').click();
  const panel = await editor.webview(hostile);
  await panel.getByText(hostile).first().waitFor();
  expect(await panel.locator('img').count()).toBe(0);

  await editor.runCommand('PEFT: Delete Run');
  await editor.pick('$(bug)').click();
  const dialog = editor.page.locator('.monaco-dialog-box');
  await dialog.getByText('$(bug)').waitFor();
  expect(await dialog.locator('a[href], img').count()).toBe(0);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  expect(await harm(editor)).toEqual(unharmed);
  expect(workspace.ids()).toHaveLength(1);
});

test('a run that a lost machine holds is resumed and deleted after a question that says who holds it', async () => {
  const workspace = await folderWithRuns();
  const file = join(workspace.folder, workspace.configure('lost', { training: { steps: 5 } }));
  const place = openWorkspace(workspace.folder);
  const planned = await planRuns(loadConfiguration(file, installedCatalogue));
  const ids = [...(await submitRuns(place, planned)), ...(await submitRuns(place, planned))];
  // Another machine took both, and was heard of an hour ago for the last time.
  const { bootId: _, ...own } = ownIdentity();
  const holder = { ...own, host: 'node17' };
  for (const id of ids) {
    const claimed = await claimNext(place, { perDevice: { cpu: 2 }, auto: 'cpu' }, 'test');
    const from = claimed?.lease.nonce ?? '';
    claimLease(leaseFile(runFolder(place, id)), {
      ...{ role: 'trainer', segment: 0, holder, from },
      now: () => Date.now() - 3_600_000,
    });
  }
  const editor = await windowOn(workspace);
  await editor.openContainer('PEFT Lab');
  const row = editor.treeRow('lost').first();
  await row.waitFor();
  const dialog = editor.page.locator('.monaco-dialog-box');

  await editor.runCommand('PEFT: Delete Run');
  await editor.pick('lost').first().click();
  await dialog.getByText('held by node17, which cannot be seen from here').waitFor();
  await dialog.getByText('last sign of life 1 h ago').waitFor();
  await dialog.getByRole('button', { name: 'Delete Anyway' }).click();
  await until('one of them to be gone', () => workspace.ids().length === 1);

  const [left = ''] = workspace.ids();
  // The menu is looked at only: it takes no answer in its first moments, lest the click that opens it choose something.
  await row.click({ button: 'right' });
  await editor.page.getByRole('menuitem', { name: 'Resume Run' }).waitFor();
  await editor.page.keyboard.press('Escape');
  await editor.runCommand('PEFT: Resume Run');
  await editor.pick('lost').first().click();
  await dialog.getByRole('button', { name: 'Resume Anyway' }).click();
  await workspace.waitFor(left, 'finished');
});

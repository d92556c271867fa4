// Usage: npm run screenshots [-- NAME...]; a name is that of a scene, of a theme, or of both: run, high-contrast, run-high-contrast.
// Pictures of every state, in light, dark and high contrast, for the README and for looking at: docs/screenshots/. What they
// show are real runs: those in the folder that PEFT_SCREENSHOT_RUNS names (the README's are the ones of docs/results.md),
// or else short ones of a task and an encoder that ship, kept in .cache/screenshots for the next time.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownTarget, packageForThisMachine } from '../../scripts/package.ts';
import { startServer } from '../../scripts/vscode/server.ts';
import { listRuns, runFolder, workspaceAt } from '../../src/runs/run-folder.ts';
import { runState } from '../../src/runs/run-state.ts';
import { processExists, processState, signalGroup } from '../../src/runs/process-identity.ts';
import { leaseFile, readLease } from '../../src/runs/lease.ts';
import { until } from '../support/until.ts';
import { openWindow, type Workbench } from '../support/workbench.ts';

const root = join(import.meta.dirname, '..', '..');
const pictures = join(root, 'docs', 'screenshots');
/** PEFT_SCREENSHOT_FOLDER: another place, because the pictures show where models lie. */
const folder = process.env['PEFT_SCREENSHOT_FOLDER'] ?? join(root, '.cache', 'screenshots', 'peft-study');
const empty = join(root, '.cache', 'screenshots', 'empty');

/** Windows that follow the system change between light and dark by themselves; high contrast is a setting. */
const passes = [
  {
    settings: {
      'window.autoDetectColorScheme': true,
      'workbench.preferredLightColorTheme': 'Light 2026',
      'workbench.preferredDarkColorTheme': 'Dark 2026',
    },
    schemes: ['light', 'dark'],
  },
  { settings: { 'workbench.colorTheme': 'Default High Contrast' }, schemes: ['high-contrast'] },
] as const;

/** The sweep in the pictures. */
const sweep = {
  method: ['full', { id: 'lora', rank: 8 }, 'bitfit', 'slash', 'head'],
  'training.seed': [0, 1, 2],
} as const;

function write(name: string, settings: Readonly<Record<string, unknown>>): void {
  const configuration = {
    name,
    model: 'peft-lab-mini',
    task: 'wordnet-supersense',
    ...settings,
  };
  writeFileSync(join(folder, `${name}.peft.json`), `${JSON.stringify(configuration, undefined, 2)}\n`);
}

function peftLab(...args: readonly string[]): void {
  const program = join(root, 'bin', 'peft-lab.mjs');
  const { status } = spawnSync(process.execPath, [program, '--folder', folder, ...args], { stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`peft-lab ${args.join(' ')} ended with ${status ?? 'a signal'}`);
}

/** The folder with its runs, unless an earlier call made it. */
function prepare(): void {
  mkdirSync(empty, { recursive: true });
  const workspace = workspaceAt(folder);
  const given = process.env['PEFT_SCREENSHOT_RUNS'];
  const wanted = given === undefined ? 15 : readdirSync(given).length;
  if (listRuns(workspace).filter((id) => runState(runFolder(workspace, id)).state === 'finished').length >= wanted)
    return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const training = { epochs: 3, batchSize: 32, examples: 2000 };
  write('five-methods', { method: 'lora', training, matrix: sweep });
  write('long-run', {
    method: { id: 'lora', rank: 16 },
    training: { ...training, epochs: 40, evaluateEvery: 50, checkpointEvery: 100 },
  });
  write('with-a-mistake', { method: { id: 'lorra', rank: 8 }, training: { epochs: 3, learningrate: 1e-3 } });
  if (given !== undefined) cpSync(given, workspace.runs, { recursive: true });
  else peftLab('run', join(folder, 'five-methods.peft.json'));
}

/** One picture: what has to be on the screen, given a window with nothing open. */
interface Scene {
  readonly name: string;
  /** Null for an empty window. */
  readonly folder?: string | null;
  readonly trust?: true;
  show(editor: Workbench): Promise<void>;
}

async function openRuns(editor: Workbench): Promise<void> {
  await editor.openContainer('PEFT Lab');
  await editor.treeRow('LoRA').or(editor.treeRow('lora')).first().waitFor();
}

const scenes: readonly Scene[] = [
  {
    name: 'welcome',
    folder: empty,
    async show(editor) {
      await editor.openContainer('PEFT Lab');
      await editor.page.locator('.part.sidebar').getByRole('button', { name: 'Start Run' }).first().waitFor();
    },
  },
  {
    name: 'no-folder',
    folder: null,
    async show(editor) {
      await editor.openContainer('PEFT Lab');
      await editor.page.locator('.part.sidebar').getByRole('button', { name: 'Open Folder' }).first().waitFor();
    },
  },
  {
    name: 'restricted-empty',
    folder: empty,
    trust: true,
    async show(editor) {
      await editor.openContainer('PEFT Lab');
      await editor.page.locator('.part.sidebar').getByRole('button', { name: 'Manage Workspace Trust' }).waitFor();
    },
  },
  {
    name: 'restricted',
    trust: true,
    async show(editor) {
      await openRuns(editor);
    },
  },
  {
    name: 'start-run',
    async show(editor) {
      await openRuns(editor);
      await editor.runCommand('PEFT: Start Run');
      await editor.pick('New configuration').click();
      await editor.pick('peft-lab-mini').click();
      await editor.pick('WordNet').click();
      await until('the counts', async () => (await editor.page.getByText(/trained · /).count()) > 4);
    },
  },
  {
    name: 'configuration',
    async show(editor) {
      await openRuns(editor);
      await editor.openFile('five-methods.peft.json');
      await editor.page.locator('.codelens-decoration').getByText('Sweep of 15 runs').waitFor();
    },
  },
  {
    name: 'configuration-problem',
    async show(editor) {
      await openRuns(editor);
      await editor.openFile('with-a-mistake.peft.json');
      await editor.page.locator('.codelens-decoration').getByText('keep it from').waitFor();
      await editor.page.keyboard.press('Control+Shift+M');
      await editor.page.locator('.markers-panel .monaco-list-row').first().waitFor();
    },
  },
  {
    name: 'run',
    async show(editor) {
      await openRuns(editor);
      await editor.runCommand('PEFT: Open Run');
      await editor.pick('lora').click();
      await (await editor.webview(/./)).getByRole('status').filter({ hasText: 'Finished' }).waitFor();
    },
  },
  {
    name: 'comparison',
    async show(editor) {
      await openRuns(editor);
      await editor.runCommand('PEFT: Compare Runs');
      await editor.pick('All runs').click();
      await (await editor.webview('Comparison')).getByRole('row', { name: 'bitfit' }).first().waitFor();
    },
  },
  {
    name: 'plan',
    async show(editor) {
      await openRuns(editor);
      await editor.runCommand('PEFT: Plan Privacy Budget');
      const panel = await editor.webview('Plan Privacy Budget');
      await panel.getByRole('heading', { name: 'ε after each epoch' }).waitFor();
      await panel.getByText('Computing…').first().waitFor({ state: 'detached' });
    },
  },
  {
    name: 'privacy',
    async show(editor) {
      write('private', {
        method: 'slash',
        training: { epochs: 8, batchSize: 32, accumulation: 8, examples: 2000 },
        privacy: { epsilon: 8 },
      });
      await openRuns(editor);
      await editor.openFile('private.peft.json');
      await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).click();
      const panel = await editor.webview('private');
      await panel.getByRole('status').filter({ hasText: 'Finished' }).waitFor({ timeout: 300_000 });
      await panel.getByRole('tab', { name: 'Privacy' }).click();
      await panel.getByRole('button', { name: 'Audit' }).click();
      await panel.getByText('The recorded ε holds.').waitFor();
      await editor.runCommand('Notifications: Clear All Notifications');
      await panel.getByRole('tablist').evaluate((element) => {
        (element as unknown as { scrollIntoView(): void }).scrollIntoView();
      });
    },
  },
  {
    name: 'walkthrough',
    async show(editor) {
      await editor.openContainer('PEFT Lab');
      await editor.runCommand('PEFT: Open Walkthrough');
      await editor.page.locator('.getting-started-step, .step-title').first().waitFor();
    },
  },
  {
    name: 'running',
    async show(editor) {
      await openRuns(editor);
      await editor.openFile('long-run.peft.json');
      await editor.page.locator('.codelens-decoration').getByText('Start', { exact: true }).click();
      const panel = await editor.webview('long-run');
      await panel.getByRole('status').filter({ hasText: 'Running' }).waitFor();
      await editor.page.waitForTimeout(15_000);
    },
  },
];

async function endTrainers(): Promise<void> {
  const workspace = workspaceAt(folder);
  for (const id of listRuns(workspace)) {
    const lease = readLease(leaseFile(runFolder(workspace, id)));
    if (lease?.role === 'trainer' && processState(lease.holder) === 'alive') {
      signalGroup(lease.holder, 'kill');
      await until('the trainer to end', () => !processExists(lease.holder.processId));
    }
    if (runState(runFolder(workspace, id)).state !== 'finished')
      rmSync(runFolder(workspace, id), { recursive: true, force: true });
  }
}

prepare();
const asked = process.argv.slice(2);
const taken = mkdtempSync(join(tmpdir(), 'peft-screenshots-'));
const vsix = join(taken, 'peft-lab.vsix');
// Another build would remove it from dist/ while pictures are being taken.
cpSync(await packageForThisMachine(ownTarget() ?? ''), vsix);
const isAsked = (scene: string, scheme: string): boolean =>
  asked.length === 0 || [scene, scheme, `${scene}-${scheme}`].some((name) => asked.includes(name));
for (const { settings, schemes } of passes)
  for (const trust of [false, true]) {
    const chosen = scenes.filter(
      ({ name, trust: needsTrust = false }) => needsTrust === trust && schemes.some((scheme) => isAsked(name, scheme)),
    );
    if (chosen.length > 0) await take(chosen, trust, settings, schemes);
  }
rmSync(taken, { recursive: true });

async function take(
  chosen: readonly Scene[],
  trust: boolean,
  settings: Readonly<Record<string, unknown>>,
  schemes: readonly ('light' | 'dark' | 'high-contrast')[],
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'peft-screenshots-'));
  const server = await startServer({
    directory,
    vsix: [vsix],
    trust,
    environment: { HF_HUB_OFFLINE: '1' },
    settings: { 'peft.runs.groupBy': 'method', ...settings },
  });
  try {
    for (const scene of chosen) {
      const editor = await openWindow({
        url: server.url,
        folder: scene.folder === null ? undefined : (scene.folder ?? folder),
      });
      try {
        await editor.ready();
        await scene.show(editor);
        for (const scheme of schemes) {
          if (!isAsked(scene.name, scheme)) continue;
          const dark = scheme !== 'light';
          await editor.page.emulateMedia({ colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' });
          const kind = { light: 'vs', dark: 'vs-dark', 'high-contrast': 'hc-black' }[scheme];
          await editor.page.locator(`.monaco-workbench.${kind}`).first().waitFor();
          await editor.screenshot(join(pictures, `${scene.name}-${scheme}.png`));
        }
        process.stdout.write(`${scene.name}: ${schemes.join(', ')}\n`);
      } catch (error) {
        await editor.screenshot(join(root, '.cache', 'screenshots', `${scene.name}-failed.png`));
        process.stdout.write(`${scene.name} failed: ${error instanceof Error ? error.message : String(error)}\n`);
        process.exitCode = 1;
      } finally {
        await editor.close();
      }
    }
  } finally {
    await server.stop();
    await endTrainers();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

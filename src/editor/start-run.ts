import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import type { BegunRun, RunRef, StartOptions } from './app.ts';
import { freeConfiguration, openNewConfiguration } from './new-configuration.ts';
import { askBudget } from './ask-budget.ts';
import { writtenPath } from './core/clone.ts';
import { t } from './core/l10n.ts';
import {
  configurationText,
  remember,
  startSteps,
  sweepSteps,
  usualBatchSize,
  usualEpochs,
  type FoundConfiguration,
  type StartFacts,
  type StartMemory,
  type StartState,
} from './core/start-steps.ts';
import { plannedState } from './core/plan-configuration.ts';
import { askSteps } from './core/steps.ts';
import type { ExtensionApp } from './extension-app.ts';
import type { WatchedFolder } from './folders.ts';
import { configurationPattern } from './ids.ts';
import { editorAsk } from './multi-step.ts';
import type { FinishedPlan } from './panels/plan-session.ts';
import { isTrusted } from './report.ts';
import { providersOf } from './providers.ts';
import { modelFolders } from './settings.ts';

/** "Start Run", "Start Sweep" and "New Configuration File": the questions, and what is done with the answers. */

const memoryKey = 'start';
const mostFiles = 200;
const ignored = '**/{node_modules,.git,.peft,dist,out}/**';

/** Files that match, on the machine that trains: a workspace may have virtual folders besides. */
async function findFiles(pattern: string): Promise<readonly vscode.Uri[]> {
  const found = await vscode.workspace.findFiles(pattern, ignored, mostFiles);
  return found.filter(({ scheme }) => scheme === 'file');
}

async function findConfigurations(app: ExtensionApp): Promise<readonly FoundConfiguration[]> {
  const files = await findFiles(configurationPattern);
  const sorted = [...files].sort((a, b) => a.path.localeCompare(b.path));
  return Promise.all(
    sorted.map(async (uri) => {
      const found = { path: uri.toString(), label: vscode.workspace.asRelativePath(uri) };
      try {
        const text = new TextDecoder().decode(await vscode.workspace.fs.readFile(uri));
        return { ...found, runs: (await app.worker.ask('inspect', { file: uri.fsPath, text })).runs };
      } catch {
        return { ...found, runs: undefined };
      }
    }),
  );
}

const dataFiles = '**/train.{tsv,csv,jsonl,parquet}';

/** Folders with training data, those named like the task first. */
async function dataFolders(task: string): Promise<readonly string[]> {
  const files = await findFiles(dataFiles);
  const folders = [...new Set(files.map(({ fsPath }) => dirname(fsPath)))];
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const fits = (folder: string): number => Number(plain(basename(folder)).includes(plain(task)));
  return folders.sort((a, b) => fits(b) - fits(a) || a.localeCompare(b));
}

/** The weights of a model, whole or in shards; whether a config.json lies beside them shows when the folder is looked at. */
const weightFiles = '**/{model.safetensors,model.safetensors.index.json}';

/** Folders of the workspace that hold a model, whatever they are called; found by the editor's own search, in a process of its own. */
async function workspaceModels(): Promise<readonly string[]> {
  const files = await findFiles(weightFiles);
  return [...new Set(files.map(({ fsPath }) => dirname(fsPath)))].sort();
}

async function factsOf(app: ExtensionApp, memory: StartMemory): Promise<StartFacts> {
  return {
    folders: app.folders,
    memory,
    catalogue: await app.worker.ask('catalogue', undefined),
    configurations: () => findConfigurations(app),
    models: async () => {
      const folders = new Set([...app.folders.flatMap(({ uri }) => modelFolders(uri)), ...(await workspaceModels())]);
      return app.worker.ask('models', { folders: [...folders] });
    },
    count: (request) => app.worker.ask('count', request),
    noise: async (examples, epsilon) => {
      const { noiseMultiplier } = await app.worker.ask('planPrivacy', {
        examples,
        batchSize: Math.min(usualBatchSize, examples),
        epochs: usualEpochs,
        delta: undefined,
        goal: { kind: 'epsilon', epsilon },
        accountant: undefined,
        spent: [],
      });
      return noiseMultiplier;
    },
    dataFolders,
    providers: async (key) => {
      const folder = folderOf(app, key);
      return folder === undefined ? [] : providersOf(app, folder);
    },
  };
}

/** The folder that was chosen, where there was a choice. */
function folderOf(app: ExtensionApp, key: string | undefined): WatchedFolder | undefined {
  return (key === undefined ? undefined : app.folder(key)) ?? app.folders[0];
}

function memoryOf(app: ExtensionApp): StartMemory {
  return app.context.workspaceState.get<StartMemory>(memoryKey, {});
}

/** Shows what was started: a single run in its panel, several in the explorer. */
async function show(app: ExtensionApp, runs: readonly RunRef[]): Promise<void> {
  const [first, another] = runs;
  if (first === undefined) return;
  if (another === undefined) await app.openRun(first);
  await app.explorer.reveal(first, { focus: another !== undefined });
}

/** Starts what a configuration file describes, and shows it. */
export async function startFile(
  app: ExtensionApp,
  file: vscode.Uri,
  options: StartOptions = {},
): Promise<readonly RunRef[]> {
  const runs = await app.actions.start(file, options);
  if (runs.length > 0) {
    await app.context.workspaceState.update(memoryKey, { ...memoryOf(app), file: file.toString() });
    await show(app, runs);
  }
  return runs;
}

function needsFolder(app: ExtensionApp): boolean {
  if (app.folders.length > 0) return false;
  const open = t('Open Folder');
  void vscode.window
    .showInformationMessage(t('Open a folder first: runs are kept in its .peft folder.'), open)
    .then((chosen) => {
      if (chosen === open) void vscode.commands.executeCommand('workbench.action.files.openFolder');
    });
  return true;
}

/** "PEFT: Start Run": asks step by step, then starts or opens the configuration. */
export async function startRun(app: ExtensionApp): Promise<readonly RunRef[]> {
  if (!(await isTrusted()) || needsFolder(app)) return [];
  return carryOut(app, await ask(app, startSteps, {}, t('Start Run')));
}

/** Does what the answers come to; nothing where the user gave up. */
async function carryOut(app: ExtensionApp, state: StartState | undefined): Promise<readonly RunRef[]> {
  if (state === undefined) return [];
  if (state.source?.kind === 'file') return startFile(app, vscode.Uri.parse(state.source.path));
  return finish(app, state);
}

/** "PEFT: New Configuration File": the same questions, and the file is opened. */
export async function newConfiguration(app: ExtensionApp): Promise<void> {
  if (needsFolder(app)) return;
  const state = await ask(app, startSteps, { source: { kind: 'new' }, finish: 'open' }, t('New Configuration'));
  if (state !== undefined) await finish(app, state);
}

async function ask(
  app: ExtensionApp,
  stepsOf: typeof startSteps,
  initial: StartState,
  flow: string,
): Promise<StartState | undefined> {
  await app.ready;
  const memory = memoryOf(app);
  try {
    const state = await askSteps(stepsOf(await factsOf(app, memory)), initial, editorAsk<StartState>(flow));
    if (state !== undefined) await app.context.workspaceState.update(memoryKey, remember(memory, state));
    return state;
  } catch (problem) {
    void app.report(problem);
    return undefined;
  }
}

async function finish(app: ExtensionApp, state: StartState): Promise<readonly RunRef[]> {
  const folder = folderOf(app, state.folder);
  if (folder === undefined) return [];
  const catalogue = await app.worker.ask('catalogue', undefined);
  if (state.finish === 'plan') {
    const examples = catalogue.tasks.find(({ id }) => id === state.task)?.trainExamples;
    await app.openPlanner({ ...state, ...(examples === undefined ? {} : { examples }) });
    return [];
  }
  const text = configurationText(state, catalogue, (path) => writtenPath(path, folder.path));
  const file = await freeConfiguration(folder.path, `${state.task ?? 'run'}-${state.method ?? 'new'}`);
  if (state.finish === 'open') {
    await openNewConfiguration(file, text);
    return [];
  }
  try {
    const submission = { folder: folder.path, file: file.fsPath, text };
    const allowed = await askBudget(() => app.worker.ask('budgetBreaches', submission));
    if (allowed === undefined) return [];
    const ids = await app.worker.ask('submit', { ...submission, exceedsBudget: allowed.exceeds });
    folder.startQueue();
    await folder.refresh();
    const runs = ids.map((id) => ({ folder: folder.key, id }));
    await show(app, runs);
    return runs;
  } catch (problem) {
    void app.report(problem);
    return [];
  }
}

/** Opens a configuration that trains as the planner says. */
export async function openPlan(
  app: ExtensionApp,
  { inputs, privacy }: FinishedPlan,
  begun: BegunRun,
): Promise<boolean> {
  if (needsFolder(app)) return false;
  try {
    await finish(app, plannedState(inputs, privacy, begun, memoryOf(app)));
    return true;
  } catch (problem) {
    void app.report(problem);
    return false;
  }
}

/** "PEFT: Start Sweep": chooses among the files that have a matrix, or opens a new one. */
export async function startSweep(app: ExtensionApp): Promise<readonly RunRef[]> {
  if (!(await isTrusted()) || needsFolder(app)) return [];
  return carryOut(app, await ask(app, sweepSteps, {}, t('Start Sweep')));
}

import * as vscode from 'vscode';
import {
  activeStates,
  type App,
  type BegunRun,
  type ComparisonSelection,
  type Panels,
  type RunRef,
  type RunsChange,
} from './app.ts';
import { runActions } from './actions.ts';
import { registerCommands } from './commands.ts';
import { t, useTranslator } from './core/l10n.ts';
import type { Transition } from './core/folder-watch.ts';
import { runChanges } from './core/run-changes.ts';
import { watchedFolder, type FolderEvents, type WatchedFolder } from './folders.ts';
import { ContextKey, Setting } from './ids.ts';
import { registerLanguage } from './language.ts';
import { registerLogDocuments } from './log-documents.ts';
import { registerSettingsDocuments } from './settings-documents.ts';
import { notifier } from './notifier.ts';
import { reportProblem } from './report.ts';
import { concerns, keepCheckpoints } from './settings.ts';
import { registerQueueView } from './views/queue-view.ts';
import { registerRunExplorer, type RunExplorer } from './views/run-explorer.ts';
import { registerStatusBar } from './views/status-bar.ts';
import { workerClient, type WorkerClient } from './worker/client.ts';

/** What the parts of the extension share beyond what panels are given. */
export interface ExtensionApp extends App {
  readonly worker: WorkerClient;
  readonly folders: readonly WatchedFolder[];
  folder(key: string): WatchedFolder | undefined;
  /** After each look at a queue; for what shows queues. */
  readonly onDidLook: vscode.Event<WatchedFolder>;
  /** Files of runs were deleted, as {@link tellFreed} says. */
  readonly onDidFree: vscode.Event<void>;
  tellFreed(): void;
  readonly explorer: RunExplorer;
  panels(): Promise<Panels>;
  openRun(run: RunRef, options?: { readonly preserveFocus?: boolean }): Promise<void>;
  openComparison(selection: ComparisonSelection): Promise<void>;
  openPlanner(begun?: BegunRun): Promise<void>;
  readonly report: (problem: unknown) => Promise<void>;
}

/** Events of changed runs are handed on at most this often. */
const changeEveryMs = 500;

function hasSqlite(): boolean {
  // The types promise the module; a Node without it answers undefined.
  return (process.getBuiltinModule('node:sqlite') as unknown) !== undefined;
}

function setContext(key: string, value: unknown): void {
  void vscode.commands.executeCommand('setContext', key, value);
}

/** Builds the extension and registers everything; reading begins after `activate` has returned. */
export function startApp(context: vscode.ExtensionContext): ExtensionApp {
  useTranslator((message, ...values) => vscode.l10n.t(message, ...values));
  const log = vscode.window.createOutputChannel('PEFT Lab', { log: true });
  const distribution = (file: string): string => vscode.Uri.joinPath(context.extensionUri, 'dist', file).fsPath;
  const worker = workerClient(distribution('editor-worker.js'), { program: distribution('cli.js') }, (reason) =>
    log.error(reason),
  );
  const report = (problem: unknown): Promise<void> => reportProblem(log, problem);
  const folders = new Map<string, WatchedFolder>();
  const foldersChanged = new vscode.EventEmitter<void>();
  const runsChanged = new vscode.EventEmitter<RunsChange>();
  const looked = new vscode.EventEmitter<WatchedFolder>();
  const freed = new vscode.EventEmitter<void>();
  let panels: Promise<Panels> | undefined;
  let markReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => (markReady = resolve));

  const changes = runChanges<WatchedFolder>({
    everyMs: changeEveryMs,
    isWatched: (folder) => folders.get(folder.key) === folder,
    onChanges(all) {
      tellHasRuns();
      for (const change of all) runsChanged.fire(change);
    },
  });

  function tellHasRuns(): void {
    setContext(
      ContextKey.hasRuns,
      [...folders.values()].some(({ runs }) => runs.size > 0),
    );
  }

  function tellPaused(): void {
    setContext(
      ContextKey.queuePaused,
      [...folders.values()].some((folder) => folder.isPaused()),
    );
  }

  const app: ExtensionApp = {
    context,
    log,
    worker,
    get folders() {
      return [...folders.values()];
    },
    onDidChangeFolders: foldersChanged.event,
    onDidChangeRuns: runsChanged.event,
    onDidLook: looked.event,
    onDidFree: freed.event,
    tellFreed: () => freed.fire(),
    ready,
    folder: (key) => folders.get(key),
    run: ({ folder, id }) => folders.get(folder)?.runs.get(id),
    get actions() {
      return actions;
    },
    get explorer() {
      return explorer;
    },
    panels: () => (panels ??= import('./panels/register.ts').then(({ registerPanels }) => keep(registerPanels(app)))),
    openRun: async (run, options) => (await app.panels()).openRunPanel(run, options),
    openComparison: async (selection) => (await app.panels()).openComparePanel(selection),
    openPlanner: async (begun) => (await app.panels()).openPlanPanel(begun),
    report,
  };

  function keep<T extends { dispose(): unknown }>(disposable: T): T {
    context.subscriptions.push(disposable);
    return disposable;
  }

  const actions = runActions(app);
  const explorer = keep(registerRunExplorer(app));
  const notify = notifier(app);

  /** A finished run's checkpoints are thinned out as the user set it. */
  function prune(folder: WatchedFolder, transitions: readonly Transition[]): void {
    const keptOnes = keepCheckpoints(folder.uri);
    const ids = transitions.filter(({ run }) => run.state === 'finished').map(({ run }) => run.id);
    if (ids.length === 0 || keptOnes === 'all' || !vscode.workspace.isTrusted) return;
    worker
      .ask('prune', { folder: folder.path, ids, keep: keptOnes })
      .then((bytes) => {
        log.info(`Freed ${bytes} bytes of checkpoints of ${ids.join(', ')}`);
        freed.fire();
      })
      .catch((problem: unknown) => log.warn(String(problem)));
  }

  const events: FolderEvents = {
    onChange: (folder, change) => changes.add(folder, change),
    onTransitions: (folder, transitions) => {
      notify.ended(folder, transitions);
      prune(folder, transitions);
    },
    onLook: (folder) => {
      looked.fire(folder);
      tellPaused();
    },
    onProblem: (problem) => void report(problem),
  };

  async function syncFolders(): Promise<void> {
    const wanted = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
    const keys = new Set(wanted.map(({ uri }) => uri.toString()));
    const gone = [...folders.values()].filter(({ key }) => !keys.has(key));
    const kept = new Map(folders);
    folders.clear();
    // In the order of the workspace.
    for (const each of wanted) {
      const key = each.uri.toString();
      folders.set(key, kept.get(key) ?? watchedFolder(each, worker, context, log, events));
    }
    foldersChanged.fire();
    await Promise.all(gone.map((folder) => folder.dispose()));
    await Promise.all([...folders.values()].map(({ watch }) => watch.ready));
    // Those that left may have been the only ones with runs, or with a queue; they tell no change of that.
    tellHasRuns();
    tellPaused();
  }

  async function begin(): Promise<void> {
    if (!hasSqlite()) {
      setContext(ContextKey.unsupported, 'sqlite');
      setContext(ContextKey.ready, true);
      markReady();
      void vscode.window.showErrorMessage(
        t(
          'PEFT Lab needs an editor whose Node has SQLite (node:sqlite), and this one ({0}) has none. Update VS Code to 1.101 or later.',
          process.version,
        ),
      );
      return;
    }
    // Serializers have to be there when the editor asks for the panels of the last session.
    void app.panels().catch(report);
    await syncFolders();
    setContext(ContextKey.ready, true);
    markReady();
    notify.adopted();
    const running = app.folders.reduce(
      (sum, { runs }) => sum + [...runs.values()].filter(({ state }) => activeStates.includes(state)).length,
      0,
    );
    log.info(
      `Read ${app.folders.reduce((sum, { runs }) => sum + runs.size, 0)} runs in ${app.folders.length} folders; ${running} under way`,
    );
  }

  keep(log);
  keep(foldersChanged);
  keep(runsChanged);
  keep(looked);
  keep(freed);
  keep(changes);
  keep(registerStatusBar(app));
  keep(registerQueueView(app));
  keep(registerLanguage(app));
  keep(registerLogDocuments(app));
  keep(registerSettingsDocuments(app));
  keep(registerCommands(app));
  keep(vscode.workspace.onDidChangeWorkspaceFolders(() => void syncFolders().catch(report)));
  keep(
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      // Their databases may now lie in the folders themselves.
      const ended = [...folders.values()].map((folder) => folder.dispose());
      folders.clear();
      void Promise.all([syncFolders(), ...ended])
        .then(() => notify.adopted())
        .catch(report);
    }),
  );
  keep(
    vscode.window.onDidChangeWindowState(({ focused }) => {
      // Whoever comes back may have worked with the command line meanwhile.
      if (focused) for (const folder of folders.values()) void folder.refresh({ everything: true });
    }),
  );
  keep(
    vscode.workspace.onDidChangeConfiguration((change) => {
      const concerned = [Setting.slots, Setting.nodePath, Setting.libraryFolders];
      if (!concerned.some((key) => concerns(change, key))) return;
      // Another supervisor takes its place at the next look, with the new settings.
      for (const folder of folders.values())
        if (vscode.workspace.isTrusted && folder.queue().supervised)
          void worker.ask('endSupervisor', folder.path).catch(report);
    }),
  );
  keep({
    dispose: () => {
      for (const folder of folders.values()) void folder.dispose();
    },
  });
  // After `activate` has returned: nothing of this is waited for at the start.
  setTimeout(() => void begin().catch(report), 0);
  return app;
}

/** Ends the threads; runs and their supervisors go on. */
export async function stopApp({ folders, worker }: ExtensionApp): Promise<void> {
  await Promise.all(folders.map((folder) => folder.dispose()));
  await worker.close();
}

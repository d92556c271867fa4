import { commands, l10n, Uri, ViewColumn, window, workspace, type WebviewPanel } from 'vscode';
import * as z from 'zod/mini';
import { UserError } from '../../base/errors.ts';
import { runId, type RunCommand } from '../../webviews/protocol.ts';
import type { App, RunRef, RunsChange } from '../app.ts';
import { tabTitle } from '../core/run-item.ts';
import { PanelType } from '../ids.ts';
import { reveal } from '../reveal.ts';
import { runFiles } from './run-files.ts';
import { makeRunSession, type RunSession } from './run-session.ts';
import { fillWebview, nonce, panelIcon } from './web-page.ts';

/** The panels of runs, one for each run. */
export interface RunPanels {
  open(run: RunRef, preserveFocus: boolean): void;
  dispose(): void;
}

/** What the editor keeps of a panel over a restart, as the page gave it. */
const keptState = z.object({ identity: z.object({ folder: z.string(), id: runId }) });

interface Entry {
  readonly panel: WebviewPanel;
  readonly run: RunRef;
  readonly session: RunSession;
}

/** Files that the editor itself shows best. */
const textFiles = /\.(json|jsonl|log|txt|md)$/;

/** The run panels of a window, one for each run. */
export function makeRunPanels(app: App): RunPanels {
  const entries = new Map<string, Entry>();
  const keyOf = ({ folder, id }: RunRef): string => `${id} ${folder}`;

  /** The run's folder, of which only those of the workspace are read. @throws UserError */
  function pathOf({ folder }: RunRef): string {
    const uri = app.folder(folder)?.uri;
    if (uri === undefined) throw new UserError(l10n.t('The folder of this run is not open in this window.'));
    return uri.fsPath;
  }

  function act(run: RunRef, command: RunCommand): void {
    const { actions } = app;
    const work: Readonly<Record<RunCommand, () => Thenable<unknown>>> = {
      stop: () => actions.stop([run]),
      resume: () => actions.resume([run]),
      clone: () => actions.clone(run),
      logs: () => actions.showLogs(run),
      reveal: () => actions.revealFolder(run),
      configuration: async () => {
        const uri = app.folder(run.folder)?.runUri(run.id);
        // The editor itself says where a file is gone.
        if (uri !== undefined) await commands.executeCommand('vscode.open', Uri.joinPath(uri, 'config.json'));
      },
    };
    work[command]().then(undefined, (error: unknown) => app.log.error(String(error)));
  }

  function show(run: RunRef, path: string): void {
    const folder = app.folder(run.folder)?.runUri(run.id);
    if (folder === undefined) return;
    const uri = Uri.joinPath(folder, ...path.split('/'));
    const shown = textFiles.test(path) ? commands.executeCommand('vscode.open', uri) : reveal(uri);
    shown.then(undefined, (error: unknown) => app.log.error(String(error)));
  }

  function fill(panel: WebviewPanel, run: RunRef): void {
    const session = makeRunSession({
      id: run.id,
      feed: nonce(),
      store: () => app.folder(run.folder)?.store,
      files: async () => {
        const uri = app.folder(run.folder)?.runUri(run.id);
        return uri === undefined ? [] : runFiles(uri);
      },
      privacy: {
        record: async () => app.worker.ask('runPrivacy', { folder: pathOf(run), id: run.id }),
        local: async (points) => app.worker.ask('localCurves', { folder: pathOf(run), id: run.id, points }),
        audit: async () => app.worker.ask('audit', { folder: pathOf(run), id: run.id }),
      },
      canStart: () => workspace.isTrusted,
      isUnseen: () => app.folder(run.folder)?.isUnseen(run.id) === true,
      post: (message) => void panel.webview.postMessage(message),
      onCommand: (command) => act(run, command),
      onReveal: (path) => show(run, path),
      onProblem: (problem) => app.log.warn(`run panel: ${problem}`),
      onTitle: (title) => {
        if (title !== '' && panel.title !== title) panel.title = title;
      },
    });
    const parts = [
      panel.webview.onDidReceiveMessage((message: unknown) => session.receive(message)),
      panel.onDidChangeViewState(() => {
        if (panel.visible) void session.refresh();
      }),
    ];
    entries.set(keyOf(run), { panel, run, session });
    panel.onDidDispose(() => {
      session.dispose();
      for (const part of parts) part.dispose();
      entries.delete(keyOf(run));
    });
    panel.iconPath = panelIcon(app.context, 'run');
    fillWebview(panel.webview, app.context, 'run', panel.title, { ...run });
  }

  function refreshVisible(isMeant: (run: RunRef) => boolean): void {
    // A hidden panel looks when it is seen again.
    for (const { panel, run, session } of entries.values()) if (panel.visible && isMeant(run)) void session.refresh();
  }

  const listeners = [
    app.onDidChangeRuns(({ folder, changed, removed, everything }: RunsChange) =>
      refreshVisible(
        (run) => run.folder === folder.key && (everything || changed.includes(run.id) || removed.includes(run.id)),
      ),
    ),
    app.onDidChangeFolders(() => refreshVisible(() => true)),
    workspace.onDidGrantWorkspaceTrust(() => refreshVisible(() => true)),
    window.registerWebviewPanelSerializer(PanelType.run, {
      // eslint-disable-next-line @typescript-eslint/require-await -- the editor's interface
      async deserializeWebviewPanel(panel: WebviewPanel, state: unknown) {
        const kept = keptState.safeParse(state);
        const other = kept.success ? entries.get(keyOf(kept.data.identity)) : undefined;
        if (!kept.success || other !== undefined) panel.dispose();
        else fill(panel, kept.data.identity);
      },
    }),
  ];

  return {
    open(run, preserveFocus) {
      const found = entries.get(keyOf(run));
      if (found !== undefined) {
        found.panel.reveal(undefined, preserveFocus);
        return;
      }
      const row = app.run(run);
      const title = row === undefined ? '' : tabTitle(row);
      const panel = window.createWebviewPanel(
        PanelType.run,
        title === '' ? l10n.t('Run {0}', run.id.slice(-6)) : title,
        { viewColumn: ViewColumn.Active, preserveFocus },
        { enableFindWidget: true },
      );
      fill(panel, run);
    },
    dispose() {
      for (const listener of listeners) listener.dispose();
      for (const { panel } of [...entries.values()]) panel.dispose();
    },
  };
}

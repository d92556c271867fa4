import { commands, ViewColumn, window, type WebviewPanel } from 'vscode';
import * as z from 'zod/mini';
import type { Scope } from '../../webviews/compare/messages.ts';
import { runId } from '../../webviews/protocol.ts';
import type { App, ComparisonSelection, RunRef, ShownComparison } from '../app.ts';
import { comparisonTitle } from '../core/comparison-title.ts';
import { sweepTitle } from '../core/run-tree.ts';
import { Command, PanelType } from '../ids.ts';
import { makeCompareSession, type CompareSession, type CompareSource } from './compare-session.ts';
import { fillWebview, nonce, panelIcon } from './web-page.ts';

/** The panels of comparisons, one for each selection of runs. */
export interface ComparePanels {
  open(selection: ComparisonSelection): void;
  active(): ShownComparison | undefined;
  dispose(): void;
}

const selectionState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('runs'), runs: z.array(z.object({ folder: z.string(), id: runId })) }),
  z.object({ kind: z.literal('sweep'), folder: z.string(), sweep: z.string() }),
  z.object({ kind: z.literal('everything') }),
]);

const keptState = z.object({ identity: z.object({ selection: selectionState }) });

interface Entry {
  readonly panel: WebviewPanel;
  readonly selection: ComparisonSelection;
  readonly session: CompareSession;
  /** Something has changed while nobody could see it. */
  stale: boolean;
}

/** The same for the same selection, in whatever order its runs were chosen. */
function keyOf(selection: ComparisonSelection): string {
  if (selection.kind === 'everything') return 'everything';
  if (selection.kind === 'sweep') return JSON.stringify(['sweep', selection.folder, selection.sweep]);
  return JSON.stringify(selection.runs.map(({ folder, id }) => `${id} ${folder}`).sort());
}

/** The comparison panels of a window, one for each selection of runs. */
export function makeComparePanels(app: App, openRun: (run: RunRef) => void): ComparePanels {
  const entries = new Map<string, Entry>();

  /** The selected runs of each folder that is there. */
  function sourcesOf(selection: ComparisonSelection): readonly CompareSource[] {
    return app.folders.flatMap(({ key, store }) => {
      if (selection.kind === 'everything') return [{ key, store, filter: {} }];
      if (selection.kind === 'sweep')
        return selection.folder === key ? [{ key, store, filter: { sweeps: [selection.sweep] } }] : [];
      const ids = selection.runs.filter(({ folder }) => folder === key).map(({ id }) => id);
      return ids.length === 0 ? [] : [{ key, store, filter: { ids } }];
    });
  }

  function scopeOf(selection: ComparisonSelection): Scope {
    if (selection.kind === 'everything') return { kind: 'all' };
    if (selection.kind === 'runs') return { kind: 'runs', count: selection.runs.length };
    return { kind: 'sweep', name: sweepTitle(selection.sweep).name };
  }

  const titleOf = (selection: ComparisonSelection): string => comparisonTitle(selection, (ref) => app.run(ref));

  function fill(panel: WebviewPanel, selection: ComparisonSelection): void {
    const session = makeCompareSession({
      feed: nonce(),
      scope: () => scopeOf(selection),
      sources: () => sourcesOf(selection),
      post: (message) => void panel.webview.postMessage(message),
      onOpen: (folder, id) => openRun({ folder, id }),
      onExport: () =>
        void commands.executeCommand(Command.exportComparison).then(undefined, (error: unknown) => {
          app.log.error(String(error));
        }),
      onProblem: (problem) => app.log.warn(`comparison: ${problem}`),
    });
    const entry: Entry = { panel, selection, session, stale: false };
    const parts = [
      panel.webview.onDidReceiveMessage((message: unknown) => session.receive(message)),
      panel.onDidChangeViewState(() => {
        if (!panel.visible || !entry.stale) return;
        entry.stale = false;
        void session.refresh();
      }),
    ];
    entries.set(keyOf(selection), entry);
    panel.onDidDispose(() => {
      session.dispose();
      for (const part of parts) part.dispose();
      entries.delete(keyOf(selection));
    });
    // A panel that is restored may come before the runs' names.
    void app.ready.then(() => {
      if (entries.get(keyOf(selection)) === entry) panel.title = titleOf(selection);
    });
    panel.iconPath = panelIcon(app.context, 'comparison');
    fillWebview(panel.webview, app.context, 'comparison', panel.title, { selection });
    void session.refresh();
  }

  const listeners = [
    app.onDidChangeRuns(({ folder, changed, removed, everything }) => {
      for (const entry of entries.values()) {
        if (!entry.panel.visible) entry.stale = true;
        else void entry.session.refresh(everything ? undefined : { source: folder.key, changed, removed });
      }
    }),
    app.onDidChangeFolders(() => {
      for (const entry of entries.values()) {
        if (!entry.panel.visible) entry.stale = true;
        else void entry.session.refresh();
      }
    }),
    window.registerWebviewPanelSerializer(PanelType.comparison, {
      // eslint-disable-next-line @typescript-eslint/require-await -- the editor's interface
      async deserializeWebviewPanel(panel: WebviewPanel, state: unknown) {
        const kept = keptState.safeParse(state);
        const selection = kept.success ? kept.data.identity.selection : undefined;
        if (selection === undefined || entries.has(keyOf(selection))) panel.dispose();
        else fill(panel, selection);
      },
    }),
  ];

  return {
    open(selection) {
      const found = entries.get(keyOf(selection));
      if (found !== undefined) {
        found.panel.reveal();
        return;
      }
      const panel = window.createWebviewPanel(PanelType.comparison, titleOf(selection), ViewColumn.Beside, {
        enableFindWidget: true,
      });
      fill(panel, selection);
    },
    active() {
      const found = [...entries.values()].find(({ panel }) => panel.active);
      return found === undefined ? undefined : { selection: found.selection, view: found.session.view() };
    },
    dispose() {
      for (const listener of listeners) listener.dispose();
      for (const { panel } of [...entries.values()]) panel.dispose();
    },
  };
}

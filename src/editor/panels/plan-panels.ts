import { env, l10n, ViewColumn, window, workspace, type WebviewPanel } from 'vscode';
import * as z from 'zod/mini';
import { firstInputs, layout, type PlanInputs, type Size } from '../../webviews/plan/messages.ts';
import type { App, BegunRun } from '../app.ts';
import { keptState as keptAnswers, privacyMember, sizeOfTask } from '../core/plan-configuration.ts';
import { PanelType } from '../ids.ts';
import { makePlanSession, type FinishedPlan, type PlanSession } from './plan-session.ts';
import { fillWebview, nonce, panelIcon } from './web-page.ts';

/** The panel of the privacy planner; there is one at most. */
export interface PlanPanels {
  /** @param begun the answers of "Start Run" that the plan completes */
  open(begun?: BegunRun): void;
  dispose(): void;
}

/** The page keeps the answers with the inputs that complete them. */
const keptState = z.object({ layout: z.pick(layout, { inputs: true, begun: true }) });

interface Entry {
  readonly panel: WebviewPanel;
  readonly session: PlanSession;
  begun: BegunRun;
}

/** The inputs of a plan for what has been answered. */
function inputsFor({ task, examples }: BegunRun): PlanInputs {
  if (task === undefined) return firstInputs;
  const count = examples ?? firstInputs.examples;
  return {
    ...firstInputs,
    task: examples === undefined ? null : sizeOfTask(task),
    examples: count,
    batchSize: Math.min(firstInputs.batchSize, Math.max(1, Math.floor(count / 10))),
  };
}

/** The planner of privacy budgets, of which a window has one. */
export function makePlanPanels(app: App): PlanPanels {
  let entry: Entry | undefined;

  async function sizes(): Promise<readonly Size[]> {
    const { tasks } = await app.worker.ask('catalogue', undefined);
    const known = tasks.flatMap(({ id, title, trainExamples }) =>
      trainExamples === undefined
        ? []
        : [{ id: sizeOfTask(id), title, examples: trainExamples, from: 'task' } as const],
    );
    const counted = (await dataSets()).flatMap(({ id, data, examples }) =>
      examples === null ? [] : [{ id: `data ${id}`, title: data, examples, from: 'run' } as const],
    );
    return [...counted, ...known];
  }

  async function dataSets() {
    const found = await Promise.all(
      app.folders.map(async ({ key, name, uri }) => {
        const statements = await app.worker.ask('dataSets', uri.fsPath);
        return statements.map((statement) => ({
          ...statement,
          id: JSON.stringify([key, statement.data]),
          data: app.folders.length > 1 ? `${name}: ${statement.data}` : statement.data,
        }));
      }),
    );
    return found.flat();
  }

  async function copy({ privacy }: FinishedPlan): Promise<void> {
    await env.clipboard.writeText(privacyMember(privacy));
    void window.setStatusBarMessage(l10n.t('Copied: {0}', privacyMember(privacy)), 4000);
  }

  function fill(panel: WebviewPanel, inputs: PlanInputs, begun: BegunRun): void {
    const report = (problem: unknown): void => app.log.error(String(problem));
    const session = makePlanSession({
      feed: nonce(),
      sizes,
      dataSets,
      plan: (request) => app.worker.ask('planPrivacy', request),
      sketch: (request) => app.worker.ask('sketchEpsilon', request),
      post: (message) => void panel.webview.postMessage(message),
      onCopy: (plan) => void copy(plan).catch(report),
      onOpen: (plan) => void app.actions.openPlan(plan, entry?.begun ?? begun),
      onProblem: (problem) => app.log.warn(`privacy planner: ${problem}`),
    });
    const parts = [
      panel.webview.onDidReceiveMessage((message: unknown) => session.receive(message)),
      panel.onDidChangeViewState(() => {
        if (panel.visible) void session.refresh();
      }),
    ];
    entry = { panel, session, begun };
    panel.onDidDispose(() => {
      session.dispose();
      for (const part of parts) part.dispose();
      entry = undefined;
    });
    panel.iconPath = panelIcon(app.context, 'plan');
    fillWebview(panel.webview, app.context, 'plan', panel.title, { inputs, begun });
    void app.ready.then(() => session.refresh());
  }

  const listeners = [
    app.onDidChangeRuns(() => {
      if (entry?.panel.visible === true) void entry.session.refresh();
    }),
    app.onDidChangeFolders(() => {
      if (entry?.panel.visible === true) void entry.session.refresh();
    }),
    workspace.onDidSaveTextDocument(({ uri }) => {
      if (uri.path.endsWith('/privacy-budget.json') && entry?.panel.visible === true) void entry.session.refresh();
    }),
    window.registerWebviewPanelSerializer(PanelType.privacyPlan, {
      // eslint-disable-next-line @typescript-eslint/require-await -- the editor's interface
      async deserializeWebviewPanel(panel: WebviewPanel, state: unknown) {
        const kept = keptState.safeParse(state);
        if (entry !== undefined) panel.dispose();
        else if (kept.success) fill(panel, kept.data.layout.inputs, keptAnswers(kept.data.layout.begun));
        else fill(panel, inputsFor({}), {});
      },
    }),
  ];

  return {
    open(begun = {}) {
      if (entry !== undefined) {
        entry.panel.reveal();
        if (begun.task === undefined) return;
        entry.begun = begun;
        entry.session.open(inputsFor(begun), begun);
        return;
      }
      const panel = window.createWebviewPanel(PanelType.privacyPlan, l10n.t('Privacy Plan'), ViewColumn.Active, {
        enableFindWidget: true,
      });
      fill(panel, inputsFor(begun), begun);
    },
    dispose() {
      for (const listener of listeners) listener.dispose();
      entry?.panel.dispose();
    },
  };
}

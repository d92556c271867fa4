import { join } from 'node:path';
import { build } from 'esbuild';
import { chromium, type Browser, type Page } from 'playwright-core';
import { findChromium, Unavailable } from '../../../scripts/vscode/programs.ts';
import { makeCompareSession, type CompareSession } from '../../../src/editor/panels/compare-session.ts';
import { sizeOfTask } from '../../../src/editor/core/plan-configuration.ts';
import { pageHtml } from '../../../src/editor/panels/page.ts';
import { makePlanSession, type FinishedPlan, type PlanSession } from '../../../src/editor/panels/plan-session.ts';
import { makeRunSession, type RunSession } from '../../../src/editor/panels/run-session.ts';
import type { RunFile } from '../../../src/editor/panels/run-values.ts';
import { taskChoices } from '../../../src/editor/worker/catalogue.ts';
import { privacyAnswers } from '../../../src/editor/worker/privacy.ts';
import type { BudgetStatement } from '../../../src/runs/budget-statement.ts';
import type { RunFilter } from '../../../src/store/listing.ts';
import type { Store } from '../../../src/store/store.ts';
import type { Scope } from '../../../src/webviews/compare/messages.ts';
import { firstInputs, type PlanInputs } from '../../../src/webviews/plan/messages.ts';
import { english } from '../../../src/webviews/strings.ts';
import { themes, variablesOf, type ThemeName } from './themes.ts';

/** A panel in a real browser, with the host's own session behind it: only the editor between the two is missing. */

const root = join(import.meta.dirname, '..', '..', '..');

/** A Chromium or Chrome, or in words why there is none. */
export async function findBrowser(): Promise<{ readonly path: string } | { readonly missing: string }> {
  try {
    return { path: await findChromium() };
  } catch (error) {
    if (error instanceof Unavailable) return { missing: error.message };
    throw error;
  }
}

export async function openBrowser(path: string): Promise<Browser> {
  // The page under test is this project's own, and containers run as root.
  return chromium.launch({
    executablePath: path,
    args: ['--no-sandbox', '--disable-gpu', '--font-render-hinting=none'],
  });
}

/** The pages' scripts, built from the source as it is. */
export async function buildPages(): Promise<Readonly<Record<'run' | 'comparison' | 'plan' | 'report', string>>> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: {
      run: 'src/webviews/run/main.ts',
      comparison: 'src/webviews/compare/main.ts',
      plan: 'src/webviews/plan/main.ts',
      report: 'src/webviews/compare/report.ts',
    },
    outdir: 'unused',
    write: false,
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: 'chrome134',
    loader: { '.css': 'text' },
    conditions: ['production'],
    logLevel: 'silent',
  });
  const text = (name: string): string => outputFiles.find(({ path }) => path.endsWith(`${name}.js`))?.text ?? '';
  return { run: text('run'), comparison: text('comparison'), plan: text('plan'), report: text('report') };
}

export interface PanelOptions {
  readonly browser: Browser;
  readonly script: string;
  readonly theme?: ThemeName;
  readonly width?: number;
  readonly height?: number;
  /** What the editor kept of the panel. */
  readonly state?: unknown;
  readonly reducedMotion?: boolean;
}

/** A panel that is open. */
export interface OpenPanel {
  readonly page: Page;
  /** What the page complained of: errors, and violations of its policy. */
  readonly complaints: readonly string[];
  /** What the page asked the host to do. */
  readonly asked: readonly unknown[];
  /** What the page told the editor to keep. */
  readonly kept: () => Promise<unknown>;
  readonly close: () => Promise<void>;
}

const origin = 'https://panel.test';

/** Messages travel as JSON here; the arrays of numbers in them are marked. */
function packed(message: unknown): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Float64Array
      ? { $numbers: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
      : value,
  );
}

/** Runs in the page before its own script: the editor's half of the bridge, and its theme. */
function prepare({
  state,
  variables,
  kind,
}: {
  state: unknown;
  variables: Readonly<Record<string, string>>;
  kind: string;
}): void {
  interface Bridge {
    peftPost: (text: string) => void;
    peftState: unknown;
    peftReceive: (text: string) => void;
    acquireVsCodeApi: () => unknown;
    dispatchEvent: (event: unknown) => void;
  }
  const bridge = globalThis as unknown as Bridge;
  bridge.peftState = state;
  bridge.acquireVsCodeApi = () => ({
    postMessage: (message: unknown) => bridge.peftPost(JSON.stringify(message)),
    getState: () => bridge.peftState,
    setState: (next: unknown) => {
      bridge.peftState = next;
    },
  });
  bridge.peftReceive = (text) => {
    const data: unknown = JSON.parse(text, (_, value: unknown) => {
      if (typeof value !== 'object' || value === null || !('$numbers' in value)) return value;
      const bytes = Uint8Array.from(atob(String(value.$numbers)), (sign) => sign.charCodeAt(0));
      return new Float64Array(bytes.buffer);
    });
    bridge.dispatchEvent(new MessageEvent('message', { data }));
  };
  const { document } = globalThis as unknown as {
    document: {
      documentElement: { style: { setProperty(name: string, value: string): void } };
      body: { classList: { add(name: string): void } } | null;
      addEventListener(type: string, listener: () => void): void;
    };
  };
  const dress = (): void => {
    for (const [name, value] of Object.entries(variables)) document.documentElement.style.setProperty(name, value);
    document.body?.classList.add(kind);
  };
  document.addEventListener('DOMContentLoaded', dress);
}

async function openPanel(
  { browser, script, theme = 'dark', width = 1100, height = 900, state, reducedMotion = false }: PanelOptions,
  identity: Readonly<Record<string, unknown>>,
  connect: (post: (message: unknown) => void) => {
    receive(message: unknown): void;
    refresh(): Promise<void>;
    dispose(): void;
  },
): Promise<OpenPanel> {
  const context = await browser.newContext({
    viewport: { width, height },
    reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
    locale: 'en-GB',
    timezoneId: 'UTC',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  const asked: unknown[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const html = pageHtml({
    title: 'panel',
    nonce: 'abc123',
    script: `${origin}/page.js`,
    setup: { strings: english, locale: 'en', identity: { ...identity } },
  });
  await page.route('**/*', (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/') return route.fulfill({ contentType: 'text/html; charset=utf-8', body: html });
    if (pathname === '/page.js') return route.fulfill({ contentType: 'text/javascript; charset=utf-8', body: script });
    complaints.push(`request: ${route.request().url()}`);
    return route.abort();
  });
  let isOpen = true;
  const session = connect((message) => {
    if (!isOpen) return;
    page
      .evaluate(
        (text) => (globalThis as unknown as { peftReceive(text: string): void }).peftReceive(text),
        packed(message),
      )
      .catch(() => undefined);
  });
  await page.exposeFunction('peftPost', (text: string) => {
    const message: unknown = JSON.parse(text);
    asked.push(message);
    session.receive(message);
  });
  await page.addInitScript(prepare, { state, variables: variablesOf(theme), kind: themes[theme].kind });
  await page.goto(`${origin}/`);
  await session.refresh();
  return {
    page,
    complaints,
    asked,
    kept: () => page.evaluate(() => (globalThis as unknown as { peftState: unknown }).peftState),
    async close() {
      isOpen = false;
      session.dispose();
      await context.close();
    },
  };
}

export interface RunPanelOptions extends PanelOptions {
  readonly store: Pick<Store, 'show' | 'curves' | 'logs'> | undefined;
  readonly run: string;
  readonly files?: readonly RunFile[];
  readonly canStart?: boolean;
  readonly isUnseen?: boolean;
  /** The folder that holds `.peft`, for what is read from the run's own files. */
  readonly folder?: string;
  readonly onSession?: (session: RunSession) => void;
}

/** The panel of a run over a store. */
export function openRunPanel(options: RunPanelOptions): Promise<OpenPanel> {
  const { store, run, files = [], canStart = true, isUnseen = false, folder = '/nowhere', onSession } = options;
  return openPanel(options, { folder: 'file:///somewhere', id: run }, (post) => {
    const session = makeRunSession({
      id: run,
      feed: 'one',
      store: () => store,
      files: () => Promise.resolve(files),
      privacy: {
        record: async () => privacyAnswers.runPrivacy({ folder, id: run }),
        local: async (points) => privacyAnswers.localCurves({ folder, id: run, points }),
        audit: async () => privacyAnswers.audit({ folder, id: run }),
      },
      canStart: () => canStart,
      isUnseen: () => isUnseen,
      post,
      onCommand: () => undefined,
      onReveal: () => undefined,
      onProblem: () => undefined,
      onTitle: () => undefined,
    });
    onSession?.(session);
    return session;
  });
}

export interface PlanPanelOptions extends PanelOptions {
  readonly inputs?: PlanInputs;
  readonly dataSets?: readonly (BudgetStatement & { readonly id: string })[];
  readonly onSession?: (session: PlanSession) => void;
  readonly onCopy?: (plan: FinishedPlan) => void;
}

/** The privacy planner, computing for real. */
export function openPlanPanel(options: PlanPanelOptions): Promise<OpenPanel> {
  const { inputs = firstInputs, dataSets = [], onSession, onCopy } = options;
  return openPanel(options, { inputs }, (post) => {
    const session = makePlanSession({
      feed: 'one',
      sizes: () =>
        Promise.resolve(
          taskChoices().flatMap(({ id, title, trainExamples }) =>
            trainExamples === undefined
              ? []
              : [{ id: sizeOfTask(id), title, examples: trainExamples, from: 'task' as const }],
          ),
        ),
      dataSets: () => Promise.resolve(dataSets),
      plan: async (request) => privacyAnswers.planPrivacy(request),
      sketch: async (request) => privacyAnswers.sketchEpsilon(request),
      post,
      onCopy: (plan) => onCopy?.(plan),
      onOpen: () => undefined,
      onProblem: () => undefined,
    });
    onSession?.(session);
    return session;
  });
}

export interface ComparePanelOptions extends PanelOptions {
  readonly store: Pick<Store, 'comparison'>;
  readonly filter?: RunFilter;
  readonly scope?: Scope;
  readonly onSession?: (session: CompareSession) => void;
  readonly onOpen?: (run: string) => void;
}

/** The comparison of a store's runs. */
export function openComparePanel(options: ComparePanelOptions): Promise<OpenPanel> {
  const { store, filter = {}, scope = { kind: 'all' }, onSession, onOpen } = options;
  return openPanel(options, { selection: { kind: 'everything' } }, (post) => {
    const session = makeCompareSession({
      feed: 'one',
      scope: () => scope,
      sources: () => [{ key: 'somewhere', store, filter }],
      post,
      onOpen: (_, run) => onOpen?.(run),
      onExport: () => undefined,
      onProblem: () => undefined,
    });
    onSession?.(session);
    return session;
  });
}

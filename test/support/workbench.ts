import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { chromium, type Browser, type FrameLocator, type Locator, type Page } from 'playwright-core';
import { findChromium } from '../../scripts/vscode/programs.ts';
import { until } from './until.ts';

const chromiumArguments = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

export interface WindowOptions {
  readonly url: string;
  /** The folder to open; an empty window without. */
  readonly folder?: string | undefined;
  /** What the page's address tells the workbench, such as where an extension under development lies. */
  readonly payload?: readonly (readonly [key: string, value: string])[];
  readonly width?: number;
  readonly height?: number;
  /** Functions that the page can call. */
  readonly expose?: Readonly<Record<string, (...args: never[]) => unknown>>;
}

/** A window of VS Code in a browser of its own, used as a person would. */
export interface Workbench {
  readonly page: Page;
  /** What the page and its extension host printed. */
  readonly lines: readonly string[];
  /** Waits until the window is drawn; extensions may still be loading. */
  ready(): Promise<void>;
  /** Reloads the window by the editor's own command, which keeps what is open. */
  reload(): Promise<void>;
  /** Runs a command by its title, category included, from the command palette. */
  runCommand(title: string): Promise<void>;
  /** Whether the palette offers a command. */
  offers(title: string): Promise<boolean>;
  /** The open quick pick or input box. */
  readonly quickInput: Locator;
  /** Rows of the open quick pick. */
  pick(text: string | RegExp): Locator;
  /** Opens a view container by its title. */
  openContainer(title: string): Promise<void>;
  /** Rows of the trees in the side bar. */
  treeRow(text: string | RegExp): Locator;
  toast(text: string | RegExp): Locator;
  /** The document of the visible webview with this heading. */
  webview(heading: string | RegExp): Promise<FrameLocator>;
  /** Opens a file of the workspace by its name. */
  openFile(name: string): Promise<void>;
  screenshot(file: string): Promise<void>;
  close(): Promise<void>;
}

async function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), args: chromiumArguments });
}

/** Whether it is visible within five seconds. */
function comes(what: Locator): Promise<boolean> {
  return what.waitFor({ timeout: 5000 }).then(
    () => true,
    () => false,
  );
}

/** Opens a window. @throws Error when the server does not answer with a workbench */
export async function openWindow(options: WindowOptions): Promise<Workbench> {
  const { url, folder, payload, width = 1280, height = 800, expose = {} } = options;
  const browser = await launch();
  const context = await browser.newContext({
    viewport: { width, height },
    locale: 'en-US',
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  // A machine that is busy with training takes its time; nothing here is about speed.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  const lines: string[] = [];
  page.on('console', (message) => lines.push(`[${message.type()}] ${message.text()}`));
  page.on('pageerror', (error) => lines.push(`[pageerror] ${error.stack ?? error.message}`));
  for (const [name, value] of Object.entries(expose)) await page.exposeFunction(name, value);
  const query = new URLSearchParams(folder === undefined ? { ew: 'true' } : { folder });
  if (payload !== undefined) query.set('payload', JSON.stringify(payload));
  const response = await page.goto(`${url}/?${query.toString()}`);
  if (response?.ok() !== true) {
    await browser.close();
    throw new Error(`the workbench answered ${response?.status() ?? 'nothing'}`);
  }

  const input = page.locator('.quick-input-widget input.input');
  const rows = page.locator('.quick-input-list .monaco-list-row');

  /** Opens the palette with a command's row in it. */
  async function inPalette(title: string, attempts: number): Promise<Locator | undefined> {
    const row = rows.filter({ has: page.getByText(title, { exact: true }) }).first();
    for (let attempt = 0; attempt < attempts; attempt++) {
      await page.keyboard.press('F1');
      try {
        await input.waitFor({ state: 'visible', timeout: 5_000 });
        await input.fill(`>${title}`);
        await row.waitFor({ timeout: 4_000 });
        return row;
      } catch {
        // The palette lists the commands known when it opened; an extension's come later.
        await page.keyboard.press('Escape');
      }
    }
    return undefined;
  }

  async function ready(): Promise<void> {
    await page.locator('.monaco-workbench').waitFor({ timeout: 120_000 });
    await page.locator('.part.activitybar .action-item').first().waitFor({ timeout: 120_000 });
    await page.locator('#status\\.host').waitFor({ timeout: 120_000 });
  }

  async function runCommand(title: string): Promise<void> {
    const row = await inPalette(title, 20);
    if (row === undefined) throw new Error(`no command '${title}' in the palette`);
    await row.click();
  }

  return {
    page,
    lines,
    ready,
    async reload() {
      // The browser's own reload may come before the workbench has stored which editors are open.
      const loaded = page.waitForEvent('load');
      await runCommand('Developer: Reload Window');
      await loaded;
      await ready();
    },
    runCommand,
    async offers(title) {
      const row = await inPalette(title, 1);
      if (row !== undefined) await page.keyboard.press('Escape');
      return row !== undefined;
    },
    quickInput: input,
    pick: (text) => rows.filter({ hasText: text }).first(),
    async openContainer(title) {
      const item = page
        .locator('.part.activitybar .action-item')
        .filter({ has: page.locator(`a[aria-label^="${title}"]`) });
      await item.waitFor();
      // A click on the icon of the open container closes it, and after a reload it may still be opening.
      const opens = await until(
        'an open container',
        async () => {
          const checked = page.locator('.part.activitybar .action-item.checked a');
          return (await checked.count()) > 0 ? ((await checked.first().getAttribute('aria-label')) ?? '') : undefined;
        },
        10,
      ).catch(() => '');
      if (!opens.startsWith(title)) await item.locator('a').click({ force: true });
      await page.locator('.part.sidebar .composite.title').getByText(title).first().waitFor();
    },
    treeRow: (text) => page.locator('.part.sidebar .monaco-list-row').filter({ hasText: text }),
    toast: (text) => page.locator('.notification-toast').filter({ hasText: text }),
    webview: (heading) =>
      until(`a webview with the heading ${String(heading)}`, async () => {
        const frames = page.locator('iframe.webview.ready').filter({ visible: true });
        for (let index = 0; index < (await frames.count()); index++) {
          const document = frames.nth(index).contentFrame().frameLocator('iframe#active-frame');
          if (await document.getByRole('heading', { level: 1, name: heading }).isVisible()) return document;
        }
        return undefined;
      }),
    async openFile(name) {
      const row = rows.filter({ hasText: name }).first();
      // The editor lists files once for each question: a file that was just written may be found only when it is asked again.
      await until(`a row for ${name}`, async () => {
        await page.keyboard.press('Control+P');
        // A window that is just being trusted takes no keys.
        if (!(await comes(input))) return undefined;
        await input.fill(name);
        if (await comes(row)) return true;
        await page.keyboard.press('Escape');
        return undefined;
      });
      await row.click();
      await page.locator('.tab.active').filter({ hasText: name }).waitFor();
    },
    async screenshot(file) {
      await page.mouse.move(width - 20, height / 2); // No tooltip, and nothing that is hovered over.
      await page.waitForTimeout(600); // Toasts, tooltips and the palette fade.
      mkdirSync(dirname(file), { recursive: true });
      await page.screenshot({ path: file, animations: 'disabled' });
    },
    close: () => browser.close(),
  };
}

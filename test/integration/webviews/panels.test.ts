import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparisonReport } from '../../../src/analysis/html-report.ts';
import type { CompareSession } from '../../../src/editor/panels/compare-session.ts';
import type { PlanSession } from '../../../src/editor/panels/plan-session.ts';
import type { RunSession } from '../../../src/editor/panels/run-session.ts';
import { firstView } from '../../../src/webviews/compare/messages.ts';
import { firstInputs } from '../../../src/webviews/plan/messages.ts';
import { firstLayout } from '../../../src/webviews/run/layout.ts';
import { line, segmentOf, step } from '../../unit/store/workspace.ts';
import {
  buildPages,
  findBrowser,
  openBrowser,
  openComparePanel,
  openPlanPanel,
  openRunPanel,
  type OpenPanel,
} from './panel-page.ts';
import { hostile, hostileRun, idOf, manyRuns, methodsByTasks, storeOf, type OpenedRuns } from './some-runs.ts';

const chromium = await findBrowser();
if ('missing' in chromium) console.warn(`The panels were not tried in a browser: ${chromium.missing}.`);

const recorded = '20261121-053220069-5kzrkh';
const running = idOf(900);
const attacked = idOf(901);
const secret = idOf(904);
const growing = idOf(905);
const stopped = idOf(906);

/** As `expect`, of what becomes true sooner or later. */
const eventually = <T>(value: () => T | Promise<T>) => expect.poll(value, { timeout: 30_000 });

/** The panels' own pages in a browser, with the host's sessions and a store behind them. */
describe.skipIf('missing' in chromium)('in a browser', () => {
  let browser: Browser;
  let pages: Readonly<Record<'run' | 'comparison' | 'plan' | 'report', string>>;
  let runs: OpenedRuns;
  let records: OpenedRuns;
  let methods: OpenedRuns;

  beforeAll(async () => {
    [browser, pages, runs, records, methods] = await Promise.all([
      openBrowser('path' in chromium ? chromium.path : ''),
      buildPages(),
      storeOf([
        { id: running, name: 'a run', steps: 40, ending: 'none' },
        { id: growing, name: 'a run', steps: 40, ending: 'none' },
        { id: stopped, name: 'a run', steps: 40, ending: 'none' },
        hostileRun(attacked),
        { ...hostileRun(idOf(902)), ending: 'finished' },
        { id: secret, name: 'a private run', steps: 30, mechanism: { noiseMultiplier: 0.9 } },
      ]),
      storeOf([], { recorded: true }),
      storeOf(methodsByTasks()),
    ]);
  });

  afterAll(async () => {
    await browser.close();
    for (const each of [runs, records, methods]) await each.close();
  });

  /** Opens a panel for as long as `work` takes; afterwards the page must have had nothing to complain of. */
  async function during(opening: Promise<OpenPanel>, work: (panel: OpenPanel) => Promise<void>): Promise<void> {
    const panel = await opening;
    try {
      await work(panel);
      expect(panel.complaints).toEqual([]);
    } finally {
      await panel.close();
    }
  }

  const runPanel = (id: string, store = runs.store, more = {}): Promise<OpenPanel> =>
    openRunPanel({ browser, script: pages.run, store, run: id, ...more });
  const comparison = (more = {}, view = {}): Promise<OpenPanel> =>
    openComparePanel({
      browser,
      script: pages.comparison,
      store: methods.store,
      state: { layout: { ...firstView, ...view } },
      ...more,
    });
  const chart = (panel: OpenPanel, title: string): Locator =>
    panel.page
      .locator('peft-curve-chart')
      .filter({ has: panel.page.getByRole('heading', { name: title, exact: true }) });

  it('a recorded run shows its state, numbers, curves, results and settings', () =>
    during(runPanel(recorded, records.store), async (panel) => {
      const { page } = panel;
      await page.getByRole('heading', { level: 1, name: 'tiny sweep' }).waitFor();
      expect(await page.getByRole('status').first().textContent()).toContain('Finished');
      await chart(panel, 'Loss').locator('canvas').waitFor();
      for (const title of ['Score', 'Accuracy', 'Learning rate', 'Gradient norm', 'Memory'])
        await chart(panel, title).locator('canvas').waitFor();
      expect(await page.locator('dl.facts').textContent()).toContain('1,058');
      await page.getByRole('tab', { name: 'Results' }).click();
      expect(await page.getByRole('row').count()).toBeGreaterThan(5);
      await page.getByRole('tab', { name: 'Configuration' }).click();
      await page.getByRole('gridcell', { name: 'training.learningRate' }).waitFor();
    }));

  it('new steps appear without asking for the old ones again', async () => {
    let session: RunSession | undefined;
    await during(
      runPanel(running, runs.store, {
        onSession: (made: RunSession) => {
          session = made;
        },
      }),
      async (panel) => {
        const plot = chart(panel, 'Loss').getByRole('application');
        await eventually(() => plot.getAttribute('aria-label')).toContain('at step 40');
        const asked = panel.asked.length;
        const events = segmentOf(
          0,
          Array.from({ length: 400 }, (_, index) => step(index)),
        );
        runs.workspace.append(running, 'journal.jsonl', events.slice(-350, -340).map(line).join(''));
        await runs.store.ingest([running]);
        await session?.refresh();
        await eventually(() => plot.getAttribute('aria-label')).toContain('at step 59');
        const questions = JSON.stringify(panel.asked.slice(asked));
        expect(questions).toContain('"metric":"loss","points":2000,"fromStep":41');
      },
    );
  });

  it('a chart is read by keyboard, and shown as a table', () =>
    during(runPanel(recorded, records.store), async (panel) => {
      const { page } = panel;
      const loss = chart(panel, 'Loss');
      await loss.locator('canvas').waitFor();
      await loss.getByRole('application').focus();
      await page.keyboard.press('Home');
      await eventually(() => loss.locator('[aria-live]').textContent()).toMatch(/^\s*Step 1: train 0\.6925/);
      await page.keyboard.press('ArrowRight');
      await eventually(() => loss.locator('[aria-live]').textContent()).toMatch(/^\s*Step 2: train 0\.7108/);
      await loss.getByRole('button', { name: 'Show as Table' }).click();
      await loss.getByRole('columnheader', { name: 'Step' }).waitFor();
      expect(await panel.kept()).toMatchObject({ identity: { id: recorded }, layout: { tables: ['loss'] } });
      await loss.getByRole('columnheader', { name: 'Step' }).getByRole('button').click();
      expect(await loss.getByRole('columnheader', { name: 'Step' }).getAttribute('aria-sort')).toBe('descending');
      await loss.getByRole('gridcell', { name: '60', exact: true }).first().waitFor();
    }));

  it('a part of a curve is looked at closer, and left again', () =>
    during(runPanel(recorded, records.store), async (panel) => {
      const { page } = panel;
      const over = chart(panel, 'Loss').locator('.u-over');
      await over.waitFor();
      const box = await over.boundingBox();
      if (box === null) throw new Error('the chart has no place');
      await page.mouse.move(box.x + box.width * 0.25, box.y + 40);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 4 });
      await page.mouse.up();
      await page.getByRole('button', { name: 'Reset Zoom' }).waitFor();
      const label = (): Promise<string | null> =>
        chart(panel, 'Loss').getByRole('application').getAttribute('aria-label');
      // A quarter of the sixty steps, give or take where the pointer was seen last.
      await eventually(label).toMatch(/highest 0.\d+, (\d|1\d) points/);
      await page.getByRole('button', { name: 'Reset Zoom' }).click();
      await eventually(label).toMatch(/, 60 points/);
    }));

  it('a part of a curve is looked at closer by keyboard, and the point that was read stays the one that is read', async () => {
    let session: RunSession | undefined;
    const onSession = (made: RunSession): void => {
      session = made;
    };
    await during(runPanel(growing, runs.store, { onSession }), async (panel) => {
      const { page } = panel;
      const loss = chart(panel, 'Loss');
      const spoken = (): Promise<string | null> => loss.locator('[aria-live]').textContent();
      const label = (): Promise<string | null> => loss.getByRole('application').getAttribute('aria-label');
      await loss.locator('canvas').waitFor();
      await loss.getByRole('application').focus();
      await page.keyboard.press('Home');
      for (let step = 2; step <= 5; step++) await page.keyboard.press('ArrowRight');
      await eventually(spoken).toMatch(/^\s*Step 5: /);
      await page.keyboard.press('+');
      await eventually(label).toMatch(/, 20 points/);
      expect(await spoken()).toMatch(/^\s*Step 5: /);
      // The line of the cursor stands where step 5 of 1 to 20 is now.
      const across = async (): Promise<number> => {
        const [line, over] = await Promise.all([
          loss.locator('.u-cursor-x').boundingBox(),
          loss.locator('.u-over').boundingBox(),
        ]);
        return ((line?.x ?? 0) - (over?.x ?? 0)) / (over?.width ?? 1);
      };
      await eventually(across).toBeCloseTo(4 / 19, 1);
      await page.keyboard.press('-');
      await eventually(label).toMatch(/, 40 points/);
      await eventually(across).toBeCloseTo(4 / 39, 1);
      const events = Array.from({ length: 400 }, (_, index) => step(index));
      runs.workspace.append(growing, 'journal.jsonl', segmentOf(0, events).slice(-350, -340).map(line).join(''));
      await runs.store.ingest([growing]);
      await session?.refresh();
      await eventually(label).toContain('at step 59');
      expect(await spoken()).toMatch(/^\s*Step 5: /);
      await eventually(across).toBeCloseTo(4 / 58, 1);
      await page.keyboard.press('Escape');
      expect((await spoken())?.trim()).toBe('');
    });
  });

  it('the keyboard keeps its place when the button that it is at goes', async () => {
    let session: RunSession | undefined;
    const onSession = (made: RunSession): void => {
      session = made;
    };
    /** The class and the text of what has the focus, in whatever part of the page that is. */
    const focused = (page: Page): Promise<readonly [className: string, text: string]> =>
      page.evaluate(() => {
        interface Focusable {
          readonly shadowRoot: { readonly activeElement: Focusable | null } | null;
          readonly className: string;
          readonly textContent: string;
        }
        let found = (globalThis as unknown as { document: { activeElement: Focusable } }).document.activeElement;
        while (found.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
        return [found.className, found.textContent.trim()] as const;
      });
    await during(runPanel(stopped, runs.store, { onSession }), async ({ page }) => {
      await page.getByRole('button', { name: 'Stop' }).focus();
      const last = segmentOf(0, [
        ...Array.from({ length: 500 }, (_, index) => step(index)),
        { type: 'stopped', step: 40 },
      ]);
      runs.workspace.append(stopped, 'journal.jsonl', last.slice(-1).map(line).join(''));
      await runs.store.ingest([stopped]);
      await session?.refresh();
      await page.getByRole('button', { name: 'Resume' }).waitFor();
      expect(await page.getByRole('button', { name: 'Stop' }).count()).toBe(0);
      // Not the button that came in its place: a key that is pressed twice starts nothing.
      await eventually(async () => (await focused(page))[0]).toBe('buttons');
      await page.keyboard.press('Tab');
      expect(await focused(page)).toEqual(['', 'Resume']);
    });
    const privacy = { folder: runs.workspace.root, state: { layout: { ...firstLayout, tab: 'privacy' } } };
    await during(runPanel(secret, runs.store, privacy), async ({ page }) => {
      await page.getByRole('button', { name: 'Audit' }).press('Enter');
      await page.getByRole('alert').filter({ hasText: 'The recorded ε holds.' }).waitFor();
      expect(await focused(page)).toEqual(['', 'Audit']);
      await page.getByRole('button', { name: 'Show Local Data' }).press('Enter');
      await page.getByRole('heading', { name: 'Training loss' }).waitFor();
      await eventually(async () => (await focused(page))[0]).toBe('uncovered');
    });
  });

  it('with forced colours the chosen tab, the progress and what is drawn can be seen', () =>
    during(runPanel(running), async ({ page }) => {
      await page.emulateMedia({ forcedColors: 'active', colorScheme: 'dark' });
      await page.locator('canvas').first().waitFor();
      const colour = (of: Locator, property: string): Promise<string> =>
        of.evaluate((element, name) => {
          interface Style {
            getPropertyValue(name: string): string;
          }
          const page = globalThis as unknown as { getComputedStyle(of: unknown): Style };
          return page.getComputedStyle(element).getPropertyValue(name);
        }, property);
      const canvas = await colour(page.locator('body'), 'background-color');
      expect(await colour(page.getByRole('tab', { name: 'Results' }), 'border-bottom-color')).toBe(canvas);
      expect(await colour(page.getByRole('tab', { name: 'Curves' }), 'border-bottom-color')).not.toBe(canvas);
      expect(await colour(page.getByRole('progressbar').locator('div'), 'background-color')).not.toBe(canvas);
      expect(await colour(page.locator('body'), '--vscode-descriptionForeground')).toBe('CanvasText');
    }));

  it('tabs work by arrow keys and are kept with nothing but the identity', () =>
    during(runPanel(running), async ({ page, kept }) => {
      await page.getByRole('tab', { name: 'Curves' }).focus();
      await page.keyboard.press('ArrowRight');
      expect(await page.getByRole('tab', { name: 'Results' }).getAttribute('aria-selected')).toBe('true');
      await page.keyboard.press('End');
      expect(await page.getByRole('tab', { name: 'Files' }).getAttribute('aria-selected')).toBe('true');
      expect(await kept()).toEqual({
        identity: { folder: 'file:///somewhere', id: running },
        layout: { ...firstLayout, tab: 'artifacts' },
      });
    }));

  it('a kept arrangement that makes no sense is the default', () =>
    during(runPanel(running, runs.store, { state: { layout: { tab: '<x>', smoothing: 7 } } }), async ({ page }) => {
      await page.getByRole('tab', { name: 'Curves', selected: true }).waitFor();
    }));

  it('buttons ask the host by name', () =>
    during(runPanel(running), async ({ page, asked }) => {
      await page.getByText('Stop', { exact: true }).click();
      expect(asked).toContainEqual({ type: 'command', command: 'stop' });
    }));

  it('a run that a lost machine may hold can be stopped and resumed: the host asks', () =>
    during(runPanel(running, runs.store, { isUnseen: true }), async ({ page, asked }) => {
      const actions = page.getByRole('group', { name: 'Actions' });
      await actions.getByText('Stop').waitFor();
      await actions.getByText('Resume').click();
      await eventually(() => asked).toContainEqual({ type: 'command', command: 'resume' });
    }));

  for (const tab of ['curves', 'results', 'configuration', 'environment', 'log', 'artifacts'])
    it(`markup in names, tags, notes, settings and log lines is text (${tab})`, () =>
      during(
        runPanel(attacked, runs.store, {
          state: { layout: { ...firstLayout, tab } },
          files: hostile.map((path) => ({ path, bytes: 1 })),
        }),
        async ({ page }) => {
          await page.getByRole('heading', { level: 1, name: hostile[0] }).waitFor();
          const shown = await textsOf(page);
          for (const text of hostile.slice(0, 6)) expect(shown).toContain(text);
          await expectUnharmed(page);
        },
      ));

  it('a private run has a card, with what epsilon does not cover apart from the rest', () =>
    during(
      runPanel(secret, runs.store, {
        folder: runs.workspace.root,
        state: { layout: { ...firstLayout, tab: 'privacy' } },
      }),
      async ({ page }) => {
        await page.getByText('ε when it is finished').waitFor();
        await page.getByRole('button', { name: 'Audit' }).click();
        await page.getByRole('alert').filter({ hasText: 'The recorded ε holds.' }).waitFor();
        const uncovered = page.getByRole('region', { name: 'Not covered by ε' });
        expect(await uncovered.locator('canvas').count()).toBe(0);
        await uncovered.getByRole('button', { name: 'Show Local Data' }).click();
        await uncovered.getByRole('heading', { name: 'Training loss' }).waitFor();
        // The curves of the other tab are not what is dragged over here.
        const over = uncovered.locator('.u-over').first();
        await over.waitFor();
        await over.scrollIntoViewIfNeeded();
        const box = await over.boundingBox();
        if (box === null) throw new Error('the chart has no place');
        await page.mouse.move(box.x + box.width * 0.25, box.y + 40);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.75, box.y + 60, { steps: 4 });
        await page.mouse.up();
        await page.getByRole('tab', { name: 'Curves' }).click();
        await page.locator('peft-curve-chart canvas').first().waitFor();
        expect(await page.getByRole('button', { name: 'Reset Zoom' }).count()).toBe(0);
        await page.getByRole('tab', { name: 'Privacy' }).click();
        const whole = page.locator('peft-line-chart');
        await whole.getByRole('button', { name: 'Show as Table' }).click();
        expect(await whole.getByRole('row').count()).toBe(4);
      },
    ));

  it('scores of a private run are labelled as not covered, those of others are not', async () => {
    const results = { folder: runs.workspace.root, state: { layout: { ...firstLayout, tab: 'results' as const } } };
    const label = 'ε does not cover these scores';
    await during(runPanel(secret, runs.store, results), async ({ page }) => {
      await page.getByText(label).waitFor();
    });
    await during(runPanel(running, runs.store, results), async ({ page }) => {
      await page.getByRole('gridcell').first().waitFor();
      expect(await page.getByText(label).count()).toBe(0);
    });
  });

  it('a run that is not private has no such tab, and a kept one leads to its curves', () =>
    during(
      runPanel(running, runs.store, { state: { layout: { ...firstLayout, tab: 'privacy' } } }),
      async ({ page }) => {
        await page.getByRole('tab', { name: 'Curves', selected: true }).waitFor();
        expect(await page.getByRole('tab', { name: 'Privacy' }).count()).toBe(0);
      },
    ));

  it('the planner answers what is typed, reads its curves by keyboard, and keeps nothing but its inputs', () => {
    const copied: unknown[] = [];
    let session: PlanSession | undefined;
    return during(
      openPlanPanel({
        browser,
        script: pages.plan,
        inputs: { ...firstInputs, task: null, examples: 2000, batchSize: 200 },
        onSession: (made) => (session = made),
        onCopy: (plan: unknown) => copied.push(plan),
      }),
      async ({ page, kept, asked }) => {
        const value = (name: string): Locator => page.locator('dl > div').filter({ hasText: name }).locator('dd.value');
        await page.getByText('Computing…').first().waitFor({ state: 'detached' });
        expect(await value('Sampling rate').textContent()).toBe('0.1');
        expect(await value('Steps').textContent()).toBe('30');
        const noise = page.locator('peft-line-chart').first();
        await noise.getByRole('application').focus();
        await page.keyboard.press('End');
        await eventually(() => noise.locator('[aria-live]').textContent()).toMatch(
          /^Noise multiplier \d\.\d+: ε 0\.\d+$/,
        );
        await noise.getByRole('button', { name: 'Show as Table' }).click();
        await eventually(() => noise.getByRole('row').count()).toBe(22);
        // A batch of more than all examples comes to nothing, and says so at its field.
        const batch = page.getByLabel('Batch size, expected');
        await batch.fill('3000');
        await page.getByText('More than the 2,000 training examples').waitFor();
        expect(await batch.getAttribute('aria-invalid')).toBe('true');
        await batch.fill('100');
        await page.getByLabel('δ, the chance that ε fails').fill('0.01');
        await page.getByRole('alert').filter({ hasText: 'δ is above 1/N' }).waitFor();
        await eventually(() => value('Steps').textContent()).toBe('60');
        await page.getByText('Copy as Configuration').click();
        await eventually(() => copied).toMatchObject([{ privacy: { epsilon: 3, delta: 0.01 } }]);
        const inputs = { ...firstInputs, task: null, examples: 2000, batchSize: 100, delta: 0.01 };
        expect(await kept()).toMatchObject({ layout: { inputs, tables: ['noise'] } });
        // What it is opened with meanwhile is shown and kept, with the answers that it completes.
        session?.open({ ...inputs, batchSize: 50 }, { task: 'cola' });
        await eventually(() => batch.inputValue()).toBe('50');
        expect(await kept()).toMatchObject({ layout: { inputs: { batchSize: 50 }, begun: { task: 'cola' } } });
        await eventually(() => asked).toContainEqual({ type: 'tookAsked', count: 1 });
      },
    );
  });

  it('markup in the names of methods and tasks is text in the comparison', () =>
    during(
      openComparePanel({
        browser,
        script: pages.comparison,
        store: runs.store,
        filter: { ids: [idOf(902)] },
        scope: { kind: 'sweep', name: hostile[1] },
      }),
      async ({ page }) => {
        await page.locator('.point').first().waitFor();
        expect(await page.getByRole('rowheader').first().textContent()).toContain(hostile[2]);
        expect(await page.locator('.point').first().getAttribute('aria-label')).toContain(hostile[2]);
        await expectUnharmed(page);
      },
    ));

  it('long names of methods and tasks leave room for numbers', async () => {
    const long = 'a name that says everything there is to say '.repeat(8);
    const named = await storeOf([
      { id: idOf(0), task: long, method: { id: long } },
      { id: idOf(1), task: 'sst2', method: { id: long, rank: 1 } },
    ]);
    try {
      await during(comparison({ store: named.store, width: 700 }), async ({ page }) => {
        const grid = page.getByRole('grid', { name: 'Method by task' });
        await grid.waitFor();
        expect((await grid.locator('thead').boundingBox())?.height).toBeLessThan(100);
        for (const row of await grid.getByRole('rowheader').all()) {
          const box = await row.boundingBox();
          expect(box?.height).toBeLessThan(110);
          expect(box?.width).toBeLessThan(350);
        }
      });
    } finally {
      await named.close();
    }
  });

  it('a comparison has a point for each method, and the keyboard opens its runs', async () => {
    const opened: string[] = [];
    await during(comparison({ onOpen: (run: string) => opened.push(run) }), async ({ page }) => {
      await page.locator('.point').first().waitFor();
      expect(await page.locator('.point').count()).toBe(28);
      expect(await page.locator('.point[tabindex="0"]').count()).toBe(1);
      await page.locator('.point[tabindex="0"]').focus();
      await page.keyboard.press('Home');
      await eventually(() => page.locator('.point:focus').getAttribute('aria-label')).toMatch(
        /^head, sst2: 68\.2 ± 0\.5 \(n = 3\); 770 parameters/,
      );
      await page.keyboard.press('End');
      await eventually(() => page.locator('.point:focus').getAttribute('aria-label')).toMatch(/^full, /);
      await page.keyboard.press('Enter');
      const list = page.getByRole('group', { name: 'full: 3 runs' });
      await list.waitFor();
      await list.getByRole('button').first().click();
      await page.keyboard.press('Escape');
      await eventually(() => list.count()).toBe(0);
      // A row has the runs of all tasks, and gets the focus back.
      await page.getByRole('grid', { name: 'Method by task' }).locator('tbody tr').first().dblclick();
      const ofRow = page.getByRole('group', { name: /^full: \d+ runs$/ });
      await ofRow.waitFor();
      await ofRow.getByRole('button').first().click();
      await page.keyboard.press('Escape');
      await eventually(() => page.locator('td:focus').count()).toBe(1);
    });
    expect(opened).toHaveLength(2);
  });

  it('a single run is opened at once, also from the table', async () => {
    const opened: string[] = [];
    await during(comparison({ onOpen: (run: string) => opened.push(run) }, { points: 'runs' }), async ({ page }) => {
      await page.locator('.point[tabindex="0"]').focus();
      await page.keyboard.press('Enter');
      await eventually(() => opened.length).toBe(1);
    });
  });

  it('the table is sorted by a header and walked by arrow keys', () =>
    during(comparison(), async ({ page }) => {
      const grid = page.getByRole('grid', { name: 'Method by task' });
      await grid.waitFor();
      const first = (): Promise<string | null> => grid.locator('tbody tr').first().locator('td').first().textContent();
      expect((await first())?.trim()).toBe('full');
      await grid.getByRole('columnheader', { name: 'Trained parameters' }).getByRole('button').click();
      await grid.getByRole('columnheader', { name: 'Trained parameters' }).getByRole('button').click();
      expect((await first())?.trim()).toMatch(/^head/);
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('End');
      const focused = page.locator('td:focus');
      await focused.waitFor();
      expect(await focused.locator('..').getAttribute('aria-rowindex')).toBe('3');
    }));

  it('a row keeps the focus when others come before it', async () => {
    let session: CompareSession | undefined;
    let isWhole = false;
    const store = {
      comparison: async (...given: Parameters<typeof methods.store.comparison>) => {
        const rows = await methods.store.comparison(...given);
        return isWhole ? rows : rows.filter(({ config }) => !JSON.stringify(config).includes('"full"'));
      },
    };
    await during(comparison({ store, onSession: (made: CompareSession) => (session = made) }), async ({ page }) => {
      const grid = page.getByRole('grid', { name: 'Method by task' });
      await grid.locator('tbody tr').nth(2).locator('td').first().click();
      const focused = page.locator('td:focus');
      const name = await focused.textContent();
      const rowOf = async (): Promise<number> => Number(await focused.locator('..').getAttribute('aria-rowindex'));
      const before = await rowOf();
      isWhole = true;
      await session?.refresh();
      await grid.getByText('full', { exact: true }).waitFor();
      expect(await focused.textContent()).toBe(name);
      expect(await rowOf()).toBeGreaterThan(before);
      const now = await rowOf();
      await page.keyboard.press('ArrowDown');
      expect(await rowOf()).toBe(now + 1);
    });
  });

  it('what is shown is what a report begins with: axis, evaluation, count and both sorts', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-report-'));
    let session: CompareSession | undefined;
    const facts = async (page: Page): Promise<unknown> => {
      const grid = page.getByRole('grid', { name: 'Method by task' });
      await grid.waitFor();
      const points = page.getByRole('grid', { name: 'The points of the chart' });
      await points.waitFor();
      const sorted = (of: Locator): Promise<readonly string[]> =>
        of
          .locator('th[aria-sort]:not([aria-sort="none"])')
          .evaluateAll((cells) =>
            (cells as unknown as { getAttribute(name: string): string; textContent: string }[]).map(
              (cell) => `${cell.textContent.trim()} ${cell.getAttribute('aria-sort')}`,
            ),
          );
      return {
        heading: await page.getByRole('heading', { level: 2 }).first().textContent(),
        sorts: [await sorted(grid), await sorted(points)],
        methods: await grid.locator('tbody tr td:first-child').allTextContents(),
      };
    };
    try {
      let shown: unknown;
      const onSession = (made: CompareSession): void => {
        session = made;
      };
      const looks = { axis: 'epsilon', at: 'last', count: 'method', chartAsTable: true } as const;
      await during(comparison({ onSession }, looks), async ({ page }) => {
        for (const [name, column] of [
          ['Method by task', 'Method'],
          ['The points of the chart', 'Method'],
        ] as const) {
          const header = page.getByRole('grid', { name }).getByRole('columnheader', { name: column, exact: true });
          await header.getByRole('button').click();
        }
        await eventually(() => session?.view().pointSort).not.toBe(null);
        shown = await facts(page);
      });
      expect(session?.view()).toMatchObject({ ...looks, sort: { column: 'method', descending: false } });
      const rows = await methods.store.comparison();
      const file = join(folder, 'comparison.html');
      const view = session?.view() ?? firstView;
      writeFileSync(
        file,
        await comparisonReport({ script: pages.report, runs: rows, view, version: '1.2.3', made: new Date(0) }),
      );
      const page = await browser.newPage();
      await page.goto(pathToFileURL(file).href);
      expect(await facts(page)).toEqual(shown);
      await page.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('privacy is an axis with a category of its own, or a panel each', async () => {
    await during(comparison({}, { axis: 'epsilon' }), async ({ page }) => {
      await page.locator('svg.chart text', { hasText: 'no privacy' }).waitFor();
    });
    await during(comparison({}, { facet: 'privacy' }), async ({ page }) => {
      await eventually(() => page.locator('figcaption').allTextContents()).toEqual([
        'ε ≤ 1',
        '3 < ε ≤ 8',
        'no privacy',
      ]);
    });
  });

  it('a thousand runs are drawn, and of a long table only what is in sight', async () => {
    const many = await storeOf(manyRuns(1000));
    try {
      await during(comparison({ store: many.store }, { points: 'runs' }), async ({ page }) => {
        await eventually(() => page.locator('.point').count()).toBe(1000);
        const grid = page.getByRole('grid', { name: 'Method by task' });
        expect(await grid.getAttribute('aria-rowcount')).toBe('257');
        expect(await grid.locator('tbody tr').count()).toBeLessThan(80);
        await grid.locator('td').first().focus();
        for (let i = 0; i < 30; i++) await page.keyboard.press('PageDown');
        await grid.locator('tr[aria-rowindex="257"]').waitFor();
      });
    } finally {
      await many.close();
    }
  });

  it('nothing to compare, and a store that fails, are said in words', async () => {
    const none = await storeOf([]);
    try {
      await during(comparison({ store: none.store }), async ({ page }) => {
        await page.getByText('No finished run has a score to compare yet.').waitFor();
      });
      const selected = { kind: 'runs', count: 2 } as const;
      await during(comparison({ store: none.store, scope: selected }), async ({ page }) => {
        await page.getByText('None of these runs is there any more').waitFor();
      });
      const failing = { comparison: () => Promise.reject(new Error('the disk <b>is</b> gone')) };
      await during(comparison({ store: failing }), async ({ page }) => {
        expect(await page.getByRole('alert').textContent()).toContain('the disk <b>is</b> gone');
        expect(await page.getByText('No finished run').count()).toBe(0);
      });
    } finally {
      await none.close();
    }
  });

  it('the narrowest editor has no sideways scrolling', async () => {
    const wide = (panel: OpenPanel): Promise<number> =>
      panel.page.evaluate(() => {
        const { document } = globalThis as unknown as { document: { documentElement: { scrollWidth: number } } };
        return document.documentElement.scrollWidth;
      });
    for (const width of [320, 200])
      for (const panel of [
        await comparison({ width }, { facet: 'privacy' }),
        await runPanel(attacked, runs.store, { width }),
        await runPanel(recorded, records.store, { width }),
        await openPlanPanel({ browser, script: pages.plan, width }),
      ]) {
        await panel.page.waitForTimeout(300);
        expect(await wide(panel)).toBeLessThanOrEqual(width);
        await panel.close();
      }
  });

  it('a report made in another language speaks it, its rows too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-report-'));
    const page = await browser.newPage();
    try {
      const file = join(folder, 'comparison.html');
      const report = await comparisonReport({
        script: pages.report,
        runs: (await methods.store.comparison()).slice(0, 40),
        rows: ['method', 'privacy.epsilon'],
        strings: { reportTitle: 'Vergleich von {n} Läufen', noPrivacy: 'ohne Privatheit' },
        locale: 'de',
        version: '1.2.3',
        made: new Date(0),
      });
      writeFileSync(file, report);
      await page.goto(pathToFileURL(file).href);
      await page.locator('.point').first().waitFor();
      expect(await page.title()).toMatch(/^Vergleich von \d+ Läufen$/);
      expect(await page.locator('html').getAttribute('lang')).toBe('de');
      expect(await page.locator('.legend').getByText('Pareto front').count()).toBe(1);
      await page.getByText('ohne Privatheit').first().waitFor({ state: 'attached' });
      // Numbers stand beside the words of their language.
      await page.getByText(/\d,\d/).first().waitFor({ state: 'attached' });
    } finally {
      await page.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('a report opens from a file and works without a host', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-report-'));
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    try {
      const rows = [...(await methods.store.comparison()), ...(await runs.store.comparison())];
      const file = join(folder, 'comparison.html');
      writeFileSync(
        file,
        await comparisonReport({ script: pages.report, runs: rows, version: '1.2.3', made: new Date(0) }),
      );
      await page.goto(pathToFileURL(file).href);
      await page.locator('.point').first().waitFor();
      expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('comparison of');
      // Paper is narrower than the window, and nothing is measured anew for it.
      await page.emulateMedia({ media: 'print' });
      const overhang = await page
        .locator('peft-scatter-chart')
        .first()
        .evaluate((element) => {
          interface Box {
            readonly style: Record<string, string>;
            readonly shadowRoot: { querySelector(selector: string): Box };
            getBoundingClientRect(): { readonly right: number };
          }
          const chart = element as unknown as Box;
          chart.style['display'] = 'block';
          chart.style['width'] = '400px';
          const drawn = chart.shadowRoot.querySelector('svg.chart');
          return drawn.getBoundingClientRect().right - chart.getBoundingClientRect().right;
        });
      expect(overhang).toBeLessThanOrEqual(0.5);
      await page.emulateMedia({ media: 'screen' });
      await page.getByRole('button', { name: 'Show as Table' }).click();
      await page.getByRole('grid', { name: 'The points of the chart' }).waitFor();
      await expectUnharmed(page);
      expect(complaints).toEqual([]);
    } finally {
      await page.close();
      rmSync(folder, { recursive: true });
    }
  });
});

/** What this file needs of a document; its types are those of Node. */
interface Tree {
  readonly textContent: string | null;
  readonly shadowRoot: Tree | null;
  querySelectorAll(selector: string): Iterable<Tree>;
}

/** All texts of the page, also inside its elements' own trees. */
function textsOf(page: OpenPanel['page']): Promise<string> {
  return page.evaluate(() => {
    const texts = (root: Tree): string =>
      [...root.querySelectorAll('*')].map(({ shadowRoot }) => (shadowRoot === null ? '' : texts(shadowRoot))).join('') +
      (root.textContent ?? '');
    const { document } = globalThis as unknown as { document: { body: Tree } };
    return texts(document.body);
  });
}

/** None of the attempts has run, and no element of theirs is in the page. */
async function expectUnharmed(page: OpenPanel['page']): Promise<void> {
  const found = await page.evaluate(() => {
    const { document, attacked } = globalThis as unknown as { attacked: unknown; document: Tree };
    const count = (root: Tree): number => {
      const own = [...root.querySelectorAll('img, [onerror], [onload], a[href^="javascript:"], iframe, object, embed')];
      const inner = [...root.querySelectorAll('*')].map(({ shadowRoot }) =>
        shadowRoot === null ? 0 : count(shadowRoot),
      );
      return inner.reduce((sum, each) => sum + each, own.length);
    };
    return { attacked, elements: count(document) };
  });
  expect(found).toEqual({ attacked: undefined, elements: 0 });
}

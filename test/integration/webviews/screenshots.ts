// Usage: node test/integration/webviews/screenshots.ts FOLDER [NAME...]
// Pictures of the panels in every state and theme, to be looked at. NAME picks those whose names hold it.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { calibrateNoise } from '../../../src/privacy/calibrate.ts';
import { firstView } from '../../../src/webviews/compare/messages.ts';
import { firstLayout } from '../../../src/webviews/run/layout.ts';
import { firstInputs } from '../../../src/webviews/plan/messages.ts';
import {
  buildPages,
  findBrowser,
  openBrowser,
  openComparePanel,
  openPlanPanel,
  openRunPanel,
  type OpenPanel,
} from './panel-page.ts';
import { hostileRun, idOf, manyRuns, methodsByTasks, storeOf } from './some-runs.ts';
import type { ThemeName } from './themes.ts';

const [folder = 'screenshots', ...wanted] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const found = await findBrowser();
if ('missing' in found) throw new Error(found.missing);
const [browser, pages] = [await openBrowser(found.path), await buildPages()];

const recorded = '20261121-053220069-5kzrkh';
const running = idOf(900);
const hostileId = idOf(901);
const ofMethods = await storeOf([
  ...methodsByTasks(),
  {
    id: running,
    name: 'SST-2, LoRA, rank 8',
    ending: 'none',
    steps: 1400,
    epsilon: 3.2,
    tags: ['baseline', 'glue'],
    note: 'A first try with privacy.',
    logs: ['read 67,349 examples', 'caching tokens'],
  },
  hostileRun(hostileId),
]);
const ofRecords = await storeOf([], { recorded: true });
const many = await storeOf(manyRuns(1000));
const nothing = await storeOf([]);

async function picture(
  name: string,
  open: () => Promise<OpenPanel>,
  prepare?: (panel: OpenPanel) => Promise<void>,
): Promise<void> {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) return;
  const panel = await open();
  await panel.page.waitForTimeout(600);
  await prepare?.(panel);
  await panel.page.waitForTimeout(250);
  await panel.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  console.log(name, panel.complaints.length === 0 ? '' : panel.complaints);
  await panel.close();
}

const privateId = idOf(903);
const ofPrivacy = await storeOf([
  {
    id: privateId,
    name: 'SST-2, SLaSh, private',
    method: { id: 'slash', dimension: 1024 },
    steps: 300,
    ending: 'none',
    score: 0.79,
    mechanism: {
      noiseMultiplier: calibrateNoise({ epsilon: 3, delta: 1e-5, samplingRate: 0.01, steps: 480 }).noiseMultiplier,
      targetEpsilon: 3,
    },
  },
]);
const state = (layout: Readonly<Record<string, unknown>>): unknown => ({ layout });
const run =
  (theme: ThemeName, more: Readonly<Record<string, unknown>> = {}, id = running) =>
  () =>
    openRunPanel({
      browser,
      script: pages.run,
      theme,
      store: ofMethods.store,
      run: id,
      files: [
        { path: 'config.json', bytes: 800 },
        { path: 'journal.jsonl', bytes: 160_000 },
        { path: 'checkpoints/last.safetensors', bytes: 310_000 },
      ],
      ...more,
    });
const compare =
  (theme: ThemeName, more: Readonly<Record<string, unknown>> = {}, view = {}) =>
  () =>
    openComparePanel({
      browser,
      script: pages.comparison,
      theme,
      store: ofMethods.store,
      filter: { states: ['finished'] },
      state: state({ ...firstView, ...view }),
      ...more,
    });
const tab = (name: string) => ({ state: state({ ...firstLayout, tab: name }) });

for (const theme of ['dark', 'light', 'high-contrast', 'high-contrast-light'] as const) {
  await picture(`run-${theme}`, run(theme));
  await picture(`compare-${theme}`, compare(theme));
}
for (const name of ['results', 'configuration', 'environment', 'log', 'artifacts'])
  await picture(`run-tab-${name}`, run(name === 'log' ? 'light' : 'dark', tab(name)));
await picture('run-recorded', run('dark', { store: ofRecords.store }, recorded));
await picture('run-table', run('dark', { state: state({ ...firstLayout, tables: ['loss'] }) }));
await picture('run-hostile', run('dark', {}, hostileId));
await picture('run-hostile-log', run('dark', tab('log'), hostileId));
await picture('run-hostile-configuration', run('dark', tab('configuration'), hostileId));
for (const theme of ['dark', 'light', 'high-contrast'] as const) {
  await picture(`run-narrow-${theme}`, run(theme, { width: 320, height: 700 }));
  await picture(`run-gone-${theme}`, run(theme, { height: 300 }, idOf(999)));
  const broken = {
    show: () => Promise.reject(new Error('the database /x/peft.db cannot be opened: the disk is gone')),
  };
  await picture(`run-error-${theme}`, run(theme, { store: broken, height: 300 }));
  await picture(`compare-narrow-${theme}`, compare(theme, { width: 320, height: 700 }));
  await picture(`compare-empty-${theme}`, compare(theme, { store: nothing.store, height: 300 }));
  const unreadable = { comparison: () => Promise.reject(new Error('the database cannot be read')) };
  await picture(`compare-error-${theme}`, compare(theme, { store: unreadable, height: 300 }));
}
await picture('run-keyboard', run('dark'), async ({ page }) => {
  await page.locator('peft-curve-chart .plot').first().focus();
  for (let i = 0; i < 5; i++) await page.keyboard.press('Shift+ArrowLeft');
});
const privacyTab = (theme: ThemeName, more = {}) =>
  run(
    theme,
    {
      store: ofPrivacy.store,
      folder: ofPrivacy.workspace.root,
      state: state({ ...firstLayout, tab: 'privacy' }),
      ...more,
    },
    privateId,
  );
const auditAndLocal = async ({ page }: OpenPanel): Promise<void> => {
  await page.getByRole('button', { name: 'Audit' }).click();
  await page.getByText('The recorded ε holds').waitFor();
  await page.getByRole('button', { name: 'Show Local Data' }).click();
  await page.locator('.uncovered canvas').first().waitFor();
};
const whole = async ({ page }: OpenPanel): Promise<void> => {
  await page.getByText('Computing…').first().waitFor({ state: 'detached', timeout: 60_000 });
};
const statement = {
  id: 'sst2',
  data: 'data/sst2',
  budget: { epsilon: 4, delta: 1e-5 },
  delta: 1e-5,
  spent: { epsilon: 2.7, lower: 2.69, accountant: 'prv' },
  left: 1.3,
  phases: [{ samplingRate: 512 / 67_349, noiseMultiplier: 0.7, steps: 396 }],
  examples: 67_349,
  runs: [],
  withoutPrivacy: [],
} as const;
for (const theme of ['dark', 'light', 'high-contrast', 'high-contrast-light'] as const) {
  await picture(`plan-${theme}`, () => openPlanPanel({ browser, script: pages.plan, theme }), whole);
  await picture(`run-privacy-${theme}`, privacyTab(theme), auditAndLocal);
}
await picture('plan-narrow', () => openPlanPanel({ browser, script: pages.plan, width: 320, height: 700 }), whole);
await picture(
  'plan-tables',
  () =>
    openPlanPanel({
      browser,
      script: pages.plan,
      theme: 'light',
      state: state({ inputs: firstInputs, tables: ['noise', 'epochs'] }),
    }),
  whole,
);
await picture(
  'plan-warnings',
  () =>
    openPlanPanel({
      browser,
      script: pages.plan,
      dataSets: [statement],
      inputs: { ...firstInputs, delta: 1e-3, goal: { kind: 'noise', noiseMultiplier: 0.5 }, spentOn: 'sst2' },
    }),
  whole,
);
await picture(
  'plan-invalid',
  () => openPlanPanel({ browser, script: pages.plan, theme: 'light' }),
  async (panel) => {
    await whole(panel);
    await panel.page.getByLabel('Batch size, expected').fill('70000');
    await panel.page.getByLabel('Epochs').fill('-1');
  },
);
await picture('plan-refused', () =>
  openPlanPanel({
    browser,
    script: pages.plan,
    dataSets: [statement],
    inputs: { ...firstInputs, goal: { kind: 'epsilon', epsilon: 1 }, spentOn: 'sst2' },
  }),
);
await picture(
  'plan-keyboard',
  () => openPlanPanel({ browser, script: pages.plan, theme: 'high-contrast' }),
  async (panel) => {
    await whole(panel);
    await panel.page.locator('peft-line-chart .plot').first().focus();
    for (let i = 0; i < 4; i++) await panel.page.keyboard.press('ArrowRight');
  },
);
await picture('run-privacy-narrow', privacyTab('light', { width: 320, height: 700 }), auditAndLocal);
await picture('compare-epsilon', compare('dark', {}, { axis: 'epsilon' }));
await picture('compare-facets', compare('light', {}, { facet: 'privacy' }));
await picture('compare-runs', compare('dark', {}, { points: 'runs' }));
await picture('compare-zero', compare('dark', {}, { count: 'method', column: 'cola' }));
await picture('compare-average', compare('dark', {}, { column: 'average' }));
await picture('compare-table', compare('dark', {}, { chartAsTable: true }));
await picture('compare-narrow-facets', compare('light', { width: 320, height: 700 }, { facet: 'privacy' }));
await picture(
  'compare-recorded',
  compare('dark', { store: ofRecords.store, filter: {}, scope: { kind: 'sweep', name: 'tiny sweep' } }),
);
await picture('compare-thousand', compare('dark', { store: many.store }));
await picture('compare-thousand-runs', compare('light', { store: many.store }, { points: 'runs' }));
await picture('compare-keyboard', compare('dark'), async ({ page }) => {
  await page.locator('.point[tabindex="0"]').first().focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
});

await browser.close();
for (const each of [ofMethods, ofRecords, many, nothing]) await each.close();

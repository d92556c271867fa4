import { html, render } from 'lit';
import { oncePerFrame } from '../frames.ts';
import { connectHost, readPage } from '../host-api.ts';
import { firstInputs, layout as layoutSchema, planInputs, type Asked, type Layout } from './messages.ts';
import { makePlanModel } from './model.ts';
import { PlanPanel, type PlanPanelProperties } from './plan-panel.ts';

/** The page of the privacy planner. */

const page = readPage();
const { strings, formats, identity } = page;
const model = makePlanModel();

const host = connectHost(page, () => {
  model.update(host.connection.values());
  const asked = model.takeAsked();
  if (asked !== undefined) take(asked);
  schedule();
});

/** Plans what was asked, once: a page that is made again later goes on from what was kept. */
function take({ count, inputs, begun }: Asked): void {
  keep({ ...layout, inputs, begun });
  const panel = document.querySelector('peft-plan-panel');
  if (panel instanceof PlanPanel) panel.take(inputs);
  host.post({ type: 'tookAsked', count });
}

const opened = planInputs.safeParse(identity['inputs']);
const first: Layout = {
  inputs: opened.success ? opened.data : firstInputs,
  begun: identity['begun'],
  tables: [],
};
let layout = host.layout(layoutSchema, first);
let planned = '';

/** Keeps the layout, and asks for another plan where its inputs are others. */
function keep(next: Layout): void {
  layout = next;
  host.keepLayout(next);
  const text = JSON.stringify(next.inputs);
  if (text === planned) return;
  planned = text;
  host.post({ type: 'plan', inputs: next.inputs });
}

const properties = (): PlanPanelProperties => ({
  model,
  strings,
  formats,
  layout,
  onLayout(next) {
    keep(next);
    schedule();
  },
  onCopy: () => host.post({ type: 'copyPlan' }),
  onOpen: () => host.post({ type: 'openPlan' }),
});

const schedule = oncePerFrame((revision) =>
  render(html`<peft-plan-panel .properties=${properties()} .revision=${revision}></peft-plan-panel>`, document.body),
);

schedule();
host.connection.start();
keep(layout);

import { html, render } from 'lit';
import { oncePerFrame } from '../frames.ts';
import { connectHost, readPage } from '../host-api.ts';
import './compare-panel.ts';
import './scatter-chart.ts';
import type { ComparePanelProperties } from './compare-panel.ts';
import { firstView, view as viewSchema } from './messages.ts';
import { makeCompareModel } from './model.ts';

/** The page of a comparison. */

const page = readPage();
const { strings, formats } = page;
const model = makeCompareModel({ words: strings });
const host = connectHost(page, (keys) => {
  model.update(host.connection.values(), keys);
  schedule();
});
let view = host.layout(viewSchema, firstView);

function keep(): void {
  host.keepLayout(view);
  host.post({ type: 'view', view });
}

const properties = (): ComparePanelProperties => ({
  model,
  strings,
  formats,
  view,
  onView(next) {
    view = next;
    keep();
  },
  onOpen: (run) => host.post({ type: 'openRun', run }),
  onExport: () => host.post({ type: 'export' }),
});

const schedule = oncePerFrame((revision) =>
  render(
    html`<peft-compare-panel .properties=${properties()} .revision=${revision}></peft-compare-panel>`,
    document.body,
  ),
);

keep();
schedule();
host.connection.start();

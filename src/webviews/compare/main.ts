import { html, render } from 'lit';
import { connectHost, readPage } from '../host-api.ts';
import './compare-panel.ts';
import './scatter-chart.ts';
import type { ComparePanelProperties } from './compare-panel.ts';
import { firstView, view as viewSchema } from './messages.ts';
import { makeCompareModel } from './model.ts';

/** The page of a comparison. */

const page = readPage();
const { strings, formats } = page;
const model = makeCompareModel();
const host = connectHost(page, (keys) => {
  model.update(host.connection.values(), keys);
  schedule();
});
let view = host.layout(viewSchema, firstView);
let revision = 0;
let isScheduled = false;

const properties = (): ComparePanelProperties => ({
  model,
  strings,
  formats,
  view,
  onView(next) {
    view = next;
    host.keepLayout(next);
  },
  onOpen: (run) => host.post({ type: 'openRun', run }),
  onExport: () => host.post({ type: 'export' }),
});

/** Draws at most once a frame, whatever arrives meanwhile. */
function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    revision += 1;
    render(
      html`<peft-compare-panel .properties=${properties()} .revision=${revision}></peft-compare-panel>`,
      document.body,
    );
  });
}

host.keepLayout(view);
schedule();
host.connection.start();

import { html, render } from 'lit';
import { oncePerFrame } from '../frames.ts';
import { connectHost, readPage } from '../host-api.ts';
import { firstLayout, layout as layoutSchema, type Layout } from './layout.ts';
import { makeRunModel } from './model.ts';
import './run-panel.ts';
import type { RunPanelProperties } from './run-panel.ts';

/** The page of a run. */

const page = readPage();
const { strings, formats } = page;
const host = connectHost(page, (keys) => model.update(host.connection.values(), keys));
let layout = host.layout(layoutSchema, firstLayout);

const model = makeRunModel({
  ask: host.connection.ask,
  smoothing: layout.smoothing,
  onChange: () => schedule(),
  onProblem: (problem) => host.post({ type: 'problem', message: String(problem).slice(0, 10_000) }),
});

const properties = (): RunPanelProperties => ({
  model,
  strings,
  formats,
  layout,
  onLayout(next: Layout) {
    layout = next;
    host.keepLayout(next);
  },
  onCommand: (command) => host.post({ type: 'command', command }),
  onReveal: (path) => host.post({ type: 'revealFile', path }),
});

const schedule = oncePerFrame((revision) =>
  render(html`<peft-run-panel .properties=${properties()} .revision=${revision}></peft-run-panel>`, document.body),
);

host.keepLayout(layout);
schedule();
host.connection.start();

import { html, render } from 'lit';
import * as z from 'zod/mini';
import { formatsOf } from '../format.ts';
import { fill, stringsOf } from '../strings.ts';
import './compare-panel.ts';
import './scatter-chart.ts';
import type { ComparePanelProperties } from './compare-panel.ts';
import { comparedRun, runKeyPrefix, taskTitles, view as viewSchema } from './messages.ts';
import { makeCompareModel } from './model.ts';

/** The page of a report: a comparison in a file of its own, with its data beside it and no host. */

const reportData = z.object({
  made: z.string(),
  version: z.string(),
  view: viewSchema,
  rows: z.optional(z.array(z.string())),
  interval: z.optional(
    z.object({ method: z.optional(z.enum(['student', 'bootstrap'])), level: z.optional(z.number()) }),
  ),
  tasks: z.optional(taskTitles),
  strings: z.optional(z.record(z.string(), z.string())),
  locale: z.optional(z.string()),
  runs: z.array(comparedRun),
});

const text = document.getElementById('data')?.textContent ?? '{}';
const data = reportData.parse(JSON.parse(text));
const strings = stringsOf(data.strings ?? {});
// Numbers are written as the words beside them are; where those are English for want of others, as the reader's browser does.
const formats = formatsOf(data.locale ?? navigator.language);
const { rows, interval } = data;
const title =
  data.runs.length === 1 ? strings.reportTitleOne : fill(strings.reportTitle, { n: formats.integer(data.runs.length) });
document.title = title;
const model = makeCompareModel({
  words: strings,
  ...(rows === undefined ? {} : { rows }),
  ...(interval === undefined
    ? {}
    : {
        interval: {
          ...(interval.method === undefined ? {} : { method: interval.method }),
          ...(interval.level === undefined ? {} : { level: interval.level }),
        },
      }),
});
model.update(
  new Map<string, unknown>([
    ['scope', { kind: 'all' }],
    ['tasks', data.tasks ?? {}],
    ...data.runs.map((run) => [`${runKeyPrefix}${run.id}`, run] as const),
  ]),
  ['tasks', ...data.runs.map((run) => `${runKeyPrefix}${run.id}`)],
);
let view = data.view;

const properties = (): ComparePanelProperties => ({
  model,
  strings,
  formats,
  view,
  onView(next) {
    view = next;
    draw();
  },
  onOpen: undefined,
  onExport: undefined,
  title,
  made: fill(strings.reportMade, { date: formats.moment(Date.parse(data.made)), version: data.version }),
});

function draw(): void {
  render(html`<peft-compare-panel .properties=${properties()}></peft-compare-panel>`, document.body);
}

draw();

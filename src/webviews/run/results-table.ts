import { html, type TemplateResult } from 'lit';
import { table, type Column } from '../components/table.ts';
import type { Formats } from '../format.ts';
import type { Strings } from '../strings.ts';
import { titleOf } from './charts.ts';
import type { Evaluation } from './messages.ts';

/** A run's evaluations, the best one marked. Splits have a column where there are several. */
export function resultsTable(rows: readonly Evaluation[], strings: Strings, formats: Formats): TemplateResult {
  const splits = new Set(rows.map(({ split }) => split));
  const best = rows.findLast((row) => row.best);
  const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.metrics)))];
  const textOf = (value: number | null | undefined, text: (value: number) => string): string =>
    value === null || value === undefined ? strings.noValue : text(value);
  const numeric = (
    id: string,
    title: string,
    value: (row: Evaluation) => number | null | undefined,
    text: (value: number) => string = formats.number,
  ): Column<Evaluation> => ({
    id,
    title,
    isNumeric: true,
    sortBy: (row) => value(row) ?? null,
    cell: (row) => textOf(value(row), text),
  });
  const split: Column<Evaluation> = {
    id: 'split',
    title: strings.split,
    sortBy: (row) => row.split,
    cell: (row) => row.split,
  };
  return table<Evaluation>({
    caption: strings.results,
    rows,
    key: ({ step, split: name }) => `${step} ${name}`,
    columns: [
      numeric('epoch', strings.epoch, ({ epoch }) => epoch),
      numeric('step', strings.step, ({ step }) => step, formats.integer),
      ...(splits.size > 1 ? [split] : []),
      ...metrics.map((name) => ({
        ...numeric(`metric ${name}`, titleOf(name), (row) => row.metrics[name]),
        cell: (row: Evaluation) => {
          const text = textOf(row.metrics[name], formats.metric);
          return name === 'score' && row === best
            ? html`<span class="best">${text}<span class="hidden-visually"> ${strings.bestMark}</span></span>`
            : text;
        },
      })),
      numeric('loss', strings.loss, ({ loss }) => loss, formats.metric),
      numeric('examples', strings.examples, ({ examples }) => examples, formats.integer),
      numeric(
        'seconds',
        strings.seconds,
        ({ seconds }) => seconds,
        (seconds) => formats.fixed(seconds, 1),
      ),
    ],
  });
}

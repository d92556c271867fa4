import { html, type TemplateResult } from 'lit';
import { table } from '../components/table.ts';
import type { Strings } from '../strings.ts';
import type { Settings } from './messages.ts';

/** Settings by their paths: a run's configuration, or the environment it ran in. */
export function settingsTable(caption: string, rows: Settings, strings: Strings): TemplateResult {
  if (rows.length === 0) return html`<p class="empty">${strings.noValue}</p>`;
  return table<Settings[number]>({
    caption,
    rows,
    key: ({ path }) => path,
    columns: [
      { id: 'path', title: strings.setting, sortBy: ({ path }) => path, cell: ({ path }) => path },
      {
        id: 'value',
        title: strings.value,
        sortBy: ({ value }) => value,
        cell: ({ value }) => value,
        className: 'wraps mono',
      },
    ],
  });
}

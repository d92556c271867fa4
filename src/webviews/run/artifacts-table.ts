import { html, type TemplateResult } from 'lit';
import { table } from '../components/table.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import type { Artifact } from './messages.ts';

/** The files that a run keeps, each of which can be shown in the file manager. */
export function artifactsTable(
  rows: readonly Artifact[],
  strings: Strings,
  formats: Formats,
  onReveal: (path: string) => void,
): TemplateResult {
  if (rows.length === 0) return html`<p class="empty">${strings.noArtifacts}</p>`;
  return table<Artifact>({
    caption: strings.artifacts,
    rows,
    key: ({ path }) => path,
    onOpen: ({ path }) => onReveal(path),
    columns: [
      {
        id: 'path',
        title: strings.file,
        sortBy: ({ path }) => path,
        cell: ({ path }) =>
          html`<button
            class="link"
            tabindex="-1"
            title=${fill(strings.revealFile, { file: path })}
            @click=${() => onReveal(path)}
          >
            ${path}
          </button>`,
      },
      {
        id: 'checkpoint',
        title: strings.checkpoint,
        sortBy: ({ step }) => step,
        cell: ({ kind, step }) =>
          kind === null ? '' : `${kind}${step === null ? '' : ` ${fill(strings.at, { step: formats.integer(step) })}`}`,
      },
      {
        id: 'bytes',
        title: strings.bytes,
        isNumeric: true,
        sortBy: ({ bytes }) => bytes,
        cell: ({ bytes }) => formats.bytes(bytes),
      },
    ],
  });
}

import { css, html, type TemplateResult } from 'lit';
import type { Strings } from '../strings.ts';
import { tableToggle } from './controls.ts';

/** What of a chart is shown: its table, or what is drawn, which is moved through by keyboard. */
export type ChartContent =
  | { readonly kind: 'table'; readonly table: TemplateResult }
  | {
      readonly kind: 'plot';
      readonly plot: unknown;
      readonly onKeyDown: (event: KeyboardEvent) => void;
      /** Which keys there are. */
      readonly help: string;
      /** What stands below, for the eye. */
      readonly readings: unknown;
      /** What is said of the place that the keyboard is at; '' while it is at none. */
      readonly spoken: string;
    };

export interface ChartFrame {
  readonly title: string;
  /** The chart in words. */
  readonly text: string;
  readonly content: ChartContent;
  readonly onAsTable: () => void;
  readonly strings: Strings;
}

export const chartFrameStyle = css`
  :host {
    min-width: 0;
  }
  header {
    display: flex;
    align-items: center;
    gap: 8px;
    min-height: 26px;
  }
  header h2 {
    flex: 1;
    min-width: 0;
  }
  .plot {
    border-radius: 2px;
  }
  .readings {
    display: flex;
    flex-wrap: wrap;
    gap: 2px 16px;
    min-height: 1.4em;
    font-size: 0.92em;
    color: var(--vscode-descriptionForeground);
  }
  .readings span {
    display: inline-flex;
    align-items: center;
    gap: 6px;
  }
  .readings b {
    font-weight: 400;
    color: var(--vscode-foreground);
    font-variant-numeric: tabular-nums;
  }
`;

/**
 * A chart with its title, its text for screen readers and the button that turns it into a table. What is drawn is an `application`:
 * within anything else a screen reader keeps the arrow keys to itself.
 */
export function chartFrame({ title, text, content, onAsTable, strings }: ChartFrame): TemplateResult {
  return html`<header>
      <h2>${title}</h2>
      ${tableToggle(content.kind === 'table', onAsTable, strings)}
    </header>
    <p class="hidden-visually">${text}</p>
    ${
      content.kind === 'table'
        ? content.table
        : html`<div
              class="plot"
              tabindex="0"
              role="application"
              aria-roledescription=${strings.curves}
              aria-label="${text} ${content.help}"
              @keydown=${content.onKeyDown}
            >
              ${content.plot}
            </div>
            <div class="readings" aria-hidden="true">${content.readings}</div>
            <p class="hidden-visually" aria-live="polite">${content.spoken}</p>`
    }`;
}

import { css, html, nothing, type TemplateResult } from 'lit';

/** Something to know, with what there is to say about it. */
export interface Fact {
  readonly title: string;
  readonly value: string;
  readonly detail?: string;
  /** What the detail is short for, as a tooltip. */
  readonly whole?: string;
}

export const factsStyle = css`
  dl.facts {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(var(--fact-width), 1fr));
    gap: 12px 20px;
    margin: 0;
  }
  dl.facts dt {
    color: var(--vscode-descriptionForeground);
    font-size: 0.92em;
  }
  dl.facts dd {
    margin: 0;
    overflow-wrap: anywhere;
    font-variant-numeric: tabular-nums;
  }
  dl.facts dd.value {
    font-size: 1.15em;
  }
  dl.facts dd.detail {
    color: var(--vscode-descriptionForeground);
    font-size: 0.92em;
  }
`;

/** Facts side by side, each at least `--fact-width` wide. */
export function factList(facts: readonly Fact[]): TemplateResult {
  return html`<dl class="facts">
    ${facts.map(
      ({ title, value, detail, whole }) =>
        html`<div>
          <dt>${title}</dt>
          <dd class="value">${value}</dd>
          ${detail === undefined ? nothing : html`<dd class="detail" title=${whole ?? nothing}>${detail}</dd>`}
        </div>`,
    )}
  </dl>`;
}

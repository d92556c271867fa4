import { html, svg, type TemplateResult } from 'lit';
import { withoutUnseen } from '../../base/plain-text.ts';
import type { Strings } from '../strings.ts';
import type { Mark } from './marks.ts';

function symbol(mark: Mark | undefined): TemplateResult {
  return html`<svg
    class="series colour-${mark?.colour ?? 'blue'}"
    width="14"
    height="14"
    viewBox="-7 -7 14 14"
    aria-hidden="true"
  >
    ${svg`<path d=${mark?.path ?? ''} fill="currentColor" />`}
  </svg>`;
}

/** A method's mark and label, as tables show them. */
export function methodCell(mark: Mark | undefined, label: string): TemplateResult {
  const shown = withoutUnseen(label);
  return html`<div class="method" title=${shown}>${symbol(mark)}<span>${shown}</span></div>`;
}

/** What the chart's marks stand for. */
export function legend(marks: ReadonlyMap<string, Mark>, strings: Strings): TemplateResult {
  return html`<ul class="legend" aria-label=${strings.legend}>
    ${[...marks].map(([method, mark]) => html`<li>${symbol(mark)}${withoutUnseen(method)}</li>`)}
    <li class="front-key">
      <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
        ${svg`<circle r="4" fill="currentColor" />`}
      </svg>
      ${strings.front}
    </li>
    <li class="front-key">
      <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
        ${svg`<circle r="4" fill="none" stroke="currentColor" stroke-width="1.5" />`}
      </svg>
      ${strings.dominated}
    </li>
  </ul>`;
}

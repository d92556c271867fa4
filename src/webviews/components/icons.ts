import { svg, html, type TemplateResult } from 'lit';

/** Small pictures drawn with the text's colour. They only repeat what the text beside them says. */

const shapes = {
  queued: svg`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-dasharray="2.4 2.2" />`,
  starting: svg`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" />`,
  running: svg`<path d="M5 3.5v9l7-4.5z" fill="currentColor" />`,
  finished: svg`<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" /><path d="M5 8.2l2.1 2.1L11 6" fill="none" stroke="currentColor" stroke-width="1.3" />`,
  failed: svg`<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" /><path d="M5.8 5.8l4.4 4.4m0-4.4l-4.4 4.4" fill="none" stroke="currentColor" stroke-width="1.3" />`,
  stopped: svg`<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" /><path d="M6 6h4v4H6z" fill="currentColor" />`,
  interrupted: svg`<path d="M8 2.3l6.2 11.2H1.8z" fill="none" stroke="currentColor" stroke-linejoin="round" /><path d="M8 6.2v3.6m0 1.2v1.2" stroke="currentColor" stroke-width="1.2" />`,
  star: svg`<path d="M8 2l1.8 3.9 4.2.5-3.1 2.9.8 4.2L8 11.4l-3.7 2.1.8-4.2L2 6.4l4.2-.5z" fill="currentColor" />`,
  ascending: svg`<path d="M8 4l4 7H4z" fill="currentColor" />`,
  descending: svg`<path d="M8 12l4-7H4z" fill="currentColor" />`,
} as const;

export type IconName = keyof typeof shapes;

/** An icon in the colour of the text around it, `size` pixels wide; screen readers pass over it. */
export function icon(name: IconName, size = 16): TemplateResult {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true">
    ${shapes[name]}
  </svg>`;
}

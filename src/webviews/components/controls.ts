import '@vscode-elements/elements/dist/vscode-option/index.js';
import '@vscode-elements/elements/dist/vscode-single-select/index.js';
import { html, type TemplateResult } from 'lit';
import type { Strings } from '../strings.ts';

/** A choice among few. */
export interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
}

/** A labelled drop-down list. */
export function select<T extends string>(
  label: string,
  choices: readonly Choice<T>[],
  chosen: T,
  onChange: (value: T) => void,
): TemplateResult {
  const change = (event: Event): void => {
    const value = (event.target as { value?: unknown } | null)?.value;
    const found = choices.find((choice) => choice.value === value);
    if (found !== undefined) onChange(found.value);
  };
  return html`<div class="field">
    <span aria-hidden="true">${label}</span>
    <vscode-single-select aria-label=${label} .label=${label} @change=${change}>
      ${choices.map(
        ({ value, label: text }) =>
          html`<vscode-option value=${value} ?selected=${value === chosen}>${text}</vscode-option>`,
      )}
    </vscode-single-select>
  </div>`;
}

/** The button that turns a chart into its table and back. */
export function tableToggle(asTable: boolean, onToggle: () => void, strings: Strings): TemplateResult {
  return html`<button class="plain" aria-pressed=${asTable} @click=${onToggle}>
    ${asTable ? strings.asChart : strings.asTable}
  </button>`;
}

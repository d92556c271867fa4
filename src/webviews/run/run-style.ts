import { css } from 'lit';

/** How the panel of a run looks, beyond what all panels have in common. */
export const runStyle = css`
  main {
    gap: 16px;
  }
  /* As wide as what they say, so that all of them fit beside one another above the charts. */
  dl.facts {
    display: flex;
    flex-wrap: wrap;
    gap: 12px 24px;
  }
  dl.facts > div {
    flex: 0 1 auto;
    max-width: 150px;
  }
  .about {
    display: flex;
    flex-wrap: wrap;
    gap: 2px 12px;
    overflow-wrap: anywhere;
  }
  .status {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 4px 12px;
  }
  .state {
    display: inline-flex;
    align-items: center;
    gap: 6px;
    font-weight: 600;
  }
  .state .icon {
    flex: none;
  }
  .state.running .icon,
  .state.starting .icon {
    color: var(--vscode-charts-blue);
  }
  .state.finished .icon {
    color: var(--vscode-charts-green);
  }
  .state.failed .icon {
    color: var(--vscode-editorError-foreground);
  }
  .state.interrupted .icon {
    color: var(--vscode-editorWarning-foreground);
  }
  .state.queued .icon,
  .state.stopped .icon {
    color: var(--vscode-descriptionForeground);
  }
  .bar {
    flex: 1 1 8em;
    min-width: 6em;
    max-width: 28em;
    height: 4px;
    border-radius: 2px;
    background: var(--vscode-editorWidget-border, var(--vscode-widget-border, transparent));
    overflow: hidden;
  }
  .bar > div {
    height: 100%;
    background: var(--vscode-progressBar-background);
  }
  :host-context(body.vscode-high-contrast) .bar,
  :host-context(body.vscode-high-contrast-light) .bar {
    background: transparent;
    border: 1px solid var(--vscode-contrastBorder);
    height: 6px;
  }
  .tags {
    display: flex;
    flex-wrap: wrap;
    gap: 4px;
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .tags li {
    padding: 1px 6px;
    border: 1px solid var(--vscode-contrastBorder, transparent);
    border-radius: 10px;
    background: var(--vscode-badge-background);
    color: var(--vscode-badge-foreground);
    font-size: 0.85em;
    overflow-wrap: anywhere;
  }
  .note {
    white-space: pre-wrap;
    overflow-wrap: anywhere;
  }
  /* In a narrow panel on several lines: a tab that had to be scrolled to would not be found. */
  [role='tablist'] {
    display: flex;
    flex-wrap: wrap;
    box-shadow: inset 0 -1px 0 var(--vscode-widget-border, var(--vscode-panel-border, transparent));
  }
  [role='tabpanel'] > p.quiet {
    margin-bottom: 8px;
  }
  [role='tab'] {
    padding: 6px 0;
    margin-right: 20px;
    border: 0;
    border-bottom: 2px solid transparent;
    background: none;
    color: var(--vscode-panelTitle-inactiveForeground, var(--vscode-descriptionForeground));
    font: inherit;
    white-space: nowrap;
    cursor: pointer;
  }
  /* There the border that cannot be seen would be drawn, as if every tab were chosen. */
  @media (forced-colors: active) {
    [role='tab'] {
      border-bottom-color: Canvas;
    }
  }
  [role='tab'][aria-selected='true'] {
    border-bottom-color: var(--vscode-panelTitle-activeBorder, var(--vscode-focusBorder));
    color: var(--vscode-panelTitle-activeForeground, var(--vscode-foreground));
  }
  [role='tab']:hover {
    color: var(--vscode-panelTitle-activeForeground, var(--vscode-foreground));
  }
  [role='tab']:focus-visible {
    outline-offset: -1px;
  }
  .tools {
    align-items: flex-end;
    gap: 12px 20px;
    margin-bottom: 16px;
  }
  .tools vscode-single-select {
    width: 11em;
  }
  input[type='range'] {
    width: 11em;
    height: 26px;
    margin: 0;
    accent-color: var(--vscode-progressBar-background);
  }
  .charts {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr));
    gap: 24px 28px;
  }
  .log {
    max-height: min(70vh, 640px);
    margin: 0;
    padding: 8px 0;
    overflow: auto;
    border: 1px solid var(--vscode-widget-border, var(--vscode-panel-border, transparent));
    border-radius: 4px;
    font-family: var(--vscode-editor-font-family);
    font-size: var(--vscode-editor-font-size);
  }
  .log ol {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .log li {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: 12px;
    padding: 1px 12px;
  }
  .log time {
    color: var(--vscode-descriptionForeground);
    white-space: nowrap;
  }
  .log span {
    white-space: pre-wrap;
    overflow-wrap: anywhere;
    min-width: 0;
  }
  .log .warning b {
    color: var(--vscode-editorWarning-foreground);
  }
  .log .error b {
    color: var(--vscode-editorError-foreground);
  }
  .below {
    display: flex;
    gap: 12px;
    margin-top: 8px;
  }
  @media (max-width: 480px) {
    .log li {
      grid-template-columns: 1fr;
      gap: 0;
      margin-bottom: 4px;
    }
  }
`;

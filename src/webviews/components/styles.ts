import { css } from 'lit';

/** What every part of the panels has in common: VS Code's own variables, and nothing that they don't give. */
export const base = css`
  :host {
    display: block;
    color: var(--vscode-foreground);
    font-family: var(--vscode-font-family);
    font-size: var(--vscode-font-size);
    line-height: 1.4;
  }
  :host([hidden]) {
    display: none;
  }
  * {
    box-sizing: border-box;
  }
  /* A name with marks that turn the direction of writing turns nothing around it. */
  h1,
  h2,
  p,
  li,
  dd,
  td,
  span,
  button {
    unicode-bidi: isolate;
  }
  h1,
  h2,
  h3,
  p {
    margin: 0;
    font-weight: inherit;
  }
  h1 {
    font-size: 1.5em;
    line-height: 1.3;
    font-weight: 600;
    overflow-wrap: anywhere;
  }
  h2 {
    font-size: 1.08em;
    font-weight: 600;
  }
  h3 {
    font-size: 1em;
    font-weight: 600;
  }
  .quiet {
    color: var(--vscode-descriptionForeground);
  }
  .number {
    font-variant-numeric: tabular-nums;
  }
  .hidden-visually {
    position: absolute;
    width: 1px;
    height: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  button.link {
    padding: 0;
    border: 0;
    background: none;
    color: var(--vscode-textLink-foreground);
    font: inherit;
    text-align: inherit;
    cursor: pointer;
    overflow-wrap: anywhere;
  }
  button.link:hover {
    color: var(--vscode-textLink-activeForeground);
    text-decoration: underline;
  }
  button.plain {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    padding: 2px 6px;
    border: 1px solid var(--vscode-contrastBorder, transparent);
    border-radius: 4px;
    background: none;
    color: var(--vscode-descriptionForeground);
    font: inherit;
    cursor: pointer;
  }
  button.plain:hover {
    background: var(--vscode-toolbar-hoverBackground);
    color: var(--vscode-foreground);
  }
  :focus-visible {
    outline: 1px solid var(--vscode-focusBorder);
    outline-offset: 1px;
  }
  /* The editor draws its own secondary buttons without the border of primary ones. */
  vscode-button[secondary] {
    --vscode-button-border: var(--vscode-button-secondaryBorder, var(--vscode-contrastBorder, transparent));
  }
  /* Where there is no room for what it says, it says it in several lines. */
  vscode-button {
    max-width: 100%;
  }
  vscode-button::part(base) {
    white-space: normal;
  }
  .notice {
    padding: 8px 12px;
    border-left: 3px solid var(--vscode-editorInfo-foreground);
    background: var(--vscode-textBlockQuote-background);
    overflow-wrap: anywhere;
    white-space: pre-wrap;
  }
  .notice.error {
    border-left-color: var(--vscode-editorError-foreground);
  }
  .notice.warning {
    border-left-color: var(--vscode-editorWarning-foreground);
  }
  .series {
    flex: none;
    color: var(--series);
  }
  .method {
    display: flex;
    align-items: center;
    gap: 8px;
    width: max-content;
    max-width: min(30em, 45vw);
  }
  .method > span {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  /* What tells rows apart is often the end of their names; rows of a long table are all of the same height. */
  .scroller:not(.long) .method {
    padding-block: 3px;
  }
  .scroller:not(.long) .method > span {
    display: -webkit-box;
    -webkit-box-orient: vertical;
    -webkit-line-clamp: 4;
    white-space: normal;
    overflow-wrap: anywhere;
  }
  .empty {
    padding: 24px 0;
    color: var(--vscode-descriptionForeground);
  }
  .field {
    display: flex;
    flex-direction: column;
    gap: 4px;
    min-width: 0;
  }
  .field > span {
    color: var(--vscode-descriptionForeground);
    font-size: 0.92em;
  }
  .colour-blue {
    --series: var(--vscode-charts-blue);
  }
  .colour-green {
    --series: var(--vscode-charts-green);
  }
  .colour-purple {
    --series: var(--vscode-charts-purple);
  }
  .colour-red {
    --series: var(--vscode-charts-red);
  }
  .colour-yellow {
    --series: var(--vscode-charts-yellow);
  }
`;

/** The frame that every panel has: one column with its title, and tools that wrap. */
export const panel = css`
  main {
    display: flex;
    flex-direction: column;
    max-width: 1600px;
    margin: 0 auto;
    padding: 16px 20px 32px;
  }
  .title {
    display: flex;
    flex-wrap: wrap;
    align-items: flex-start;
    gap: 8px 16px;
  }
  .title > div:first-child {
    flex: 1 1 20em;
    min-width: 0;
  }
  .tools,
  .buttons {
    display: flex;
    flex-wrap: wrap;
  }
  .buttons {
    gap: 6px;
  }
  @media (max-width: 480px) {
    main {
      padding: 12px 12px 24px;
    }
  }
`;

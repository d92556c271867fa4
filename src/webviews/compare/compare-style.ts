import { css } from 'lit';

/** How the comparison looks, beyond what all panels have in common. */
export const compareStyle = css`
  main {
    gap: 20px;
  }
  .tools {
    gap: 12px 16px;
  }
  .tools .field {
    flex: 1 1 11em;
    max-width: 16em;
  }
  .tools vscode-single-select {
    width: 100%;
  }
  section {
    display: flex;
    flex-direction: column;
    gap: 10px;
    min-width: 0;
  }
  section > header {
    display: flex;
    align-items: center;
    gap: 8px;
  }
  section > header h2 {
    flex: 1;
  }
  .legend {
    display: flex;
    flex-wrap: wrap;
    gap: 4px 16px;
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .legend li {
    display: inline-flex;
    align-items: center;
    gap: 6px;
    overflow-wrap: anywhere;
  }
  .legend svg {
    flex: none;
  }
  .legend .front-key {
    color: var(--vscode-descriptionForeground);
  }
  .notes {
    margin: 0;
    padding: 0;
    list-style: none;
    color: var(--vscode-descriptionForeground);
    font-size: 0.92em;
  }
  .chosen {
    padding: 8px 12px;
    border: 1px solid var(--vscode-widget-border, var(--vscode-panel-border, transparent));
    border-radius: 4px;
  }
  .chosen ul {
    display: flex;
    flex-wrap: wrap;
    gap: 2px 20px;
    margin: 4px 0 0;
    padding: 0;
    list-style: none;
  }
  .best {
    font-weight: 700;
  }
  .second {
    font-style: italic;
  }
  @media (max-width: 480px) {
    .tools .field {
      flex: 1 1 8em;
    }
  }
`;

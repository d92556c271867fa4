import { forcedColours } from '../../base/forced-colours.ts';
import { embeddedJson, escapeHtml } from '../../base/html.ts';
import type { PageSetup } from '../../webviews/protocol.ts';

/** The HTML of panels: one script, no other source of anything. */

export interface PageOptions {
  readonly title: string;
  /** Fresh for each page. */
  readonly nonce: string;
  /** The bundle, as the webview may load it. */
  readonly script: string;
  readonly setup: PageSetup;
}

/** What the page may load: its own script, which adds its styles through the object model, and the one style below. */
export function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

const style = `html { scrollbar-color: var(--vscode-scrollbarSlider-background) transparent; }
body { margin: 0; padding: 0; background: var(--vscode-editor-background); color: var(--vscode-foreground); font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); }
${forcedColours}`;

/** The page of a panel. */
export function pageHtml({ title, nonce, script, setup }: PageOptions): string {
  const [safeNonce, source] = [escapeHtml(nonce), escapeHtml(script)];
  return `<!DOCTYPE html>
<html lang="${escapeHtml(setup.locale)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(contentSecurityPolicy(nonce))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style nonce="${safeNonce}">${style}</style>
</head>
<body>
<script type="application/json" id="setup">${embeddedJson(setup)}</script>
<script nonce="${safeNonce}" src="${source}"></script>
</body>
</html>
`;
}

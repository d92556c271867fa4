import { randomBytes } from 'node:crypto';
import { env, Uri, type ExtensionContext, type Webview, type WebviewPanel } from 'vscode';
import { pageHtml } from './page.ts';
import { translatedStrings } from './strings.ts';

/** The bundles of pages, in dist/webviews. */
export type PageName = 'run' | 'comparison' | 'plan';

function folderOfPages(context: ExtensionContext): Uri {
  return Uri.joinPath(context.extensionUri, 'dist', 'webviews');
}

/** A text that nobody can guess, and that was never used before. */
export function nonce(): string {
  return randomBytes(18).toString('base64url');
}

/** The icon of a panel's tab. */
export function panelIcon(context: ExtensionContext, page: PageName): NonNullable<WebviewPanel['iconPath']> {
  const icon = (theme: 'light' | 'dark'): Uri =>
    Uri.joinPath(context.extensionUri, 'media', 'panels', `${page}-${theme}.svg`);
  return { light: icon('light'), dark: icon('dark') };
}

/** Puts a page into a webview; `identity` is all that the editor will keep of it. */
export function fillWebview(
  webview: Webview,
  context: ExtensionContext,
  page: PageName,
  title: string,
  identity: Readonly<Record<string, unknown>>,
): void {
  const folder = folderOfPages(context);
  webview.options = { enableScripts: true, enableForms: false, localResourceRoots: [folder] };
  webview.html = pageHtml({
    title,
    nonce: nonce(),
    script: webview.asWebviewUri(Uri.joinPath(folder, `${page}.js`)).toString(),
    setup: { strings: { ...translatedStrings() }, locale: env.language, identity: { ...identity } },
  });
}

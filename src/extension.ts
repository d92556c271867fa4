import type * as vscode from 'vscode';
import { startApp, stopApp, type ExtensionApp } from './editor/extension-app.ts';

/** When the first line of the bundle ran; the build puts it there. Activation is counted from it. */
declare const bundleBegun: number;

let app: ExtensionApp | undefined;

/** What other extensions and tests may rely on. */
export interface PublicApi {
  /** From the first line of the bundle to the end of `activate`. */
  readonly activationMilliseconds: number;
  /** Settles when the runs of all folders have been read once. */
  readonly ready: Promise<void>;
}

export function activate(context: vscode.ExtensionContext): PublicApi {
  app = startApp(context);
  const activationMilliseconds = performance.now() - bundleBegun;
  app.log.info(`Activated in ${activationMilliseconds.toFixed(1)} ms`);
  return { activationMilliseconds, ready: app.ready };
}

export async function deactivate(): Promise<void> {
  if (app !== undefined) await stopApp(app);
}

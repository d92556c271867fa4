import type * as vscode from 'vscode';
import { startApp, stopApp, type ExtensionApp } from './editor/extension-app.ts';

/** When the first line of the bundle ran; the build puts it there. */
declare const bundleBegun: number;

/** What it took to evaluate the bundle: this module is its last. */
const evaluation = performance.now() - bundleBegun;

let app: ExtensionApp | undefined;

/** What other extensions and tests may rely on. */
export interface PublicApi {
  /** What the start costs the editor: evaluating the bundle, and `activate`. */
  readonly activationMilliseconds: number;
  /** Settles when the runs of all folders have been read once. */
  readonly ready: Promise<void>;
}

/** What the editor calls when the extension is first needed. Nothing slow happens here: the rest follows behind `ready`. */
export function activate(context: vscode.ExtensionContext): PublicApi {
  const begun = performance.now();
  app = startApp(context);
  const activation = performance.now() - begun;
  app.log.info(`Activated in ${(evaluation + activation).toFixed(1)} ms (code ${evaluation.toFixed(1)} ms)`);
  return { activationMilliseconds: evaluation + activation, ready: app.ready };
}

/** What the editor calls when the window closes or the extension is updated; runs go on. */
export async function deactivate(): Promise<void> {
  if (app !== undefined) await stopApp(app);
}

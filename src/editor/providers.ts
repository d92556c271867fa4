import * as vscode from 'vscode';
import type { App } from './app.ts';
import { keptAnswers } from './core/kept-answers.ts';
import type { WatchedFolder } from './folders.ts';
import { programSettings } from './settings.ts';

const known = keptAnswers<readonly string[]>();

/** What can compute the runs of a folder, besides what computes anywhere; asking takes a moment. Where nothing may be started, nothing is found. */
export function providersOf(
  app: Pick<App, 'worker'>,
  { path, uri }: Pick<WatchedFolder, 'path' | 'uri'>,
): Promise<readonly string[]> {
  if (!vscode.workspace.isTrusted) return Promise.resolve([]);
  const settings = programSettings(uri);
  const { nodePath, libraryFolders } = settings;
  return known.of(JSON.stringify([path, nodePath, libraryFolders]), async () => {
    const { providers } = await app.worker.ask('doctor', { folder: path, ...settings });
    return providers;
  });
}

/** What can compute may be something else now. */
export function forgetProviders(): void {
  known.forget();
}

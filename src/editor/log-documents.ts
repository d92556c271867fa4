import * as vscode from 'vscode';
import type { RunRef } from './app.ts';
import type { ExtensionApp } from './extension-app.ts';
import { messageOf } from '../base/errors.ts';
import { batch } from './core/batch.ts';
import { t } from './core/l10n.ts';
import { logText } from './core/log-text.ts';

/** Logs of runs as read-only documents that grow while the run goes on. */
const scheme = 'peft-log';

/** A log is sent whole, so it follows its run in strides. */
const strideMs = 2000;

/** The document of a run's log; its tab has the run's name. */
export function logUri(run: RunRef, title: string): vscode.Uri {
  const name = title
    .replaceAll(/[^\p{L}\p{N}=., ()-]+/gu, ' ')
    .trim()
    .slice(0, 80);
  return vscode.Uri.from({ scheme, path: `/${name} ${run.id.slice(-6)}.log`, query: JSON.stringify(run) });
}

function runOf(uri: vscode.Uri): RunRef | undefined {
  try {
    const value: unknown = JSON.parse(uri.query);
    if (typeof value !== 'object' || value === null || !('folder' in value) || !('id' in value)) return undefined;
    return { folder: String(value.folder), id: String(value.id) };
  } catch {
    return undefined;
  }
}

export function registerLogDocuments(app: ExtensionApp): vscode.Disposable {
  const changed = new vscode.EventEmitter<vscode.Uri>();
  const provider: vscode.TextDocumentContentProvider = {
    onDidChange: changed.event,
    async provideTextDocumentContent(uri) {
      const run = runOf(uri);
      await app.ready;
      const folder = run === undefined ? undefined : app.folder(run.folder);
      if (run === undefined) return '';
      if (folder === undefined) return `${t('The folder of this run is not open in this window.')}\n`;
      try {
        return logText(await app.worker.ask('log', { folder: folder.path, id: run.id }));
      } catch (problem) {
        return `${messageOf(problem)}\n`;
      }
    },
  };
  const updates = batch<vscode.Uri, ReadonlyMap<string, vscode.Uri>>(
    strideMs,
    (waiting, uri) => new Map([...(waiting ?? []), [uri.toString(), uri]]),
    (uris) => uris.forEach((uri) => changed.fire(uri)),
  );
  return vscode.Disposable.from(
    changed,
    updates,
    vscode.workspace.registerTextDocumentContentProvider(scheme, provider),
    app.onDidChangeRuns(({ folder, changed: ids, everything }) => {
      for (const { uri } of vscode.workspace.textDocuments) {
        const run = uri.scheme === scheme ? runOf(uri) : undefined;
        if (run?.folder === folder.key && (everything || ids.includes(run.id))) updates.add(uri);
      }
    }),
  );
}

import * as vscode from 'vscode';
import type { RunRef } from './app.ts';
import type { ExtensionApp } from './extension-app.ts';
import { messageOf } from '../base/errors.ts';
import { batch } from './core/batch.ts';
import { t } from './core/l10n.ts';
import { logText } from './core/log-text.ts';
import { runDocument, runOfDocument } from './run-documents.ts';

/** Logs of runs as read-only documents that grow while the run goes on. */
const scheme = 'peft-log';

/** A log is sent whole, so it follows its run in strides. */
const strideMs = 2000;

/** The document of a run's log. */
export function logUri(run: RunRef, title: string): vscode.Uri {
  return runDocument(scheme, run, title, 'log');
}

/** Registers the read-only documents that show runs' logs and grow with them. */
export function registerLogDocuments(app: ExtensionApp): vscode.Disposable {
  const changed = new vscode.EventEmitter<vscode.Uri>();
  const provider: vscode.TextDocumentContentProvider = {
    onDidChange: changed.event,
    async provideTextDocumentContent(uri) {
      const run = runOfDocument(uri);
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
        const run = uri.scheme === scheme ? runOfDocument(uri) : undefined;
        if (run?.folder === folder.key && (everything || ids.includes(run.id))) updates.add(uri);
      }
    }),
  );
}

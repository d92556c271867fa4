import * as vscode from 'vscode';
import type { RunRef } from './app.ts';
import { cancellable } from './cancellable.ts';
import { t } from './core/l10n.ts';
import type { ExtensionApp } from './extension-app.ts';
import { isTrusted } from './report.ts';
import { reveal } from './reveal.ts';
import { programSettings } from './settings.ts';

/** "PEFT: Export Model…": writes the encoder that a run trained, with its head where `transformers` has one like it, into a new folder. */
export async function exportModel(app: ExtensionApp, run: RunRef): Promise<void> {
  const folder = app.folder(run.folder);
  if (folder === undefined || !(await isTrusted())) return;
  const target = await vscode.window.showSaveDialog({
    title: t('Export Model'),
    saveLabel: t('Export'),
    defaultUri: vscode.Uri.joinPath(folder.uri, `model-${run.id.slice(-6)}`),
  });
  if (target === undefined) return;
  const exported = await cancellable(t('Writing the model…'), (signal) =>
    app.worker.ask(
      'exportModel',
      { folder: folder.path, id: run.id, target: target.fsPath, ...programSettings(folder.uri) },
      { signal },
    ),
  );
  if (exported === undefined) return;
  const show = t('Reveal');
  const chosen = await vscode.window.showInformationMessage(
    exported.architecture === null
      ? t('The encoder is in {0}, without its head: transformers has none like it.', exported.folder)
      : t('The model is in {0}; transformers loads it as {1}.', exported.folder, exported.architecture),
    show,
  );
  if (chosen === show) await reveal(vscode.Uri.joinPath(target, 'config.json'));
}

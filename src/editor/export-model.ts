import * as vscode from 'vscode';
import type { RunRef } from './app.ts';
import { cancellable } from './cancellable.ts';
import { t } from './core/l10n.ts';
import { withoutLinks } from './core/text.ts';
import type { ExtensionApp } from './extension-app.ts';
import { isTrusted } from './report.ts';
import { reveal } from './reveal.ts';
import { programSettings } from './settings.ts';
import type { ExportedModel } from './worker/printed.ts';

interface FormatItem extends vscode.QuickPickItem {
  readonly format: 'model' | 'peft';
}

async function askFormat({ worker }: ExtensionApp, method: string | null): Promise<FormatItem['format'] | undefined> {
  const { methods } = await worker.ask('catalogue', undefined);
  if (methods.find(({ id }) => id === method)?.peft !== true) return 'model';
  const items: readonly FormatItem[] = [
    {
      label: t('The whole model'),
      description: t('for transformers: the method is worked into the encoder'),
      iconPath: new vscode.ThemeIcon('package'),
      format: 'model',
    },
    {
      label: t('An adapter'),
      description: t('for Hugging Face PEFT: what was trained beside the encoder'),
      iconPath: new vscode.ThemeIcon('extensions'),
      format: 'peft',
    },
  ];
  const chosen = await vscode.window.showQuickPick(items, { title: t('Export Model'), placeHolder: t('The format') });
  return chosen?.format;
}

function told(format: FormatItem['format'], { folder: path, architecture }: ExportedModel): string {
  const folder = withoutLinks(path);
  if (format === 'peft') return t('The adapter is in {0}.', folder);
  return architecture === null
    ? t('The encoder is in {0}, without its head: transformers has none like it.', folder)
    : t('The model is in {0}; transformers loads it as {1}.', folder, architecture);
}

/**
 * "PEFT: Export Model…": writes into a new folder the encoder that a run trained, with its head where `transformers` has one like it, or an
 * adapter of Hugging Face PEFT.
 */
export async function exportModel(app: ExtensionApp, run: RunRef): Promise<void> {
  const [folder, row] = [app.folder(run.folder), app.run(run)];
  if (folder === undefined || row === undefined || !(await isTrusted())) return;
  const format = await askFormat(app, row.method);
  if (format === undefined) return;
  const target = await vscode.window.showSaveDialog({
    title: t('Export Model'),
    saveLabel: t('Export'),
    defaultUri: vscode.Uri.joinPath(folder.uri, `${format === 'peft' ? 'adapter' : 'model'}-${run.id.slice(-6)}`),
  });
  if (target === undefined) return;
  const exported = await cancellable(t('Writing the model…'), (signal) =>
    app.worker.ask(
      'exportModel',
      { folder: folder.path, id: run.id, target: target.fsPath, format, ...programSettings(folder.uri) },
      { signal },
    ),
  );
  if (exported === undefined) return;
  const show = t('Reveal');
  const chosen = await vscode.window.showInformationMessage(told(format, exported), show);
  const file = format === 'peft' ? 'adapter_config.json' : 'config.json';
  if (chosen === show) await reveal(vscode.Uri.joinPath(target, file));
}

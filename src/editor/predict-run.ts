import * as vscode from 'vscode';
import type { RunRef } from './app.ts';
import { cancellable } from './cancellable.ts';
import { t } from './core/l10n.ts';
import { predictedNotice, predictedScores } from './core/predicted.ts';
import { shortName } from './core/run-item.ts';
import { oneLine, withoutIcons } from './core/text.ts';
import type { ExtensionApp } from './extension-app.ts';
import type { WatchedFolder } from './folders.ts';
import { isTrusted } from './report.ts';
import { programSettings } from './settings.ts';
import type { Operations, TaskChoice } from './worker/operations.ts';

type From = Operations['predictInto']['input']['from'];

type Source = From | { readonly kind: 'text' } | { readonly kind: 'choose' };

interface SourceItem extends vscode.QuickPickItem {
  readonly source: Source;
}

/** The endings of files that hold examples. */
const dataEndings = ['tsv', 'csv', 'jsonl', 'json', 'parquet', 'gz'];

async function askSource(title: string, task: TaskChoice | undefined): Promise<Source | undefined> {
  const items: readonly SourceItem[] = [
    { label: t('A text that you type'), iconPath: new vscode.ThemeIcon('edit'), source: { kind: 'text' } },
    {
      label: t('A file…'),
      description: t("in the form of the task's data, with labels or without"),
      iconPath: new vscode.ThemeIcon('file'),
      source: { kind: 'choose' },
    },
    ...(task?.splits ?? []).map((name): SourceItem => ({
      label: t('The {0} split', name),
      description: t("of the run's own data"),
      iconPath: new vscode.ThemeIcon('database'),
      source: { kind: 'split', name },
    })),
  ];
  const chosen = await vscode.window.showQuickPick(items, { title, placeHolder: t('What to predict') });
  return chosen?.source;
}

async function askText(title: string, prompt: string): Promise<string | undefined> {
  const text = await vscode.window.showInputBox({ title, prompt, ignoreFocusOut: true });
  return text === undefined || text.trim() === '' ? undefined : oneLine(text).replaceAll('\t', ' ');
}

/** "PEFT: Predict…": what a run's model says of a text, of a file, or of a split of its own data. */
export async function predictRun(app: ExtensionApp, run: RunRef): Promise<void> {
  const [folder, row] = [app.folder(run.folder), app.run(run)];
  if (folder === undefined || row === undefined || !(await isTrusted())) return;
  const title = t('Predict with {0}', withoutIcons(shortName(row)));
  const { tasks } = await app.worker.ask('catalogue', undefined);
  const task = tasks.find(({ id }) => id === row.task);
  const source = await askSource(title, task);
  if (source === undefined) return;
  if (source.kind === 'text') return predictText(app, folder, run, title, task);
  const from = source.kind === 'choose' ? await chooseFile(title, folder) : source;
  if (from === undefined) return;
  const place = vscode.Uri.joinPath(
    folder.uri,
    `predictions-${run.id.slice(-6)}${from.kind === 'split' ? `-${from.name}` : ''}.csv`,
  );
  const target = await vscode.window.showSaveDialog({ title, filters: { CSV: ['csv'] }, defaultUri: place });
  if (target === undefined) return;
  const predicted = await cancellable(t('Predicting…'), (signal) =>
    app.worker.ask(
      'predictInto',
      { folder: folder.path, id: run.id, from, output: target.fsPath, ...programSettings(folder.uri) },
      { signal },
    ),
  );
  if (predicted === undefined) return;
  // First, because an editor refuses to open a file that is too large for it.
  void vscode.window.showInformationMessage(predictedScores(predicted));
  await vscode.window.showTextDocument(target, { preview: false });
}

async function chooseFile(title: string, folder: WatchedFolder): Promise<From | undefined> {
  const files = await vscode.window.showOpenDialog({
    title,
    defaultUri: folder.uri,
    filters: { [t('Examples')]: dataEndings },
  });
  const [file] = files ?? [];
  return file === undefined ? undefined : { kind: 'file', path: file.fsPath };
}

async function predictText(
  app: ExtensionApp,
  folder: WatchedFolder,
  { id }: RunRef,
  title: string,
  task: TaskChoice | undefined,
): Promise<void> {
  const text = await askText(title, task?.pair === true ? t('The first text') : t('The text'));
  if (text === undefined) return;
  const pair = task?.pair === true ? await askText(title, t('The second text')) : undefined;
  if (task?.pair === true && pair === undefined) return;
  const lines = pair === undefined ? text : `${text}\t${pair}`;
  const predicted = await cancellable(t('Predicting…'), (signal) =>
    app.worker.ask('predictTexts', { folder: folder.path, id, lines, ...programSettings(folder.uri) }, { signal }),
  );
  const [first] = predicted?.predictions ?? [];
  if (first === undefined) return;
  const again = t('Another Text');
  const next = await vscode.window.showInformationMessage(predictedNotice(first, text), again);
  if (next === again) await predictText(app, folder, { folder: folder.key, id }, title, task);
}

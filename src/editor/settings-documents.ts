import * as vscode from 'vscode';
import { circumstancesOf } from '../analysis/circumstances.ts';
import { messageOf, UserError } from '../base/errors.ts';
import type { RunRef } from './app.ts';
import { t } from './core/l10n.ts';
import { shortName } from './core/run-item.ts';
import type { ExtensionApp } from './extension-app.ts';
import { runDocument, runOfDocument } from './run-documents.ts';

/** Settings of runs, and what else their numbers depend on, as read-only documents that the editor can hold against each other. */
const scheme = 'peft-settings';

async function settingsText(app: ExtensionApp, uri: vscode.Uri): Promise<string> {
  const ref = runOfDocument(uri);
  if (ref === undefined) return '';
  await app.ready;
  const folder = app.folder(ref.folder);
  if (folder === undefined) return `${t('The folder of this run is not open in this window.')}\n`;
  try {
    const run = await folder.store.show(ref.id);
    return run === undefined
      ? `${t('This run is not there any more.')}\n`
      : `${JSON.stringify(circumstancesOf(run), undefined, 2)}\n`;
  } catch (problem) {
    return `${messageOf(problem)}\n`;
  }
}

/** Registers the read-only documents that hold runs' settings, for the editor to compare. */
export function registerSettingsDocuments(app: ExtensionApp): vscode.Disposable {
  return vscode.workspace.registerTextDocumentContentProvider(scheme, {
    provideTextDocumentContent: (uri) => settingsText(app, uri),
  });
}

/** Shows two runs' settings beside each other in the editor's own comparison. @throws UserError for another number of runs */
export async function compareSettings(app: ExtensionApp, runs: readonly RunRef[]): Promise<void> {
  const [left, right, ...others] = runs;
  if (left === undefined || right === undefined || others.length > 0)
    throw new UserError(
      t('Settings are compared of two runs, and {0} are chosen.', runs.length),
      t('Choose two; “peft-lab diff” takes any number.'),
    );
  const named = (run: RunRef): readonly [vscode.Uri, string] => {
    const row = app.run(run);
    const name = row === undefined ? run.id : shortName(row);
    return [runDocument(scheme, run, name, 'json'), name];
  };
  const [before, leftName] = named(left);
  const [after, rightName] = named(right);
  await vscode.commands.executeCommand('vscode.diff', before, after, t('Settings: {0} ↔ {1}', leftName, rightName));
}

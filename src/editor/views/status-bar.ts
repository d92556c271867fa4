import * as vscode from 'vscode';
import { t } from '../core/l10n.ts';
import { statusText } from '../core/status.ts';
import type { ExtensionApp } from '../extension-app.ts';
import { Setting, View } from '../ids.ts';
import { concerns, statusBarChoice } from '../settings.ts';

/** One item: how many runs are under way, how far they are, and how long they will take. */
export function registerStatusBar(app: ExtensionApp): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('peft.status', vscode.StatusBarAlignment.Left, 0);
  item.name = t('PEFT Lab');
  item.command = `${View.runs}.focus`;

  function draw(): void {
    const choice = statusBarChoice();
    const text = statusText(app.folders.flatMap(({ runs }) => [...runs.values()]));
    if (choice === 'never' || (text === undefined && choice === 'active')) {
      item.hide();
      return;
    }
    item.text = text?.text ?? '$(beaker) PEFT';
    const tooltip = new vscode.MarkdownString(text?.tooltip ?? t('No run is under way'), false);
    tooltip.isTrusted = false;
    item.tooltip = tooltip;
    item.accessibilityInformation = { label: text?.spoken ?? t('PEFT Lab: no run is under way'), role: 'button' };
    item.show();
  }

  return vscode.Disposable.from(
    item,
    app.onDidChangeRuns(draw),
    app.onDidChangeFolders(draw),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (concerns(change, Setting.statusBar)) draw();
    }),
  );
}

import * as vscode from 'vscode';
import { capitalised } from '../base/format.ts';
import { FileError, messageOf, UserError } from '../base/errors.ts';
import type { App } from './app.ts';
import { t } from './core/l10n.ts';
import { withoutLinks } from './core/text.ts';

/** Tells the user of what went wrong, with what can be done about it, and the log of all of it. */
export async function reportProblem(log: App['log'], problem: unknown): Promise<void> {
  const message = messageOf(problem);
  if (!(problem instanceof UserError)) {
    log.error(problem instanceof Error ? problem : message);
    const show = t('Show Output');
    const chosen = await vscode.window.showErrorMessage(t('PEFT Lab met a defect: {0}', withoutLinks(message)), show);
    if (chosen === show) log.show();
    return;
  }
  log.warn(message);
  const open = t('Open File');
  const offers = problem instanceof FileError ? [open] : [];
  const chosen = await vscode.window.showErrorMessage(capitalised(withoutLinks(message)), ...offers);
  if (chosen === open && problem instanceof FileError) await openAt(problem.file, problem.line);
}

async function openAt(file: string, line: number | undefined): Promise<void> {
  try {
    const at = new vscode.Position(Math.max(0, (line ?? 1) - 1), 0);
    await vscode.window.showTextDocument(vscode.Uri.file(file), { selection: new vscode.Range(at, at) });
  } catch {
    // The file may be gone, or never have been saved; the message has said what there is to say.
  }
}

/** Whether programs may be started here; says why not where they may not. */
export async function isTrusted(): Promise<boolean> {
  if (vscode.workspace.isTrusted) return true;
  const manage = t('Manage Workspace Trust');
  const chosen = await vscode.window.showWarningMessage(
    t('In Restricted Mode runs can be looked at, not started or changed.'),
    manage,
  );
  if (chosen === manage) await vscode.commands.executeCommand('workbench.trust.manage');
  return vscode.workspace.isTrusted;
}

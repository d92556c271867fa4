import * as vscode from 'vscode';
import type { BudgetBreach } from '../runs/privacy-budget.ts';
import { breachTexts } from './core/budget.ts';
import { t } from './core/l10n.ts';

/**
 * Asks before runs are started that a project's privacy budget does not allow.
 * @returns whether they go beyond a budget; undefined when the user would rather not start them
 */
export async function askBudget(
  look: () => Promise<readonly BudgetBreach[]>,
): Promise<{ readonly exceeds: boolean } | undefined> {
  const breaches = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: t('Counting what was spent of the privacy budget…') },
    look,
  );
  const texts = breachTexts(breaches);
  if (texts === undefined) return { exceeds: false };
  const yes = t('Start Anyway');
  const chosen = await vscode.window.showWarningMessage(texts.message, { modal: true, detail: texts.detail }, yes);
  return chosen === yes ? { exceeds: true } : undefined;
}

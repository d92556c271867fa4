import * as vscode from 'vscode';
import { bytes, grouped } from '../base/format.ts';
import type { KeptCheckpoints } from '../runs/checkpoints.ts';
import { t } from './core/l10n.ts';
import type { ExtensionApp } from './extension-app.ts';
import { isTrusted } from './report.ts';

/** Asks before trained models are deleted, which only training anew brings back. */
async function askDeletion(count: number): Promise<boolean> {
  const yes = t('Delete Checkpoints');
  const question =
    count === 1
      ? t('Delete the checkpoints of the run that has finished?')
      : t('Delete the checkpoints of all {0} runs that have finished?', grouped(count));
  const detail = t('Nothing is left then to predict with or to export. This cannot be undone.');
  return (await vscode.window.showWarningMessage(question, { modal: true, detail }, yes)) === yes;
}

/** "PEFT: Free Space…": deletes checkpoints of runs that have finished; numbers, logs and configurations stay. */
export async function freeSpace(app: ExtensionApp): Promise<void> {
  if (!(await isTrusted())) return;
  const use = await Promise.all(app.folders.map(({ path }) => app.worker.ask('diskUse', path)));
  const checkpoints = use.reduce((sum, { checkpointBytes }) => sum + checkpointBytes, 0);
  const finished = app.folders.map((folder) => ({
    folder,
    ids: [...folder.runs.values()].filter(({ state }) => state === 'finished').map(({ id }) => id),
  }));
  const count = finished.reduce((sum, { ids }) => sum + ids.length, 0);
  if (count === 0) {
    void vscode.window.showInformationMessage(
      t('No run has finished; the others keep their checkpoints, to be resumed from.'),
    );
    return;
  }
  const items: readonly (vscode.QuickPickItem & { readonly keep: KeptCheckpoints })[] = [
    {
      label: t('Keep the best checkpoint of each run'),
      description: t('or the last, where there is no best one'),
      iconPath: new vscode.ThemeIcon('star-empty'),
      keep: 'best',
    },
    {
      label: t('Delete all checkpoints…'),
      description: t('scores and curves stay; nothing is left to predict with or to export'),
      iconPath: new vscode.ThemeIcon('trash'),
      keep: 'none',
    },
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title: t('Free Space'),
    placeHolder:
      count === 1
        ? t('{0} of checkpoints in all; 1 run has finished', bytes(checkpoints))
        : t('{0} of checkpoints in all; {1} runs have finished', bytes(checkpoints), grouped(count)),
  });
  if (chosen === undefined) return;
  if (chosen.keep === 'none' && !(await askDeletion(count))) return;
  const freed = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: t('Deleting checkpoints…') },
    () =>
      Promise.all(
        finished.map(({ folder, ids }) => app.worker.ask('prune', { folder: folder.path, ids, keep: chosen.keep })),
      ),
  );
  app.tellFreed();
  void vscode.window.showInformationMessage(t('{0} freed.', bytes(freed.reduce((a, b) => a + b, 0))));
}

import * as vscode from 'vscode';
import type { RunSummary } from '../store/summaries.ts';
import type { RunRef } from './app.ts';
import { t } from './core/l10n.ts';
import { runItem, runName, stateText } from './core/run-item.ts';
import { withoutIcons } from './core/text.ts';
import { deedOf } from './core/titles.ts';
import type { ExtensionApp } from './extension-app.ts';

interface RunPick extends vscode.QuickPickItem {
  readonly ref: RunRef;
}

export interface PickOptions {
  readonly title: string;
  readonly placeholder: string;
  /** Which runs can be chosen. */
  readonly fits?: (run: RunSummary, ref: RunRef) => boolean;
  /** Said where no run can be chosen. */
  readonly nothing: string;
}

/** So many runs are offered, the newest. */
const mostOffered = 2000;

function itemsOf(app: ExtensionApp, fits: NonNullable<PickOptions['fits']>): readonly RunPick[] {
  const several = app.folders.length > 1;
  return app.folders
    .flatMap(({ key, name, runs }) =>
      [...runs.values()]
        .filter((run) => fits(run, { folder: key, id: run.id }))
        .map((run) => ({ run, folder: key, place: several ? name : '' })),
    )
    .sort((a, b) => (a.run.id < b.run.id ? 1 : -1))
    .slice(0, mostOffered)
    .map(({ run, folder, place }): RunPick => {
      const { icon, description } = runItem(run);
      const detail = [deedOf(run), run.model, place].filter((part) => part !== null && part !== '');
      return {
        label: withoutIcons(runName(run)),
        description: withoutIcons([stateText(run.state), description].filter((part) => part !== '').join(' · ')),
        detail: withoutIcons(detail.join(' · ')),
        iconPath: new vscode.ThemeIcon(icon.id),
        ref: { folder, id: run.id },
      };
    });
}

/** Asks for one run. */
export async function pickRun(app: ExtensionApp, options: PickOptions): Promise<RunRef | undefined> {
  await app.ready;
  const items = itemsOf(app, options.fits ?? (() => true));
  if (items.length === 0) {
    void vscode.window.showInformationMessage(options.nothing);
    return undefined;
  }
  const chosen = await vscode.window.showQuickPick(items, {
    title: options.title,
    placeHolder: options.placeholder,
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return chosen?.ref;
}

/** Asks for any number of runs. */
export async function pickRuns(app: ExtensionApp, options: PickOptions): Promise<readonly RunRef[]> {
  await app.ready;
  const items = itemsOf(app, options.fits ?? (() => true));
  if (items.length === 0) {
    void vscode.window.showInformationMessage(options.nothing);
    return [];
  }
  const chosen = await vscode.window.showQuickPick(items, {
    title: options.title,
    placeHolder: options.placeholder,
    canPickMany: true,
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return chosen?.map(({ ref }) => ref) ?? [];
}

/** What every pick of a run says where there is none at all. */
export function noRuns(): string {
  return t('There are no runs here yet.');
}

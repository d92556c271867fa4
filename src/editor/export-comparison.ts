import * as vscode from 'vscode';
import { messageOf, UserError } from '../base/errors.ts';
import { comparisonReport } from '../analysis/html-report.ts';
import type { ComparisonFormat } from '../analysis/render.ts';
import type { ComparisonRow } from '../store/comparison-rows.ts';
import { firstView, type View } from '../webviews/compare/messages.ts';
import type { ComparisonSelection } from './app.ts';
import { t } from './core/l10n.ts';
import { sweepTitle } from './core/run-tree.ts';
import { withoutIcons } from './core/text.ts';
import { methodTitles, taskTitles } from './core/titles.ts';
import type { ExtensionApp } from './extension-app.ts';
import { translatedStrings } from './panels/strings.ts';
import { noRuns, pickRuns } from './pick-runs.ts';

/** The rows of a selection, from the databases of all folders that it names. */
export async function rowsOf(app: ExtensionApp, selection: ComparisonSelection): Promise<readonly ComparisonRow[]> {
  const rows: (readonly ComparisonRow[])[] = [];
  for (const { key, store } of app.folders) {
    if (selection.kind === 'everything') rows.push(await store.comparison());
    else if (selection.kind === 'sweep') {
      if (selection.folder === key) rows.push(await store.comparison({ sweeps: [selection.sweep] }));
    } else {
      const ids = selection.runs.filter(({ folder }) => folder === key).map(({ id }) => id);
      if (ids.length > 0) rows.push(await store.comparison({ ids }));
    }
  }
  return rows.flat();
}

interface SelectionItem extends vscode.QuickPickItem {
  readonly selection: ComparisonSelection | undefined;
}

/** Asks what to compare: everything, a sweep, or some runs. */
export async function pickSelection(app: ExtensionApp): Promise<ComparisonSelection | undefined> {
  await app.ready;
  const sweeps = new Map<string, { readonly folder: string; readonly sweep: string; count: number }>();
  let all = 0;
  for (const { key, runs } of app.folders)
    for (const { sweep } of runs.values()) {
      all++;
      if (sweep === null) continue;
      const known = sweeps.get(`${key} ${sweep}`);
      if (known === undefined) sweeps.set(`${key} ${sweep}`, { folder: key, sweep, count: 1 });
      else known.count++;
    }
  if (all === 0) {
    void vscode.window.showInformationMessage(noRuns());
    return undefined;
  }
  const items: readonly SelectionItem[] = [
    {
      label: t('All runs'),
      description: t('{0} runs', all),
      iconPath: new vscode.ThemeIcon('graph-scatter'),
      selection: { kind: 'everything' },
    },
    { label: t('Some runs…'), iconPath: new vscode.ThemeIcon('checklist'), selection: undefined },
    ...[...sweeps.values()]
      .sort((a, b) => (a.sweep.slice(a.sweep.lastIndexOf(' ')) < b.sweep.slice(b.sweep.lastIndexOf(' ')) ? 1 : -1))
      .map(({ folder, sweep, count }): SelectionItem => {
        const { name, made } = sweepTitle(sweep);
        return {
          label: withoutIcons(name),
          description: `${t('sweep of {0} runs', count)} · ${made}`,
          iconPath: new vscode.ThemeIcon('beaker'),
          selection: { kind: 'sweep', folder, sweep },
        };
      }),
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title: t('Compare Runs'),
    placeHolder: t('What to compare'),
  });
  if (chosen === undefined || chosen.selection !== undefined) return chosen?.selection;
  const runs = await pickRuns(app, {
    title: t('Compare Runs'),
    placeholder: t('Tick the runs to compare'),
    nothing: noRuns(),
  });
  return runs.length === 0 ? undefined : { kind: 'runs', runs };
}

interface FormatItem extends vscode.QuickPickItem {
  readonly format: ComparisonFormat | 'html';
  readonly ending: string;
}

/** One file with the chart and the table of the panel, made by the panel's own code. */
async function htmlOf(app: ExtensionApp, rows: readonly ComparisonRow[], view: View): Promise<string> {
  const script = vscode.Uri.joinPath(app.context.extensionUri, 'dist', 'webviews', 'report.js');
  const manifest = app.context.extension.packageJSON as { readonly version?: unknown };
  return comparisonReport({
    script: new TextDecoder().decode(await vscode.workspace.fs.readFile(script)),
    runs: rows,
    methods: methodTitles(),
    tasks: taskTitles(),
    strings: translatedStrings(),
    locale: vscode.env.language,
    view,
    version: String(manifest.version),
    made: new Date(),
  });
}

/** "PEFT: Export Comparison": of the comparison that is in front, as it is shown there, else of what is asked for. */
export async function exportComparison(app: ExtensionApp): Promise<void> {
  const active = (await app.panels()).activeComparison();
  const selection = active?.selection ?? (await pickSelection(app));
  if (selection === undefined) return;
  const view = active?.view ?? firstView;
  const formats: readonly FormatItem[] = [
    { label: 'CSV', description: t('one row for each group, the numbers as they are'), format: 'csv', ending: 'csv' },
    { label: 'JSON', description: t('everything, every single score included'), format: 'json', ending: 'json' },
    { label: 'Markdown', description: t('a table for documents'), format: 'markdown', ending: 'md' },
    { label: t('Text'), description: t('a table in plain text'), format: 'table', ending: 'txt' },
    { label: 'HTML', description: t('chart and tables in one file for a browser'), format: 'html', ending: 'html' },
  ];
  const chosen = await vscode.window.showQuickPick(formats, {
    title: t('Export Comparison'),
    placeHolder: t('The format'),
  });
  if (chosen === undefined) return;
  const base = app.folders[0]?.uri;
  const target = await vscode.window.showSaveDialog({
    title: t('Export Comparison'),
    filters: { [chosen.label]: [chosen.ending] },
    ...(base === undefined ? {} : { defaultUri: vscode.Uri.joinPath(base, `comparison.${chosen.ending}`) }),
  });
  if (target === undefined) return;
  const rows = await rowsOf(app, selection);
  const { format } = chosen;
  const { metric, at, count: parameters } = view;
  const text =
    format === 'html'
      ? await htmlOf(app, rows, view)
      : await app.worker.ask('render', { rows, format, metric, at, parameters });
  try {
    await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(text));
  } catch (error) {
    const what = t('The comparison could not be written: {0}', messageOf(error));
    throw new UserError(what, t('Choose another place for it.'), { cause: error });
  }
  // A page of code is nothing to read in an editor; a browser on another machine could not reach it.
  if (format !== 'html') await vscode.window.showTextDocument(target, { preview: true });
  else if (vscode.env.remoteName === undefined) await vscode.env.openExternal(target);
  else await vscode.commands.executeCommand('revealInExplorer', target);
}

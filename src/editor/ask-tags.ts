import * as vscode from 'vscode';
import type { Untimed } from '../runs/marks.ts';
import type { RunRef } from './app.ts';
import { t } from './core/l10n.ts';
import { tagChanges, typedTags } from './core/tags.ts';
import { withoutIcons } from './core/text.ts';
import type { ExtensionApp } from './extension-app.ts';

interface TagItem extends vscode.QuickPickItem {
  readonly tag: string;
}

/** Every tag of the workspace, those that are used most first. */
export function knownTags(app: ExtensionApp): readonly string[] {
  const counts = new Map<string, number>();
  for (const { runs } of app.folders)
    for (const { tags } of runs.values()) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, one], [b, other]) => other - one || a.localeCompare(b)).map(([tag]) => tag);
}

/** Asks for the tags of runs: those there are can be ticked, another can be typed. Nothing where the user gave up. */
export function askForTags(app: ExtensionApp, runs: readonly RunRef[]): Promise<readonly Untimed[] | undefined> {
  const before = runs.map((run) => app.run(run)?.tags ?? []);
  const common = new Set((before[0] ?? []).filter((tag) => before.every((tags) => tags.includes(tag))));
  const known = knownTags(app).map((tag): TagItem => ({ label: withoutIcons(tag), tag }));
  const picker = vscode.window.createQuickPick<TagItem>();
  picker.title = runs.length === 1 ? t('Tags') : t('Tags of {0} runs', runs.length);
  picker.placeholder = t('Tick tags, or type new ones, separated by commas');
  picker.canSelectMany = true;
  picker.items = known;
  picker.selectedItems = known.filter(({ tag }) => common.has(tag));
  return new Promise((resolve) => {
    /** What is ticked because it was typed, until something else is. */
    let typed: readonly TagItem[] = [];
    picker.onDidChangeValue((value) => {
      const ticked = picker.selectedItems.filter((item) => !typed.includes(item));
      const named = typedTags(value);
      const fresh = named
        .filter((tag) => !known.some((item) => item.tag === tag))
        .map((tag): TagItem => ({ label: withoutIcons(tag), description: t('new'), tag, alwaysShow: true }));
      typed = [...fresh, ...known.filter((item) => named.includes(item.tag) && !ticked.includes(item))];
      picker.items = [...fresh, ...known];
      picker.selectedItems = [...typed, ...ticked];
    });
    picker.onDidAccept(() => {
      resolve(
        tagChanges(
          before,
          picker.selectedItems.map(({ tag }) => tag),
        ),
      );
      picker.hide();
    });
    picker.onDidHide(() => {
      resolve(undefined);
      picker.dispose();
    });
    picker.show();
  });
}

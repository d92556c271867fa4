import * as vscode from 'vscode';
import type { KeptCheckpoints } from '../runs/checkpoints.ts';
import { keptCheckpoints, noticeLevels, statusBarChoices } from './core/choices.ts';
import type { NoticeLevel, StatusBarChoice } from './core/choices.ts';
import { isGrouping, type Grouping } from './core/run-tree.ts';
import { Setting, settingSection } from './ids.ts';
import type { ProgramSettings } from './worker/operations.ts';

/** The user's settings, each read when it is needed; whatever a file holds, what comes out has its type. */

function read(key: string, scope?: vscode.Uri): unknown {
  return vscode.workspace.getConfiguration(settingSection, scope ?? null).get(key);
}

function oneOf<T extends string>(values: readonly T[], value: unknown, otherwise: T): T {
  return values.find((each) => each === value) ?? otherwise;
}

export function programSettings(folder: vscode.Uri): ProgramSettings {
  const nodePath = read(Setting.nodePath, folder);
  return { nodePath: typeof nodePath === 'string' ? nodePath.trim() : '', slots: slotsOf(folder) };
}

/** Runs that a device takes at once, by device. */
export function slotsOf(folder: vscode.Uri): Readonly<Record<string, number>> {
  const value = read(Setting.slots, folder);
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, number] =>
        /^\w+$/.test(entry[0]) && Number.isInteger(entry[1]) && Number(entry[1]) > 0,
    ),
  );
}

/** Folders to look for models in; relative ones start from the workspace folder. */
export function modelFolders(folder: vscode.Uri | undefined): readonly string[] {
  const value = read(Setting.modelFolders, folder);
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string' && each !== '') : [];
}

export function grouping(): Grouping {
  const value = read(Setting.groupBy);
  return isGrouping(value) ? value : 'sweep';
}

export function setGrouping(chosen: Grouping): Thenable<void> {
  return vscode.workspace
    .getConfiguration(settingSection)
    .update(Setting.groupBy, chosen, vscode.ConfigurationTarget.Global);
}

export function keepCheckpoints(folder: vscode.Uri): KeptCheckpoints {
  return oneOf(keptCheckpoints, read(Setting.keepCheckpoints, folder), 'all');
}

export function noticeLevel(): NoticeLevel {
  return oneOf(noticeLevels, read(Setting.notifications), 'all');
}

export function setNoticeLevel(level: NoticeLevel): Thenable<void> {
  return vscode.workspace
    .getConfiguration(settingSection)
    .update(Setting.notifications, level, vscode.ConfigurationTarget.Global);
}

export function statusBarChoice(): StatusBarChoice {
  return oneOf(statusBarChoices, read(Setting.statusBar), 'active');
}

/** Whether a change of the configuration concerns one of our settings. */
export function concerns(change: vscode.ConfigurationChangeEvent, key: string): boolean {
  return change.affectsConfiguration(`${settingSection}.${key}`);
}

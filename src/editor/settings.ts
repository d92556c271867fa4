import { isAbsolute, join } from 'node:path';
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

/** Changes a setting where it is set: what the user's own settings say would not count beside the workspace's. */
function write(key: string, value: string): Thenable<void> {
  const settings = vscode.workspace.getConfiguration(settingSection, null);
  const isOfWorkspace = settings.inspect(key)?.workspaceValue !== undefined;
  const { Global, Workspace } = vscode.ConfigurationTarget;
  return settings.update(key, value, isOfWorkspace ? Workspace : Global);
}

function oneOf<T extends string>(values: readonly T[], value: unknown, otherwise: T): T {
  return values.find((each) => each === value) ?? otherwise;
}

/** @param folder of the workspace; the user's own settings without it */
export function programSettings(folder: vscode.Uri | undefined): ProgramSettings {
  const nodePath = read(Setting.nodePath, folder);
  return {
    nodePath: typeof nodePath === 'string' ? nodePath.trim() : '',
    libraryFolders: foldersOf(Setting.libraryFolders, folder),
    slots: slotsOf(folder),
  };
}

/** Runs that a device takes at once, by device. */
export function slotsOf(folder: vscode.Uri | undefined): Readonly<Record<string, number>> {
  const value = read(Setting.slots, folder);
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, number] =>
        /^\w+$/.test(entry[0]) && Number.isInteger(entry[1]) && Number(entry[1]) > 0,
    ),
  );
}

/** A list of folders, absolute; relative ones start from the workspace folder, and mean nothing without one. */
function foldersOf(key: string, workspace: vscode.Uri | undefined): readonly string[] {
  const value = read(key, workspace);
  const texts = Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];
  return texts.flatMap((text) => {
    const folder = text.trim();
    if (folder === '') return [];
    if (isAbsolute(folder)) return [folder];
    return workspace === undefined ? [] : [join(workspace.fsPath, folder)];
  });
}

/** Folders to look for models in. */
export function modelFolders(folder: vscode.Uri | undefined): readonly string[] {
  return foldersOf(Setting.modelFolders, folder);
}

/** How the explorer groups runs. */
export function grouping(): Grouping {
  const value = read(Setting.groupBy);
  return isGrouping(value) ? value : 'sweep';
}

/** Changes how the explorer groups runs. */
export function setGrouping(chosen: Grouping): Thenable<void> {
  return write(Setting.groupBy, chosen);
}

/** Which checkpoints of finished runs a folder keeps. */
export function keepCheckpoints(folder: vscode.Uri): KeptCheckpoints {
  return oneOf(keptCheckpoints, read(Setting.keepCheckpoints, folder), 'all');
}

/** Of which runs' ends the user wants to be told. */
export function noticeLevel(): NoticeLevel {
  return oneOf(noticeLevels, read(Setting.notifications), 'all');
}

/** Changes of which runs' ends the user is told. */
export function setNoticeLevel(level: NoticeLevel): Thenable<void> {
  return write(Setting.notifications, level);
}

/** When the status bar shows the queue. */
export function statusBarChoice(): StatusBarChoice {
  return oneOf(statusBarChoices, read(Setting.statusBar), 'active');
}

/** Whether a change of the configuration concerns one of our settings. */
export function concerns(change: vscode.ConfigurationChangeEvent, key: string): boolean {
  return change.affectsConfiguration(`${settingSection}.${key}`);
}

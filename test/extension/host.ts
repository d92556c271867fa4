import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { PublicApi } from '../../src/extension.ts';
import { listRuns, runFolder, workspaceAt } from '../../src/runs/run-folder.ts';
import { runState, type RunStatus } from '../../src/runs/run-state.ts';
import { until } from '../support/until.ts';

/** The extension under test, activated. */
export async function extension(): Promise<vscode.Extension<PublicApi>> {
  const found = vscode.extensions.getExtension<PublicApi>('peft-lab.peft-lab');
  assert.ok(found, 'the extension is not there');
  await found.activate();
  return found;
}

/** The folder that is open. */
export function folder(): vscode.WorkspaceFolder {
  const [first] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(first, 'no folder is open');
  return first;
}

export const workspace = (): ReturnType<typeof workspaceAt> => workspaceAt(folder().uri.fsPath);

export function stateOf(id: string): RunStatus['state'] {
  return runState(runFolder(workspace(), id)).state;
}

/** Waits for a run that is not among `known`. */
export function newRun(known: readonly string[]): Promise<string> {
  return until('a new run', () => listRuns(workspace()).find((id) => !known.includes(id)));
}

export async function waitFor(id: string, state: RunStatus['state']): Promise<void> {
  await until(`run ${id} to be ${state}`, () => stateOf(id) === state, 90);
}

/** Writes a configuration into the open folder; settings given replace the common ones. */
export function configure(name: string, settings: Readonly<Record<string, unknown>> = {}): vscode.Uri {
  const file = join(folder().uri.fsPath, `${name}.peft.json`);
  const common = {
    name,
    model: 'models/tiny-bert',
    task: { id: 'cola', data: 'data', maxLength: 48 },
    method: 'lora',
    device: { provider: 'cpu', threads: 1 },
    training: { steps: 20, batchSize: 16 },
  };
  writeFileSync(file, JSON.stringify({ ...common, ...settings }, undefined, 2));
  return vscode.Uri.file(file);
}

/** Opens a file in an editor. */
export async function open(uri: vscode.Uri): Promise<vscode.TextDocument> {
  const document = await vscode.workspace.openTextDocument(uri);
  await vscode.window.showTextDocument(document);
  return document;
}

export function read(...path: readonly string[]): string {
  return readFileSync(join(folder().uri.fsPath, ...path), 'utf8');
}

/** The lenses on top of a file, once there are any. */
export function lenses(uri: vscode.Uri): Promise<readonly vscode.CodeLens[]> {
  return until(`lenses of ${uri.path}`, async () => {
    const found = await vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', uri, 10);
    return found.length > 0 && found.every(({ command }) => command !== undefined) ? found : undefined;
  });
}

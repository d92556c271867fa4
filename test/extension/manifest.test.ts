import assert from 'node:assert/strict';
import { suite, test } from 'mocha';
import * as vscode from 'vscode';
import { grouping, setGrouping } from '../../src/editor/settings.ts';
import { extension } from './host.ts';

interface Contributions {
  readonly commands: readonly { readonly command: string }[];
  readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
  readonly configuration:
    | { readonly properties: Readonly<Record<string, unknown>> }
    | readonly { readonly properties: Readonly<Record<string, unknown>> }[];
}

async function contributions(): Promise<Contributions> {
  return ((await extension()).packageJSON as { readonly contributes: Contributions }).contributes;
}

suite('the extension in the editor', () => {
  test('activates, and has read the runs of the folder', async () => {
    const { isActive, exports } = await extension();
    assert.ok(isActive);
    await exports.ready;
    assert.ok(exports.activationMilliseconds > 0);
  });

  test('runs beside the files, not where the window is', async () => {
    assert.equal((await extension()).extensionKind, vscode.ExtensionKind.Workspace);
  });

  test('has registered every command of its manifest', async () => {
    const { commands } = await contributions();
    const registered = new Set(await vscode.commands.getCommands(true));
    assert.deepEqual(
      commands.map(({ command }) => command).filter((command) => !registered.has(command)),
      [],
    );
  });

  test('every view can be shown', async () => {
    const { views } = await contributions();
    for (const { id } of Object.values(views).flat()) await vscode.commands.executeCommand(`${id}.focus`);
  });

  test('every setting has the default that its manifest names', async () => {
    const { configuration } = await contributions();
    const properties = Object.keys(
      Object.assign({}, ...[configuration].flat().map((section) => section.properties)) as object,
    );
    assert.ok(properties.length > 3);
    for (const key of properties)
      assert.notEqual(vscode.workspace.getConfiguration().inspect(key)?.defaultValue, undefined, key);
  });

  test('a setting is changed where it is set: in the workspace, else by the user', async () => {
    const inspect = () => vscode.workspace.getConfiguration('peft').inspect('runs.groupBy');
    const set = (value: string | undefined, target: vscode.ConfigurationTarget): Thenable<void> =>
      vscode.workspace.getConfiguration('peft').update('runs.groupBy', value, target);
    try {
      await setGrouping('task');
      assert.deepEqual([inspect()?.globalValue, inspect()?.workspaceValue], ['task', undefined]);
      await set('method', vscode.ConfigurationTarget.Workspace);
      await setGrouping('model');
      assert.deepEqual([inspect()?.globalValue, inspect()?.workspaceValue], ['task', 'model']);
      assert.equal(grouping(), 'model');
    } finally {
      await set(undefined, vscode.ConfigurationTarget.Workspace);
      await set(undefined, vscode.ConfigurationTarget.Global);
    }
  });
});

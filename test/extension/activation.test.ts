import assert from 'node:assert/strict';
import { suite, test } from 'mocha';
import * as vscode from 'vscode';

suite('the extension', () => {
  test('activates', async () => {
    const extension = vscode.extensions.all.find(
      ({ packageJSON }) => (packageJSON as { name?: string }).name === 'peft-lab',
    );
    assert.ok(extension);
    await extension.activate();
    assert.ok(extension.isActive);
  });
});

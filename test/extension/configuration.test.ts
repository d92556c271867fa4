import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, suiteSetup, suiteTeardown, test } from 'mocha';
import * as vscode from 'vscode';
import { until } from '../support/until.ts';
import { configure, extension, folder, lenses, open } from './host.ts';

/** The position after the first occurrence of a text. */
function after(document: vscode.TextDocument, text: string): vscode.Position {
  const at = document.getText().indexOf(text);
  assert.ok(at >= 0, text);
  return document.positionAt(at + text.length);
}

function markdown({ contents }: vscode.Hover): string {
  return contents.map((part) => (part instanceof vscode.MarkdownString ? part.value : '')).join('\n');
}

suite('a configuration file in the editor', () => {
  suiteSetup(async () => {
    await extension();
  });
  suiteTeardown(() => vscode.commands.executeCommand('workbench.action.closeAllEditors'));

  async function completions(uri: vscode.Uri, position: vscode.Position): Promise<readonly string[]> {
    const { items } = await vscode.commands.executeCommand<vscode.CompletionList>(
      'vscode.executeCompletionItemProvider',
      uri,
      position,
    );
    return items.map(({ label }) => (typeof label === 'string' ? label : label.label).replaceAll('"', ''));
  }

  test('completes keys and values from the schema that the runtime checks with', async () => {
    const uri = configure('completed', { method: '' });
    const document = await open(uri);
    const labels = (position: vscode.Position): Promise<readonly string[]> => completions(uri, position);
    await until('the names of methods', async () => {
      const found = await labels(after(document, '"method": "'));
      return ['lora', 'bitfit', 'slash', 'full'].every((method) => found.includes(method));
    });
    await until('the keys of training', async () => {
      const found = await labels(after(document, '"training": {'));
      return ['learningRate', 'seed', 'epochs'].every((key) => found.includes(key));
    });
  });

  test('completes a method in its long form: its name, and the options that this one has', async () => {
    const named = configure('named', { method: { id: '' } });
    const nameless = await open(named);
    await until('the names of methods', async () => {
      const found = await completions(named, after(nameless, '"method": {\n    "id": "'));
      return ['lora', 'bitfit', 'slash', 'union'].every((method) => found.includes(method));
    });
    const uri = configure('options', { method: { id: 'lora', '': 8 } });
    const document = await open(uri);
    const found = await until('the options', async () => {
      const labels = await completions(uri, after(document, '"id": "lora",\n    "'));
      return labels.includes('rank') ? labels : undefined;
    });
    assert.ok(
      ['alpha', 'targets', 'dropout'].every((option) => found.includes(option)),
      found.join(' '),
    );
    // Those of other methods would be refused.
    assert.ok(!found.includes('bottleneck'), found.join(' '));
  });

  test('says what a setting means', async () => {
    const uri = configure('documented');
    const document = await open(uri);
    const text = await until('the documentation', async () => {
      const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
        'vscode.executeHoverProvider',
        uri,
        after(document, '"batchS'),
      );
      return hovers.map(markdown).join('\n') || undefined;
    });
    assert.match(text, /batch/i);
  });

  test('marks what would not run, and offers no start', async () => {
    const uri = configure('wrong', { method: { id: 'lorra' }, training: { epoch: 3, seed: 'one' } });
    await open(uri);
    const problems = await until('the problems', () => {
      const found = vscode.languages.getDiagnostics(uri).filter(({ source }) => source === 'PEFT Lab');
      return found.length > 1 ? found : undefined;
    });
    const messages = problems.map(({ message }) => message).join('\n');
    assert.match(messages, /lorra/);
    assert.match(messages, /epoch/);
    // The editor's own JSON support has nothing to add: each is told once.
    assert.deepEqual(
      vscode.languages.getDiagnostics(uri).filter(({ source }) => source !== 'PEFT Lab'),
      [],
    );
    assert.deepEqual(
      (await lenses(uri)).filter(({ command }) => command?.command.startsWith('peft.')),
      [],
    );
  });

  test('has no problem where there is none, and a lens to start it', async () => {
    const uri = configure('right');
    await open(uri);
    const [lens] = await lenses(uri);
    assert.equal(lens?.command?.command, 'peft.startRun');
    assert.deepEqual(vscode.languages.getDiagnostics(uri), []);
  });

  test('takes back what it said of a folder that is there by now, when the file is looked at again', async () => {
    const uri = configure('later', { task: { id: 'cola', data: 'not-yet' } });
    const found = (): readonly string[] => vscode.languages.getDiagnostics(uri).map(({ message }) => message);
    await open(uri);
    await until('the warning', () => found().some((message) => message.includes('not-yet')));
    mkdirSync(join(folder().uri.fsPath, 'not-yet'));
    await open(configure('right'));
    await open(uri);
    await until('no warning', () => found().length === 0);
  });

  test('says how many runs a matrix makes', async () => {
    const uri = configure('sweep', { matrix: { 'method.rank': [2, 4], 'training.seed': [0, 1, 2] } });
    await open(uri);
    const titles = (await lenses(uri)).map(({ command }) => command?.title ?? '');
    assert.match(titles.join('\n'), /6 runs/);
  });
});

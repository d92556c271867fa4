import { expect, it, vi } from 'vitest';
import type { ExtensionApp } from '../../../src/editor/extension-app.ts';
import { aRun } from './runs.ts';

/** Commands as the editor calls them: on what was clicked, with what is selected beside it. */

const handlers = new Map<string, (...given: readonly unknown[]) => Promise<unknown>>();
let copied = '';
let executed: readonly unknown[] = [];

vi.mock('vscode', () => ({
  Uri: { from: (parts: object) => parts },
  Disposable: { from: () => undefined },
  commands: {
    registerCommand: (id: string, handler: (...given: readonly unknown[]) => Promise<unknown>) =>
      handlers.set(id, handler),
    executeCommand: (...given: readonly unknown[]) => {
      executed = given;
    },
  },
  l10n: {
    t: (text: string, ...values: readonly unknown[]) =>
      values.reduce<string>((filled, value, index) => filled.replace(`{${index}}`, String(value)), text),
  },
  env: {
    clipboard: {
      writeText: (text: string) => {
        copied = text;
        return Promise.resolve();
      },
    },
  },
}));

const { registerCommands } = await import('../../../src/editor/commands.ts');

const node = (id: string) => ({ kind: 'run', id: `f ${id}`, ref: { folder: 'f', id }, inSweep: false });

it('what is for one run is done with the one that was clicked, whatever else is selected', async () => {
  const opened: string[] = [];
  registerCommands({
    explorer: { runsOf: () => [] },
    run: ({ id }: { readonly id: string }) => aRun(id),
    openRun: ({ id }: { readonly id: string }) => Promise.resolve(opened.push(id)),
    report: (problem: Error) => Promise.reject(problem),
  } as unknown as ExtensionApp);
  const selected = ['a', 'b', 'c'].map(node);
  await handlers.get('peft.copyRunId')?.(node('c'), selected);
  expect(copied).toBe('c');
  await handlers.get('peft.openRun')?.(node('b'), selected);
  expect(opened).toEqual(['b']);
});

it('settings of two runs are held against each other by the editor itself; of three none are', async () => {
  const problems: string[] = [];
  registerCommands({
    explorer: { runsOf: () => [] },
    run: ({ id }: { readonly id: string }) => aRun(id),
    report: ({ message }: Error) => Promise.resolve(problems.push(message)),
  } as unknown as ExtensionApp);
  const [a, b, c] = ['a', 'b', 'c'].map(node);
  await handlers.get('peft.compareSettings')?.(a, [a, b]);
  const [command, left, right] = executed;
  expect(command).toBe('vscode.diff');
  for (const [document, id] of [
    [left, 'a'],
    [right, 'b'],
  ] as const)
    expect(document).toMatchObject({ scheme: 'peft-settings', query: JSON.stringify({ folder: 'f', id }) });
  executed = [];
  await handlers.get('peft.compareSettings')?.(a, [a, b, c]);
  expect(executed).toEqual([]);
  expect(problems).toEqual([expect.stringContaining('3 are chosen')]);
});

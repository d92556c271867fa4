import { expect, it, vi } from 'vitest';
import type { ExtensionApp } from '../../../src/editor/extension-app.ts';
import { aRun } from './runs.ts';

/** Commands as the editor calls them: on what was clicked, with what is selected beside it. */

const handlers = new Map<string, (...given: readonly unknown[]) => Promise<unknown>>();
let copied = '';

vi.mock('vscode', () => ({
  Uri: Object,
  Disposable: { from: () => undefined },
  commands: {
    registerCommand: (id: string, handler: (...given: readonly unknown[]) => Promise<unknown>) =>
      handlers.set(id, handler),
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

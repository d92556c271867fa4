import { beforeEach, expect, it, vi } from 'vitest';
import type { RunRef } from '../../../src/editor/app.ts';
import type { ExtensionApp } from '../../../src/editor/extension-app.ts';
import { aRun } from './runs.ts';

/** The actions with an editor that answers as told: what it is asked, and what the worker is then asked to do. */

const asked: { message: string; detail: string | undefined; buttons: readonly string[] }[] = [];
let answer: string | undefined;

vi.mock('vscode', () => ({
  window: {
    showWarningMessage: (message: string, { detail }: { detail?: string }, ...buttons: string[]) => {
      asked.push({ message, detail, buttons });
      return Promise.resolve(answer);
    },
    withProgress: (_: unknown, work: () => unknown) => work(),
  },
  ProgressLocation: { Window: 10 },
  workspace: { isTrusted: true },
}));

const { runActions } = await import('../../../src/editor/actions.ts');

const lost = '20261121-050000000-abc123';
const own = '20261121-050000001-abc124';
const ref = (id: string): RunRef => ({ folder: 'file:///a', id });

function bench() {
  const done: { operation: string; input: unknown }[] = [];
  const reported: unknown[] = [];
  const folder = {
    key: 'file:///a',
    path: '/a',
    startQueue: () => done.push({ operation: 'startQueue', input: undefined }),
    refresh: () => Promise.resolve(),
  };
  const app = {
    folder: (key: string) => (key === folder.key ? folder : undefined),
    run: ({ id }: RunRef) => aRun(id, { name: 'mine', state: 'running' }),
    report: (problem: unknown) => Promise.resolve(reported.push(problem)),
    worker: {
      ask: (operation: string, input: { readonly ids: readonly string[] }) => {
        if (operation === 'resumeBreaches') return Promise.resolve([]);
        if (operation !== 'unseen') done.push({ operation, input });
        return Promise.resolve(
          operation === 'unseen' && input.ids.includes(lost)
            ? [{ id: lost, state: 'running', host: 'node17', claimed: 1, heartbeat: 2 }]
            : [],
        );
      },
    },
  };
  return { actions: runActions(app as unknown as ExtensionApp), done, reported };
}

beforeEach(() => {
  asked.length = 0;
  answer = undefined;
});

it('asks before a run is taken from a machine that cannot be seen, and does nothing where the user would rather not', async () => {
  const { actions, done } = bench();
  expect(await actions.resume([ref(lost)])).toBe(false);
  expect(await actions.remove([ref(lost)])).toBe(false);
  expect(asked.map(({ buttons }) => buttons)).toEqual([['Resume Anyway'], ['Delete Anyway']]);
  expect(asked[0]?.message).toContain('“mine” is held by node17');
  expect(done).toEqual([]);
});

it('gives up what the user gave up, and nothing else', async () => {
  const { actions, done } = bench();
  answer = 'Resume Anyway';
  expect(await actions.resume([ref(lost), ref(own)])).toBe(true);
  answer = 'Delete Anyway';
  expect(await actions.remove([ref(lost), ref(own)])).toBe(true);
  expect(done).toMatchObject([
    { operation: 'resume', input: { folder: '/a', ids: [lost, own], givenUp: [lost] } },
    { operation: 'startQueue' },
    { operation: 'remove', input: { folder: '/a', ids: [lost, own], givenUp: [lost] } },
  ]);
});

it('resumes and deletes as before where nobody else holds a run', async () => {
  const { actions, done } = bench();
  expect(await actions.resume([ref(own)])).toBe(true);
  expect(asked).toEqual([]);
  answer = 'Delete';
  expect(await actions.remove([ref(own)])).toBe(true);
  expect(asked[0]).toMatchObject({ message: 'Delete the run “mine” with all its files?', buttons: ['Delete'] });
  expect(done.filter(({ operation }) => operation === 'remove')).toMatchObject([{ input: { givenUp: [] } }]);
});

it('says that a folder is not open, in place of doing nothing', async () => {
  const { actions, reported } = bench();
  answer = 'Delete';
  expect(await actions.remove([{ folder: 'file:///elsewhere', id: own }])).toBe(false);
  expect(String(reported[0])).toContain('not open in this window');
});

import { beforeEach, expect, it, vi } from 'vitest';
import type { RunRef } from '../../../src/editor/app.ts';
import type { ExtensionApp } from '../../../src/editor/extension-app.ts';
import { aRun } from './runs.ts';

/** The actions with an editor that answers as told: what it is asked, and what the worker is then asked to do. */

const asked: { message: string; detail: string | undefined; buttons: readonly string[] }[] = [];
let answer: string | undefined;

const documents: { uri: FakeUri }[] = [];
const opened: string[] = [];
let typed: ((shown: string) => string | undefined) | undefined;

interface FakeUri {
  readonly scheme: string;
  readonly path: string;
  readonly with: (change: { readonly scheme: string }) => FakeUri;
  readonly toString: () => string;
}

function uriOf(scheme: string, path: string): FakeUri {
  return { scheme, path, with: (change) => uriOf(change.scheme, path), toString: () => `${scheme}://${path}` };
}

vi.mock('vscode', () => ({
  Uri: { file: (path: string) => uriOf('file', path) },
  Position: Object,
  Range: Object,
  Selection: Object,
  languages: { setTextDocumentLanguage: () => Promise.resolve() },
  window: {
    showInputBox: ({ value }: { value: string }) => Promise.resolve(typed?.(value)),
    showTextDocument: () => Promise.resolve({ edit: () => Promise.resolve(), revealRange: () => undefined }),
    showWarningMessage: (message: string, { detail }: { detail?: string }, ...buttons: string[]) => {
      asked.push({ message, detail, buttons });
      return Promise.resolve(answer);
    },
    withProgress: (_: unknown, work: () => unknown) => work(),
  },
  ProgressLocation: { Window: 10 },
  workspace: {
    isTrusted: true,
    textDocuments: documents,
    getWorkspaceFolder: () => undefined,
    fs: { stat: () => Promise.reject(new Error('not there')) },
    openTextDocument: (uri: FakeUri) => {
      opened.push(uri.toString());
      return Promise.resolve({ uri, lineCount: 1, lineAt: () => ({ range: {} }) });
    },
  },
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
    folders: [folder],
    run: ({ id }: RunRef) => aRun(id, { name: 'mine', state: 'running', note: 'first\nsecond' }),
    report: (problem: unknown) => Promise.resolve(reported.push(problem)),
    worker: {
      ask: (operation: string, input: { readonly ids: readonly string[] }) => {
        if (operation === 'resumeBreaches') return Promise.resolve([]);
        if (operation === 'clone') return Promise.resolve({ folder: '/a', name: 'first', text: '{}' });
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
  for (const list of [asked, documents, opened]) list.length = 0;
  answer = undefined;
  typed = undefined;
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

it('clones beside what is there, and beside a clone that is not saved yet', async () => {
  const { actions } = bench();
  await actions.clone(ref(own));
  documents.push({ uri: uriOf('untitled', '/a/first-copy.peft.json') });
  await actions.clone(ref(own));
  expect(opened).toEqual(['untitled:///a/first-copy.peft.json', 'untitled:///a/first-copy-2.peft.json']);
});

it('keeps the lines of a note that is looked at and left as it is', async () => {
  const { actions, done } = bench();
  typed = (shown) => shown;
  expect(await actions.note(ref(own))).toBe(true);
  expect(done).toEqual([]);
  typed = (shown) => `${shown}!`;
  await actions.note(ref(own));
  expect(done).toMatchObject([{ operation: 'mark', input: { marks: [{ type: 'note', text: 'first second!' }] } }]);
});

it('starts nothing from a file that is not of this machine, and says why', async () => {
  const { actions, done, reported } = bench();
  for (const scheme of ['git', 'vscode-vfs'])
    expect(
      await actions.start(uriOf(scheme, '/a/x.peft.json') as unknown as Parameters<typeof actions.start>[0]),
    ).toEqual([]);
  expect(done).toEqual([]);
  expect(reported.map(String).every((text) => text.includes('nothing was started'))).toBe(true);
  expect(reported).toHaveLength(2);
});

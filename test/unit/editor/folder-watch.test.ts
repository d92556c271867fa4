import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  watchFolder,
  type FolderWatch,
  type Transition,
  type WatchChange,
} from '../../../src/editor/core/folder-watch.ts';
import type { ClaimedLook } from '../../../src/editor/worker/operations.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { configuration, line, makeWorkspace, segmentOf, started, step, type Workspace } from '../store/workspace.ts';
import { until } from '../../support/until.ts';

let workspace: Workspace;

beforeEach(() => {
  workspace = makeWorkspace();
});
afterEach(() => workspace.remove());

const open = (): Promise<Store> =>
  openStore({ path: workspace.databasePath, journalMode: 'wal', runsFolder: workspace.runsFolder });

const idOf = (index: number): string => `20261121-${String(index).padStart(9, '0')}-abcdef`;

function makeRun(id: string, ...more: Parameters<typeof segmentOf>[1]): void {
  workspace.write(id, 'config.json', configuration());
  workspace.write(
    id,
    'marks.jsonl',
    line({ type: 'queued', time: 1 }) + line({ type: 'claimed', time: 2, segment: 0, host: 'here', launcher: 'local' }),
  );
  workspace.write(
    id,
    'journal.jsonl',
    segmentOf(0, [started(1), step(1), ...more])
      .map(line)
      .join(''),
  );
}

test('a window shows at once what the database has, then what the files have, and calls none of it news', async () => {
  const count = 1203;
  for (let index = 0; index < count; index++) makeRun(idOf(index));
  const before = await open();
  await before.ingest();
  await before.close();
  // While no window was open one run ended, one came and one went.
  const newest = idOf(count - 1);
  const end = { type: 'stopped', step: 1, trainSeconds: 1, peakResidentBytes: 1 } as const;
  makeRun(newest, end);
  makeRun(idOf(count));

  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const changes: WatchChange[] = [];
  const transitions: Transition[] = [];
  const sizes: number[] = [];
  const opened = await open();
  const watch: FolderWatch = watchFolder({
    look: () => Promise.resolve({ exists: true, claimed: [], waiting: [], appeared: [], gone: [], supervised: false }),
    openStore: () =>
      Promise.resolve({
        ...opened,
        ingest: async (...given) => {
          await held;
          return opened.ingest(...given);
        },
      }),
    onChange: (change) => {
      changes.push(change);
      sizes.push(watch.runs.size);
    },
    onTransitions: (seen) => transitions.push(...seen),
    onLook: () => undefined,
    onProblem: (problem) => {
      throw problem;
    },
    timing: { idleMs: 1e9 },
  });
  try {
    await until('the first runs', () => changes.length > 0);
    expect(sizes).toEqual([500]);
    expect(watch.runs.has(newest)).toBe(true);
    expect(watch.runs.get(newest)?.state).not.toBe('stopped');
    expect(watch.runs.has(idOf(0))).toBe(false);
    release();
    await watch.ready;
    expect(watch.runs.size).toBe(count + 1);
    expect(watch.runs.get(newest)?.state).toBe('stopped');
    expect(changes).toHaveLength(2);
    expect(transitions).toEqual([]);
  } finally {
    await watch.dispose();
  }
});

test('a run that ends between the first look and the second is read to its end', async () => {
  const id = idOf(1);
  makeRun(id);
  const claimed: ClaimedLook = {
    id,
    device: 'cpu',
    state: 'running',
    reason: undefined,
    stopAsked: false,
    alive: true,
    unseen: false,
  };
  let isFirst = true;
  const watch = watchFolder({
    look: () => {
      const own = isFirst ? [claimed] : [];
      isFirst = false;
      return Promise.resolve({
        exists: true,
        claimed: own,
        waiting: undefined,
        appeared: [],
        gone: [],
        supervised: true,
      });
    },
    openStore: open,
    onChange: () => undefined,
    onTransitions: () => undefined,
    onLook: () => undefined,
    onProblem: (problem) => {
      throw problem;
    },
    timing: { busyMs: 1e9, idleMs: 1e9 },
  });
  try {
    await watch.ready;
    expect(watch.runs.get(id)?.state).toBe('running');
    makeRun(id, { type: 'stopped', step: 1 });
    await watch.refresh();
    expect(watch.runs.get(id)?.state).toBe('stopped');
  } finally {
    await watch.dispose();
  }
});

test('after it was disposed of a watch tells nothing, though its look comes back', async () => {
  makeRun(idOf(1));
  let answer: () => void = () => undefined;
  const told: string[] = [];
  const watch = watchFolder({
    look: async () => {
      await new Promise<void>((resolve) => (answer = resolve));
      return { exists: true, claimed: [], waiting: [], appeared: [], gone: [], supervised: false };
    },
    openStore: open,
    onChange: () => told.push('change'),
    onTransitions: () => told.push('transitions'),
    onLook: () => told.push('look'),
    onProblem: () => told.push('problem'),
  });
  const disposed = watch.dispose();
  answer();
  await disposed;
  expect(told).toEqual([]);
});

test('what another process has read into the database is news as well, also of a run that was in no queue that this one saw', async () => {
  const [ends, stays, goes] = [idOf(1), idOf(2), idOf(3)];
  for (const id of [ends, stays, goes]) makeRun(id);
  const told: WatchChange[] = [];
  const transitions: Transition[] = [];
  const watch = watchFolder({
    look: () => Promise.resolve({ exists: true, claimed: [], waiting: [], appeared: [], gone: [], supervised: false }),
    openStore: open,
    onChange: (change) => told.push(change),
    onTransitions: (seen) => transitions.push(...seen),
    onLook: () => undefined,
    onProblem: (problem) => {
      throw problem;
    },
    timing: { idleMs: 1e9 },
  });
  try {
    await watch.ready;
    told.length = 0;
    makeRun(ends, { type: 'stopped', step: 1 });
    rmSync(join(workspace.runsFolder, goes), { recursive: true });
    const other = await open();
    await other.ingest();
    await other.close();
    await watch.refresh({ everything: true });
    expect(told.map(({ changed, removed }) => [changed.map(({ id }) => id), removed])).toEqual([[[ends], [goes]]]);
    expect(transitions.map(({ run, before }) => [run.id, before, run.state])).toEqual([
      [ends, expect.any(String), 'stopped'],
    ]);
    expect([...watch.runs.keys()].toSorted()).toEqual([ends, stays]);
  } finally {
    await watch.dispose();
  }
});

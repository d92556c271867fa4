import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { batch } from '../../../src/editor/core/batch.ts';
import { idleQueue, type Transition, type WatchChange } from '../../../src/editor/core/folder-watch.ts';
import { noticesOf } from '../../../src/editor/core/notices.ts';
import { queueNodes, shownTree, type QueueFolder, type QueueNode } from '../../../src/editor/core/queue-tree.ts';
import { runChanges, type ChangedRuns } from '../../../src/editor/core/run-changes.ts';
import { supervision } from '../../../src/editor/core/supervision.ts';
import { refsOf, selectionOf } from '../../../src/editor/core/targets.ts';
import type { RunState } from '../../../src/runs/events.ts';
import type { RunSummary } from '../../../src/store/summaries.ts';
import { aRun, hostile } from './runs.ts';

describe('changes that come in quick succession', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are handed on together, at most once in an interval, and none is lost', () => {
    const handed: { readonly at: number; readonly all: readonly number[] }[] = [];
    const begun = Date.now();
    const changes = batch<number, readonly number[]>(
      500,
      (waiting = [], change) => [...waiting, change],
      (all) => handed.push({ at: Date.now() - begun, all }),
    );
    for (let change = 0; change < 30; change++) {
      changes.add(change);
      vi.advanceTimersByTime(70);
    }
    vi.advanceTimersByTime(2000);
    changes.add(99);
    vi.advanceTimersByTime(1);
    expect(handed.flatMap(({ all }) => all)).toEqual([...Array.from({ length: 30 }, (_, each) => each), 99]);
    const gaps = handed.slice(1).map(({ at }, index) => at - (handed[index]?.at ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(500);
    // The first of a quiet time does not wait.
    expect(handed[0]?.all).toEqual([0]);
    expect(handed.at(-1)?.all).toEqual([99]);
    changes.add(100);
    changes.dispose();
    vi.advanceTimersByTime(2000);
    expect(handed.at(-1)?.all).toEqual([99]);
  });

  it('are told of folders that are watched by then, and of no others', () => {
    const change = (changed: readonly string[], removed: readonly string[] = [], everything = false): WatchChange => ({
      changed: changed.map((id) => aRun(id)),
      removed,
      everything,
    });
    const watched = new Set(['a', 'b']);
    const told: (readonly ChangedRuns<string>[])[] = [];
    const changes = runChanges<string>({
      everyMs: 500,
      isWatched: (folder) => watched.has(folder),
      onChanges: (all) => told.push(all),
    });
    changes.add('a', change(['1', '2']));
    changes.add('b', change(['3']));
    changes.add('a', change(['3'], ['2']));
    watched.delete('b');
    vi.advanceTimersByTime(1);
    expect(told).toEqual([[{ folder: 'a', changed: ['1', '3'], removed: ['2'], everything: false }]]);
    changes.add('a', change(['1']));
    changes.add('a', change([], [], true));
    vi.advanceTimersByTime(500);
    expect(told[1]).toEqual([{ folder: 'a', changed: [], removed: [], everything: true }]);
    changes.add('a', change(['1']));
    watched.delete('a');
    vi.advanceTimersByTime(5000);
    expect(told).toHaveLength(2);
    changes.dispose();
  });
});

describe('notices', () => {
  const all = (...runs: readonly RunSummary[]): ReadonlyMap<string, RunSummary> =>
    new Map(runs.map((run) => [run.id, run]));
  const ended = (run: RunSummary, before: RunState = 'running'): Transition => ({ run, before });

  it('tell of a run that ended, failed or broke off, and of nothing else', () => {
    const finished = aRun('a', { name: 'First' });
    expect(noticesOf([ended(finished)], all(finished), 'all')).toMatchObject([
      { level: 'information', message: 'First finished with a score of 0.7500.', offer: 'open' },
    ]);
    const failed = aRun('b', { state: 'failed', failure: { kind: 'user', message: 'no data\n  Set it.' } });
    expect(noticesOf([ended(failed)], all(failed), 'all')).toMatchObject([
      { level: 'error', message: 'lora · sst2 failed: no data', offer: 'logs' },
    ]);
    const cut = aRun('c', { state: 'interrupted', failure: { kind: 'interrupted', message: 'killed' } });
    expect(noticesOf([ended(cut)], all(cut), 'all')).toMatchObject([{ level: 'warning', offer: 'resume' }]);
    const quiet: readonly Transition[] = [
      ended(aRun('d', { state: 'stopped' })),
      { run: aRun('e', { state: 'running' }), before: 'queued' },
      { run: aRun('f'), before: 'finished' },
    ];
    expect(noticesOf(quiet, new Map(), 'all')).toEqual([]);
  });

  it('tell what went wrong, however long the name', () => {
    const run = aRun('a', {
      state: 'failed',
      name: 'LoRA '.repeat(5000),
      failure: { kind: 'error', message: `the disk is full ${'x'.repeat(5000)}` },
    });
    const [notice] = noticesOf([{ run, before: 'running' }], new Map([['a', run]]), 'all');
    expect(notice?.message).toContain('failed: the disk is full');
    expect(notice?.message.length).toBeLessThan(500);
  });

  it('tell of a sweep once, when its last run has ended', () => {
    const members = ['a', 'b', 'c'].map((id, index) =>
      aRun(id, { sweep: '/x/ranks.peft.json 2026', score: index / 10 }),
    );
    const [first, second, third] = members as [RunSummary, RunSummary, RunSummary];
    const running = { ...third, state: 'running' as const };
    expect(noticesOf([ended(first), ended(second)], all(first, second, running), 'all')).toEqual([]);
    expect(noticesOf([ended(third)], all(first, second, third), 'all')).toMatchObject([
      {
        message: 'The sweep ranks ended: 3 runs, the best score is 0.2000.',
        offer: 'compare',
        runs: [{ id: 'a' }, { id: 'b' }, { id: 'c' }],
      },
    ]);
    // The others may have been deleted.
    expect(noticesOf([ended(third)], all(third), 'all')).toMatchObject([
      { message: 'The sweep ranks ended: 1 run, the best score is 0.2000.' },
    ]);
  });

  it('tell of several at once in one', () => {
    const runs = ['a', 'b'].map((id) => aRun(id, { state: 'failed' }));
    expect(
      noticesOf(
        runs.map((run) => ended(run)),
        all(...runs),
        'problems',
      ),
    ).toMatchObject([{ message: '2 runs failed.' }]);
    const done = ['a', 'b'].map((id) => aRun(id));
    expect(
      noticesOf(
        done.map((run) => ended(run)),
        all(...done),
        'all',
      ),
    ).toMatchObject([{ message: '2 runs finished.', offer: 'compare' }]);
    expect(
      noticesOf(
        done.map((run) => ended(run)),
        all(...done),
        'problems',
      ),
    ).toEqual([]);
    expect(
      noticesOf(
        runs.map((run) => ended(run)),
        all(...runs),
        'none',
      ),
    ).toEqual([]);
  });

  it('hold no links, whatever a run is called', () => {
    const run = aRun('a', { name: hostile, state: 'failed', failure: { kind: 'user', message: hostile } });
    for (const { message } of noticesOf([ended(run), ended({ ...run, state: 'finished' })], all(run), 'all'))
      expect(message).not.toContain('](');
  });
});

describe('the queue and the devices', () => {
  const folder = (changes: Partial<QueueFolder> = {}): QueueFolder => ({
    key: 'f',
    name: 'work',
    queue: idleQueue,
    runs: new Map(),
    slots: { cpu: 2 },
    disk: undefined,
    paused: false,
    ...changes,
  });
  const drawn = (nodes: readonly QueueNode[], depth = 0): readonly string[] =>
    nodes.flatMap(({ label, description, children }) => [
      `${' '.repeat(depth)}${label}: ${description}`,
      ...drawn(children, depth + 1),
    ]);

  it('show slots, what runs where, what waits in which place, disk and memory', () => {
    const claimed = (id: string, device: string) => ({
      id,
      device,
      state: 'running' as const,
      reason: undefined,
      stopAsked: false,
      alive: true,
      unseen: false,
    });
    const nodes = queueNodes(
      [
        folder({
          slots: { cpu: 2, cuda: 2 },
          queue: {
            claimed: [claimed('a', 'auto'), claimed('b', 'webgpu'), claimed('d', 'cuda:1')],
            waiting: [
              { id: 'c', device: 'cpu' },
              { id: 'x', device: 'cpu' },
            ],
            supervised: true,
          },
          runs: new Map([
            ['a', aRun('a', { state: 'running', step: 10, remainingMs: 60_000, name: 'A' })],
            ['b', aRun('b', { state: 'starting', name: 'B' })],
            ['c', aRun('c', { state: 'queued', name: 'C' })],
          ]),
          disk: { runs: 3, bytes: 2.5e9, checkpointBytes: 2e9 },
        }),
      ],
      { cpu: 'x', threads: 2, memoryBytes: 16e9, freeBytes: 4e9, auto: 'cpu', gpus: [], hindrances: [], runs: {} },
    );
    expect(drawn(nodes)).toEqual([
      ...[
        'CPU: 1 of 2 slots used',
        ' A: 25 %, 1 min 00 s left',
        'CUDA: 0 of 2 slots used',
        'WEBGPU: busy',
        ' B: prepares',
      ],
      ...['CUDA:1: 1 of 2 slots used', ' Run d: '],
      ...[
        'Queue: 2 waiting',
        ' C: position 1',
        ' Run x: position 2',
        'Disk: 2.5 GB, checkpoints 2.0 GB',
        'Memory: 4.0 GB of 16.0 GB free',
      ],
    ]);
  });

  it('show what auto comes to, what each run holds, and what the GPUs do, as far as anything tells', () => {
    const claimed = (id: string) => {
      return {
        id,
        device: 'auto',
        state: 'running',
        reason: undefined,
        stopAsked: false,
        alive: true,
        unseen: false,
      } as const;
    };
    const nodes = queueNodes(
      [
        folder({
          slots: {},
          queue: { claimed: [claimed('a'), claimed('b')], waiting: [], supervised: true },
          runs: new Map([['a', aRun('a', { state: 'running', step: 10, remainingMs: 60_000, name: 'A' })]]),
        }),
      ],
      {
        ...{ cpu: 'x', threads: 2, memoryBytes: 16e9, freeBytes: 4e9, auto: 'cuda' },
        gpus: [
          { name: 'H200', driverVersion: '570.86.10', memoryBytes: 150e9, usedBytes: 12e9, utilisation: 0.934 },
          { name: 'AMD GPU', driverVersion: undefined, memoryBytes: 8e9, usedBytes: undefined, utilisation: undefined },
          {
            name: hostile,
            driverVersion: undefined,
            memoryBytes: undefined,
            usedBytes: undefined,
            utilisation: undefined,
          },
        ],
        hindrances: [{ provider: 'webgpu', message: 'there is no Vulkan driver for H200', advice: 'Install it.' }],
        runs: { a: { residentBytes: 1.2e9, gpuBytes: 11e9 }, b: { residentBytes: 9e8, gpuBytes: undefined } },
      },
    );
    expect(drawn(nodes)).toEqual([
      'CPU: free',
      'CUDA: 2 of 1 slots used',
      ' A: 25 %, 1 min 00 s left · 1.2 GB, 11.0 GB on the GPU',
      ' Run b: 900.0 MB',
      'Queue: empty',
      'Memory: 4.0 GB of 16.0 GB free',
      'H200: 12.0 GB of 150.0 GB used, 93 % busy, driver 570.86.10',
      'AMD GPU: 8.0 GB',
      `${hostile}: `,
      'No webgpu: there is no Vulkan driver for H200',
    ]);
    expect(nodes.at(-1)?.tooltip).toBe('there is no Vulkan driver for H200\nInstall it.');
  });

  it('say that nobody starts what waits, and never list thousands', () => {
    const waiting = Array.from({ length: 10_000 }, (_, index) => ({ id: `r${index}`, device: 'cpu' }));
    const [, queue] = queueNodes([folder({ paused: true, queue: { ...idleQueue, waiting } })], undefined);
    expect(queue).toMatchObject({
      label: 'Queue (paused)',
      description: '10,000 waiting',
      contextValue: 'queue+paused',
    });
    expect(queue?.children).toHaveLength(101);
    expect(queue?.children.at(-1)?.label).toBe('… and 9,900 more');
  });

  it('draw anew only what changed, and keep the objects of what stays', () => {
    const claimed = {
      id: 'a',
      device: 'cpu',
      state: 'running' as const,
      reason: undefined,
      stopAsked: false,
      alive: true,
      unseen: false,
    };
    const at = (step: number, waiting: readonly string[]) =>
      queueNodes(
        [
          folder({
            queue: { claimed: [claimed], waiting: waiting.map((id) => ({ id, device: 'cpu' })), supervised: true },
            runs: new Map([['a', aRun('a', { state: 'running', step })]]),
          }),
        ],
        undefined,
      );
    const tree = shownTree();
    expect(tree.update(at(1, ['b', 'c']))).toBe('everything');
    const [cpu, queue] = tree.roots;
    expect(tree.update(at(1, ['b', 'c']))).toEqual([]);
    expect(tree.update(at(20, ['b', 'c']))).toEqual([cpu?.children[0]]);
    expect(cpu?.children[0]?.node.description).toContain('50 %');
    // Its count changes with its children: it is drawn with them, once.
    expect(tree.update(at(20, ['c']))).toEqual([queue]);
    expect(tree.roots[1]).toBe(queue);
    expect(queue?.children.map(({ node }) => node.description)).toEqual(['position 1']);
    // With its last child gone it is another node, which is not open.
    expect(tree.update(at(20, []))).toBe('everything');
    expect(tree.roots[0]).toBe(cpu);
  });

  it('stand below their folder where there are several', () => {
    expect(queueNodes([folder(), folder({ key: 'g', name: 'other' })], undefined).map(({ label }) => label)).toEqual([
      'work',
      'other',
    ]);
    expect(
      queueNodes([], {
        ...{ cpu: '', threads: 1, memoryBytes: 1, freeBytes: 1, auto: 'cpu', gpus: [], hindrances: [], runs: {} },
      }),
    ).toEqual([]);
  });
});

describe('a supervisor', () => {
  const claimed = (alive: boolean) => [
    {
      id: 'a',
      device: 'cpu',
      state: alive ? ('running' as const) : ('interrupted' as const),
      reason: undefined,
      stopAsked: false,
      alive,
      unseen: false,
    },
  ];
  const waiting = [{ id: 'b', device: 'cpu' }];

  it('is not started for what waits until the user wants it, and then once', () => {
    const own = supervision();
    const queue = { ...idleQueue, waiting };
    expect(own.next(queue, 0)).toBe('nothing');
    expect(own.isPaused(queue)).toBe(true);
    expect(own.startQueue()).toBe(false);
    expect(own.isPaused(queue)).toBe(false);
    expect(own.next(queue, 1)).toBe('start');
    expect(own.next(queue, 500)).toBe('nothing');
    expect(own.next({ ...queue, supervised: true }, 1000)).toBe('nothing');
    // It ended with something left: another is started at once.
    expect(own.next(queue, 1500)).toBe('start');
    expect(own.next(idleQueue, 60_000)).toBe('nothing');
  });

  it('goes on with the queue of a run that was left running, and only records what died', () => {
    expect(supervision().next({ claimed: claimed(true), waiting, supervised: false }, 0)).toBe('start');
    const own = supervision();
    const queue = { claimed: claimed(false), waiting, supervised: false };
    expect(own.next(queue, 0)).toBe('adopt');
    expect(own.isPaused(queue)).toBe(true);
    // The one that only adopts makes room for one that starts what waits.
    expect(own.startQueue()).toBe(true);
    expect(own.next(queue, 10)).toBe('start');
  });

  it('that never shows itself is given up after a few, and tried again when the user wants it', () => {
    const own = supervision();
    own.startQueue();
    const queue = { ...idleQueue, waiting };
    const steps = Array.from({ length: 40 }, (_, second) => own.next(queue, second * 5000)).filter(
      (step) => step !== 'nothing',
    );
    expect(steps).toEqual(['start', 'start', 'start', 'give-up']);
    expect(own.isPaused(queue)).toBe(true);
    own.startQueue();
    expect(own.next(queue, 300_000)).toBe('start');
    own.failed();
    expect(own.next(queue, 400_000)).toBe('nothing');
  });
});

describe('what a command is called on', () => {
  const ref = { folder: 'f', id: 'a' };
  const other = { folder: 'f', id: 'b' };
  const node = { kind: 'run', id: 'x', ref, inSweep: false } as const;
  const group = { kind: 'group', id: 'g', folder: 'f', by: 'sweep', value: 's' } as const;
  const runsOf = () => [ref, other];

  it('is the run of the node, all selected ones, a reference, several, or nothing', () => {
    expect(refsOf([node], runsOf)).toEqual([ref]);
    expect(refsOf([node, [node, { ...node, ref: other }]], runsOf)).toEqual([ref, other]);
    expect(refsOf([ref], runsOf)).toEqual([ref]);
    expect(refsOf([{ id: 'q', node: { id: 'q', label: '', ref }, children: [] }], runsOf)).toEqual([ref]);
    expect(refsOf([[ref, other, ref]], runsOf)).toEqual([ref, other]);
    expect(refsOf([group], runsOf)).toEqual([ref, other]);
    for (const given of [
      [],
      [undefined],
      ['text'],
      [{ folder: 7, id: 'a' }],
      [null],
      [{ kind: 'more', id: 'm', group }],
    ])
      expect(refsOf(given, runsOf)).toEqual([]);
  });

  it('is a comparison of the sweep, of runs, or of what is said', () => {
    expect(selectionOf([group], runsOf)).toEqual({ kind: 'sweep', folder: 'f', sweep: 's' });
    expect(selectionOf([{ ...group, by: 'task', value: 'sst2' }], runsOf)).toEqual({
      kind: 'runs',
      runs: [ref, other],
    });
    expect(selectionOf([node, [node, group]], runsOf)).toEqual({ kind: 'runs', runs: [ref, other] });
    expect(selectionOf([{ kind: 'everything' }], runsOf)).toEqual({ kind: 'everything' });
    expect(selectionOf([], runsOf)).toBeUndefined();
    // What a key binding or another extension hands over may be anything.
    expect(selectionOf([{ kind: 'runs', runs: [null, 'a', ref, { id: 7 }] }], runsOf)).toEqual({
      kind: 'runs',
      runs: [ref],
    });
    for (const given of [
      { kind: 'runs', runs: [null] },
      { kind: 'runs', runs: 'a' },
      { kind: 'sweep' },
      { kind: 'group' },
    ])
      expect(selectionOf([given], runsOf)).toBeUndefined();
  });
});

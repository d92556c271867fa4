import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ExplorerFilter } from '../../../src/editor/core/filter.ts';
import { runStates } from '../../../src/runs/run-states.ts';
import {
  groupings,
  groupItem,
  pageSize,
  runTree,
  sweepTitle,
  type Grouping,
  type GroupNode,
  type RunTree,
  type TreeChange,
  type TreeNode,
} from '../../../src/editor/core/run-tree.ts';
import type { RunSummary } from '../../../src/store/summaries.ts';
import { aRun, hostile } from './runs.ts';

/** The whole tree as text: what a person sees, page by page. */
function drawing(tree: RunTree): readonly string[] {
  const line = (node: TreeNode, depth: number): readonly string[] => {
    const own =
      node.kind === 'run'
        ? `run ${node.ref.id}${node.inSweep ? ' in its sweep' : ''}`
        : node.kind === 'group'
          ? `group ${node.by} ${node.value ?? '-'} ${tree.runsOf(node).length}`
          : node.kind;
    return [`${' '.repeat(depth)}${own}`, ...tree.children(node).flatMap((child) => line(child, depth + 1))];
  };
  return tree.roots().flatMap((node) => line(node, 0));
}

function groups(tree: RunTree): readonly GroupNode[] {
  return tree.roots().filter((node): node is GroupNode => node.kind === 'group');
}

function idsUnder(tree: RunTree, node: TreeNode): readonly string[] {
  return tree.children(node).flatMap((child) => (child.kind === 'run' ? [child.ref.id] : []));
}

const run = fc.record({
  id: fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8'),
  state: fc.constantFrom(...runStates),
  task: fc.constantFrom('sst2', 'cola', null),
  method: fc.constantFrom('lora', 'slash'),
  sweep: fc.constantFrom('/a.peft.json 2026-01-01', '/b.peft.json 2026-02-01', null),
  starred: fc.boolean(),
  tags: fc.subarray(['x', 'y']),
});

const filter: fc.Arbitrary<ExplorerFilter> = fc.oneof(
  fc.constant({}),
  fc.constant({ starred: true as const }),
  fc.constant({ text: 'LORA' }),
  fc.constant({ tags: ['x'] }),
  fc.constant({ states: ['finished', 'running'] as const }),
);

describe('the tree of runs', () => {
  it('is the same whether runs change one by one or are read at once, and tells of every change', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ changed: fc.array(run, { maxLength: 4 }), removed: fc.subarray(['r1', 'r2', 'r3']) }), {
          maxLength: 12,
        }),
        fc.constantFrom(...groupings),
        filter,
        (steps, grouping, chosen) => {
          const grown = runTree({ grouping, filter: chosen });
          grown.setFolders(['f']);
          const now = new Map<string, RunSummary>();
          for (const { changed, removed } of steps) {
            const rows = changed.map((each) => aRun(each.id, each));
            for (const id of removed) now.delete(id);
            for (const row of rows) now.set(row.id, row);
            const before = drawing(grown);
            const items = new Map(drawnItems(grown));
            const change = grown.update('f', rows, removed);
            const fresh = runTree({ grouping, filter: chosen });
            fresh.setFolders(['f']);
            fresh.load('f', now.values());
            expect(drawing(grown)).toEqual(drawing(fresh));
            // What is drawn anew covers what became another.
            if (change.kind === 'nodes') expect(uncovered(grown, before, items, change)).toEqual([]);
          }
        },
      ),
    );
  });

  function drawnItems(tree: RunTree): readonly (readonly [string, unknown])[] {
    return groups(tree).flatMap((group) =>
      tree.children(group).flatMap((node) => (node.kind === 'run' ? [[node.id, tree.run(node.ref)] as const] : [])),
    );
  }

  /** Groups and runs that look another way than before and that nobody was told of. */
  function uncovered(
    tree: RunTree,
    before: readonly string[],
    items: ReadonlyMap<string, unknown>,
    change: Extract<TreeChange, { kind: 'nodes' }>,
  ): readonly string[] {
    const told = new Set(change.nodes.map(({ id }) => id));
    return groups(tree).flatMap((group) => {
      if (told.has(group.id)) return [];
      const members = idsUnder(tree, group).map((id) => `run ${id}`);
      const isNew = members.filter((member) => !before.some((line) => line.trim().startsWith(member)));
      const stale = tree
        .children(group)
        .filter((node) => node.kind === 'run' && items.get(node.id) !== tree.run(node.ref) && !told.has(node.id));
      return [...isNew, ...stale.map(({ id }) => id)];
    });
  }

  it('puts what runs first, then what waits in the order of the queue, then the rest with the newest first', () => {
    const tree = runTree({ grouping: 'task' });
    tree.setFolders(['f']);
    tree.load('f', [
      aRun('a', { task: 'sst2' }),
      aRun('b', { state: 'queued' }),
      aRun('c', { state: 'running' }),
      aRun('d', { state: 'starting' }),
      aRun('e', { state: 'queued' }),
      aRun('g', { task: 'cola' }),
      aRun('h', { task: 'sst2' }),
      aRun('i', { task: null }),
    ]);
    expect(drawing(tree)).toEqual([
      ...['group running - 2', ' run d', ' run c', 'group queued - 2', ' run b', ' run e'],
      ...['group task cola 1', ' run g', 'group task sst2 2', ' run h', ' run a', 'group task - 1', ' run i'],
    ]);
    tree.setGrouping('state');
    expect(groups(tree).map(({ by, value }) => [by, value])).toEqual([
      ['running', null],
      ['queued', null],
      ['state', 'finished'],
    ]);
  });

  it('shows folders only where there are several', () => {
    const tree = runTree({ grouping: 'sweep' });
    tree.setFolders(['f', 'g']);
    tree.load('f', [aRun('a')]);
    expect(tree.roots().map(({ kind }) => kind)).toEqual(['folder']);
    tree.load('g', [aRun('a'), aRun('b')]);
    expect(drawing(tree).filter((line) => line === 'folder')).toHaveLength(2);
    const [first] = tree.roots();
    const [group] = first === undefined ? [] : tree.children(first);
    expect(group === undefined ? undefined : tree.parent(group)).toBe(first);
    tree.setFolders(['g']);
    expect(groups(tree).map((node) => tree.runsOf(node).length)).toEqual([2]);
  });

  it('of ten thousand runs draws one anew when one changed', () => {
    const tree = runTree({ grouping: 'method' });
    tree.setFolders(['f']);
    const rows = Array.from({ length: 10_000 }, (_, index) =>
      aRun(`20260101-${String(index).padStart(9, '0')}-aaaaaa`, {
        state: index === 9_999 ? 'running' : 'finished',
        method: `m${index % 3}`,
      }),
    );
    tree.load('f', rows);
    const running = rows.at(-1) ?? aRun('');
    expect(tree.update('f', [{ ...running, step: 7 }], [])).toMatchObject({
      kind: 'nodes',
      nodes: [{ kind: 'run', ref: { id: running.id } }],
    });
    // One that is not on any page needs no drawing.
    expect(tree.update('f', [{ ...(rows[0] ?? running), note: 'seen' }], [])).toEqual({ kind: 'nodes', nodes: [] });
    const group = groups(tree).find(({ value }) => value === 'm0') as GroupNode;
    expect(tree.children(group)).toHaveLength(pageSize + 1);
    expect(tree.children(group).at(-1)?.kind).toBe('more');
    tree.showMore(group);
    expect(tree.children(group)).toHaveLength(2 * pageSize + 1);
    const oldest = { folder: 'f', id: rows[0]?.id ?? '' };
    const found = tree.reveal(oldest);
    expect(idsUnder(tree, group)).toContain(oldest.id);
    expect(found === undefined ? undefined : tree.parent(found)).toBe(group);
    expect(tree.counts()).toEqual({ all: 10_000, shown: 10_000 });
  });

  it('draws a group anew when a run of it has another score, which it tells the best of', () => {
    const tree = runTree({ grouping: 'task' });
    tree.setFolders(['f']);
    tree.load('f', [aRun('a', { state: 'running', score: null }), aRun('b')]);
    const change = tree.update('f', [aRun('a', { state: 'running', score: 0.9 })], []);
    expect(change).toMatchObject({ kind: 'nodes', nodes: [{ kind: 'group', by: 'running' }] });
    const [running] = groups(tree);
    expect(running === undefined ? '' : groupItem(running, tree.runsOf(running)).description).toContain('best 0.9');
  });

  it('counts its roots as it lists them', () => {
    const tree = runTree({ grouping: 'method' });
    for (const folders of [[], ['f'], ['f', 'g'], ['f', 'g', 'h']]) {
      tree.setFolders(folders);
      for (const [index, folder] of folders.entries())
        tree.load(folder, index === 2 ? [] : [aRun('a'), aRun('b', { method: 'slash' })]);
      expect(tree.rootCount()).toBe(tree.roots().length);
    }
  });

  it('keeps the nodes that stay, because the editor knows them by identity', () => {
    const tree = runTree({ grouping: 'task' });
    tree.setFolders(['f']);
    tree.load('f', [aRun('a'), aRun('b')]);
    const [group] = groups(tree);
    const before = group === undefined ? [] : tree.children(group);
    tree.update('f', [aRun('a', { note: 'new' })], []);
    expect(groups(tree)[0]).toBe(group);
    expect(group === undefined ? [] : tree.children(group)).toEqual(before);
    expect((group === undefined ? [] : tree.children(group))[0]).toBe(before[0]);
  });
});

describe('groups', () => {
  const node = (by: GroupNode['by'], value: string | null): GroupNode => ({
    kind: 'group',
    id: 'g',
    folder: 'f',
    by,
    value,
  });

  it.each<[Grouping | 'running' | 'queued', string | null, string]>([
    ['running', null, 'Running'],
    ['queued', null, 'Queued'],
    ['sweep', null, 'Single runs'],
    ['sweep', '/project/ranks.peft.json 2026-11-21T05:10:14.123Z', 'ranks'],
    ['sweep', 'C:\\work\\ranks.peft.json 2026-11-21T05:10:14.123Z', 'ranks'],
    ['task', 'sst2', 'sst2'],
    ['model', null, 'Unknown'],
    ['state', 'failed', 'Failed'],
  ])('by %s %s are called %s', (by, value, label) => {
    expect(groupItem(node(by, value), [aRun('a')]).label).toBe(label);
  });

  it('are spoken of by what they show, not by the path in their tooltip', () => {
    const sweep = node('sweep', '/project/ranks.peft.json 2026-11-21T05:10:14.123Z');
    expect(groupItem(sweep, [aRun('a', { score: 0.5 }), aRun('b')]).spoken).toBe('ranks, 2 runs, best 0.7500');
  });

  it('say how many runs they hold and the best score', () => {
    const runs = [aRun('a', { score: null }), aRun('b', { score: -0.25 }), aRun('c', { score: 0.5 })];
    expect(groupItem(node('task', 'sst2'), runs).description).toBe('3 runs · best 0.5000');
    expect(groupItem(node('task', 'sst2'), runs.slice(0, 1)).description).toBe('1 run');
  });

  it('take a sweep apart that nobody of ours named', () => {
    expect(sweepTitle('nonsense')).toMatchObject({ name: 'nonsense', made: '' });
    expect(sweepTitle(`${hostile}\n x`).name).not.toMatch(/[\n\u202e]/u);
  });
});

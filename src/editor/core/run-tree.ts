import { basename } from 'node:path';
import { capitalised, grouped, moment, score } from '../../base/format.ts';
import type { RunSummary } from '../../store/summaries.ts';
import type { RunRef } from '../app.ts';
import { noFilter, type ExplorerFilter, matcher } from './filter.ts';
import { t } from './l10n.ts';
import { stateText } from './run-item.ts';
import { methodTitle, taskTitle } from './titles.ts';
import { oneLine } from './text.ts';

/**
 * The explorer's tree as a model: which run stands where, and what of the tree must be drawn anew after a change. It touches only the
 * runs that changed, so that ten thousand others cost nothing.
 */

export const groupings = ['sweep', 'task', 'method', 'model', 'state'] as const;

export type Grouping = (typeof groupings)[number];

/** Whether a value from outside names a way to group runs. */
export function isGrouping(value: unknown): value is Grouping {
  return (groupings as readonly unknown[]).includes(value);
}

export interface FolderNode {
  readonly kind: 'folder';
  readonly id: string;
  readonly folder: string;
}

export interface GroupNode {
  readonly kind: 'group';
  readonly id: string;
  readonly folder: string;
  /** What its runs have in common: that they are running or queued, or a value of the chosen grouping. */
  readonly by: 'running' | 'queued' | Grouping;
  /** The value; null for runs that have none. */
  readonly value: string | null;
}

export interface RunNode {
  readonly kind: 'run';
  readonly id: string;
  readonly ref: RunRef;
  /** Whether it stands under its sweep. */
  readonly inSweep: boolean;
}

/** Stands for the runs of a group that are not shown yet. */
export interface MoreNode {
  readonly kind: 'more';
  readonly id: string;
  readonly group: GroupNode;
}

export type TreeNode = FolderNode | GroupNode | RunNode | MoreNode;

/** What to draw anew: all of the tree, or these nodes with what is below them. */
export type TreeChange =
  { readonly kind: 'everything' } | { readonly kind: 'nodes'; readonly nodes: readonly TreeNode[] };

/** So many runs of a group are shown at first, and with each "Show more". */
export const pageSize = 200;

interface Group {
  readonly node: GroupNode;
  readonly more: MoreNode;
  /** Ids, in the group's order. */
  readonly members: string[];
  shown: number;
}

interface Folder {
  readonly node: FolderNode;
  readonly groups: Map<string, Group>;
  readonly runs: Map<string, { run: RunSummary; group: string | undefined; node: RunNode }>;
}

export interface RunTree {
  /** Replaces a folder's runs, all of them. */
  load(folder: string, runs: Iterable<RunSummary>): TreeChange;
  /** Takes changed and removed runs in. Nothing in the answer where nothing that is shown changed. */
  update(folder: string, changed: readonly RunSummary[], removed: readonly string[]): TreeChange;
  /** Keeps these folders, in this order. */
  setFolders(folders: readonly string[]): TreeChange;
  setGrouping(grouping: Grouping): TreeChange;
  setFilter(filter: ExplorerFilter): TreeChange;
  showMore(group: GroupNode): TreeChange;
  /** Shows so much of its group that the run is among it. @returns its node, if the filter lets it through */
  reveal(ref: RunRef): RunNode | undefined;
  roots(): readonly TreeNode[];
  /** How many those are; costs nothing, however many. */
  rootCount(): number;
  children(node: TreeNode): readonly TreeNode[];
  parent(node: TreeNode): TreeNode | undefined;
  run(ref: RunRef): RunSummary | undefined;
  /** The runs of a group, in its order. */
  runsOf(node: FolderNode | GroupNode): readonly RunSummary[];
  /** How many runs there are, and how many of them the filter lets through. */
  counts(): { readonly all: number; readonly shown: number };
}

const nothing: TreeChange = { kind: 'nodes', nodes: [] };
const everything: TreeChange = { kind: 'everything' };

function groupOf(run: RunSummary, grouping: Grouping): Pick<GroupNode, 'by' | 'value'> {
  if (run.state === 'running' || run.state === 'starting') return { by: 'running', value: null };
  if (run.state === 'queued') return { by: 'queued', value: null };
  return { by: grouping, value: run[grouping] };
}

/** Newer first; ids begin with the time. */
function newerFirst(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}

/** What waits stands in the order of the queue, everything else with the newest first. */
function orderOf({ node }: Pick<Group, 'node'>): (a: string, b: string) => number {
  return node.by === 'queued' ? (a, b) => newerFirst(b, a) : newerFirst;
}

/** Where an id is, or would be, among the members of a group. */
function place(group: Group, id: string): number {
  const order = orderOf(group);
  let [low, high] = [0, group.members.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order(group.members[middle] ?? '', id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A tree without runs. */
export function runTree(initial: { readonly grouping: Grouping; readonly filter?: ExplorerFilter }): RunTree {
  let { grouping } = initial;
  let filter = initial.filter ?? noFilter;
  let matches = matcher(filter);
  let folders = new Map<string, Folder>();

  function makeFolder(folder: string): Folder {
    return {
      node: { kind: 'folder', id: folder, folder },
      groups: new Map<string, Group>(),
      runs: new Map<string, { run: RunSummary; group: string | undefined; node: RunNode }>(),
    };
  }

  function folderOf(key: string): Folder {
    let folder = folders.get(key);
    if (folder === undefined) folders.set(key, (folder = makeFolder(key)));
    return folder;
  }

  function groupFor(folder: Folder, { by, value }: Pick<GroupNode, 'by' | 'value'>): { group: Group; isNew: boolean } {
    const id = JSON.stringify([folder.node.folder, by, value]);
    const known = folder.groups.get(id);
    if (known !== undefined) return { group: known, isNew: false };
    const node: GroupNode = { kind: 'group', id, folder: folder.node.folder, by, value };
    const group: Group = {
      node,
      more: { kind: 'more', id: `${id} more`, group: node },
      members: [],
      shown: pageSize,
    };
    folder.groups.set(id, group);
    return { group, isNew: true };
  }

  /** Puts a run where it belongs now. Tells of the groups whose members or whose description this changes. */
  function settle(folder: Folder, id: string, touched: Set<Group>): { restructured: boolean; moved: boolean } {
    const entry = folder.runs.get(id);
    if (entry === undefined) return { restructured: false, moved: false };
    const target = matches(entry.run) ? groupFor(folder, groupOf(entry.run, grouping)) : undefined;
    const before = entry.group === undefined ? undefined : folder.groups.get(entry.group);
    if (before === target?.group) return { restructured: false, moved: false };
    let restructured = target?.isNew === true;
    if (before !== undefined) {
      restructured = leave(folder, before, id) || restructured;
      touched.add(before);
    }
    if (target !== undefined) {
      target.group.members.splice(place(target.group, id), 0, id);
      touched.add(target.group);
    }
    entry.group = target?.group.node.id;
    const inSweep = target?.group.node.by === 'sweep' && target.group.node.value !== null;
    if (entry.node.inSweep !== inSweep) entry.node = { ...entry.node, inSweep };
    return { restructured, moved: true };
  }

  /** @returns whether the group is gone with its last member */
  function leave(folder: Folder, group: Group, id: string): boolean {
    const at = place(group, id);
    if (group.members[at] === id) group.members.splice(at, 1);
    if (group.members.length > 0) return false;
    folder.groups.delete(group.node.id);
    return true;
  }

  function regroup(): TreeChange {
    for (const folder of folders.values()) {
      folder.groups.clear();
      for (const entry of folder.runs.values()) entry.group = undefined;
      for (const id of [...folder.runs.keys()].sort(newerFirst)) {
        const entry = folder.runs.get(id);
        if (entry === undefined || !matches(entry.run)) continue;
        const { group } = groupFor(folder, groupOf(entry.run, grouping));
        // In order already: no place has to be looked for.
        group.members.push(id);
        entry.group = group.node.id;
        const inSweep = group.node.by === 'sweep' && group.node.value !== null;
        if (entry.node.inSweep !== inSweep) entry.node = { ...entry.node, inSweep };
      }
      for (const { node, members } of folder.groups.values()) if (node.by === 'queued') members.reverse();
    }
    return everything;
  }

  function add(folder: Folder, run: RunSummary): void {
    const entry = folder.runs.get(run.id);
    if (entry !== undefined) entry.run = run;
    else {
      const ref: RunRef = { folder: folder.node.folder, id: run.id };
      const node: RunNode = { kind: 'run', id: `${folder.node.folder} ${run.id}`, ref, inSweep: false };
      folder.runs.set(run.id, { run, group: undefined, node });
    }
  }

  function isShown(group: Group, id: string): boolean {
    return place(group, id) < group.shown;
  }

  function sortedGroups(folder: Folder): readonly Group[] {
    const rank = ({ node }: Group): number => (node.by === 'running' ? 0 : node.by === 'queued' ? 1 : 2);
    const newest = ({ members }: Group): string => members[0] ?? '';
    return [...folder.groups.values()].sort((a, b) => {
      if (rank(a) !== rank(b)) return rank(a) - rank(b);
      // Sweeps by age, runs by themselves last; everything else by name.
      if (a.node.value === null || b.node.value === null) return a.node.value === null ? 1 : -1;
      return grouping === 'sweep'
        ? newerFirst(newest(a), newest(b))
        : groupName(grouping, a.node.value).localeCompare(groupName(grouping, b.node.value));
    });
  }

  function groupOfNode(node: GroupNode): Group | undefined {
    return folders.get(node.folder)?.groups.get(node.id);
  }

  function groupNodes(folder: Folder): readonly GroupNode[] {
    return sortedGroups(folder).map(({ node }) => node);
  }

  function update(key: string, changed: readonly RunSummary[], removed: readonly string[]): TreeChange {
    const folder = folderOf(key);
    const touched = new Set<Group>();
    const redrawn: TreeNode[] = [];
    let restructured = false;
    for (const id of removed) {
      const entry = folder.runs.get(id);
      folder.runs.delete(id);
      const group = entry?.group === undefined ? undefined : folder.groups.get(entry.group);
      if (group === undefined) continue;
      restructured = leave(folder, group, id) || restructured;
      touched.add(group);
    }
    for (const run of changed) {
      const scoreBefore = folder.runs.get(run.id)?.run.score ?? null;
      add(folder, run);
      const settled = settle(folder, run.id, touched);
      restructured = settled.restructured || restructured;
      const entry = folder.runs.get(run.id);
      const group = entry?.group === undefined ? undefined : folder.groups.get(entry.group);
      if (settled.moved || entry === undefined || group === undefined) continue;
      // The group tells the best score of its runs, those included that are not shown.
      if (run.score !== scoreBefore) touched.add(group);
      else if (isShown(group, run.id)) redrawn.push(entry.node);
    }
    if (restructured) return everything;
    if (touched.size === 0 && redrawn.length === 0) return nothing;
    const groups = new Set([...touched].map(({ node }) => node));
    const below = (node: TreeNode): boolean => {
      const above = parent(node);
      return above?.kind === 'group' && groups.has(above);
    };
    return { kind: 'nodes', nodes: [...groups, ...redrawn.filter((node) => !below(node))] };
  }

  function parent(node: TreeNode): TreeNode | undefined {
    const folder = folders.get(
      node.kind === 'run' ? node.ref.folder : node.kind === 'more' ? node.group.folder : node.folder,
    );
    if (folder === undefined || node.kind === 'folder') return undefined;
    if (node.kind === 'group') return folders.size > 1 ? folder.node : undefined;
    if (node.kind === 'more') return node.group;
    const group = folder.runs.get(node.ref.id)?.group;
    return group === undefined ? undefined : folder.groups.get(group)?.node;
  }

  return {
    load(key, runs) {
      const folder = folderOf(key);
      const present = new Set<string>();
      for (const run of runs) {
        present.add(run.id);
        add(folder, run);
      }
      for (const id of [...folder.runs.keys()]) if (!present.has(id)) folder.runs.delete(id);
      return regroup();
    },
    update,
    setFolders(keys) {
      folders = new Map(keys.map((key) => [key, folderOf(key)]));
      return everything;
    },
    setGrouping(chosen) {
      grouping = chosen;
      return regroup();
    },
    setFilter(chosen) {
      filter = chosen;
      matches = matcher(filter);
      return regroup();
    },
    showMore(node) {
      const group = groupOfNode(node);
      if (group === undefined) return nothing;
      group.shown += pageSize;
      return { kind: 'nodes', nodes: [node] };
    },
    reveal(ref) {
      const folder = folders.get(ref.folder);
      const entry = folder?.runs.get(ref.id);
      const group = entry?.group === undefined ? undefined : folder?.groups.get(entry.group);
      if (entry === undefined || group === undefined) return undefined;
      group.shown = Math.max(group.shown, place(group, ref.id) + 1);
      return entry.node;
    },
    roots() {
      const all = [...folders.values()].filter(({ groups }) => groups.size > 0);
      if (folders.size > 1) return all.map(({ node }) => node);
      return all.flatMap(groupNodes);
    },
    rootCount() {
      let [own, groups] = [0, 0];
      for (const folder of folders.values()) {
        own += Math.min(1, folder.groups.size);
        groups += folder.groups.size;
      }
      return folders.size > 1 ? own : groups;
    },
    children(node) {
      if (node.kind === 'folder') {
        const folder = folders.get(node.folder);
        return folder === undefined ? [] : groupNodes(folder);
      }
      if (node.kind !== 'group') return [];
      const folder = folders.get(node.folder);
      const group = groupOfNode(node);
      if (folder === undefined || group === undefined) return [];
      const runs = group.members.slice(0, group.shown).flatMap((id) => folder.runs.get(id)?.node ?? []);
      return group.members.length > group.shown ? [...runs, group.more] : runs;
    },
    parent,
    run: ({ folder, id }) => folders.get(folder)?.runs.get(id)?.run,
    runsOf(node) {
      const folder = folders.get(node.folder);
      if (folder === undefined) return [];
      const ids = node.kind === 'group' ? (groupOfNode(node)?.members ?? []) : [...folder.runs.keys()].sort(newerFirst);
      return ids.flatMap((id) => folder.runs.get(id)?.run ?? []);
    },
    counts() {
      let [all, shown] = [0, 0];
      for (const folder of folders.values()) {
        all += folder.runs.size;
        for (const { members } of folder.groups.values()) shown += members.length;
      }
      return { all, shown };
    },
  };
}

export interface GroupItem {
  readonly label: string;
  readonly description: string;
  readonly icon: string;
  readonly contextValue: string;
  readonly tooltip: string;
  /** What screen readers say of it: without, the tooltip, which for a sweep is a path. */
  readonly spoken: string;
}

/** `/project/a.peft.json 2026-11-21T05:10:14.123Z`, which a sweep goes by, as its file's name and the moment. */
export function sweepTitle(sweep: string): { readonly name: string; readonly file: string; readonly made: string } {
  const space = sweep.lastIndexOf(' ');
  const [file, made] = space < 0 ? [sweep, ''] : [sweep.slice(0, space), sweep.slice(space + 1)];
  const time = Date.parse(made);
  return {
    name: oneLine(basename(file.replaceAll('\\', '/')).replace(/\.peft\.json$/, '')),
    file: oneLine(file),
    made: Number.isNaN(time) ? oneLine(made) : moment(time),
  };
}

const groupIcons: Readonly<Record<GroupNode['by'], string>> = {
  running: 'play-circle',
  queued: 'list-ordered',
  sweep: 'beaker',
  task: 'tasklist',
  method: 'symbol-method',
  model: 'package',
  state: 'circle-outline',
};

function groupName(by: GroupNode['by'], value: string | null): string {
  if (by === 'running') return t('Running');
  if (by === 'queued') return t('Queued');
  if (by === 'sweep' && value === null) return t('Single runs');
  if (value === null) return t('Unknown');
  switch (by) {
    case 'state':
      return capitalised(stateText(value));
    case 'method':
      return oneLine(methodTitle(value));
    case 'task':
      return oneLine(taskTitle(value));
    default:
      return oneLine(value);
  }
}

/** How a group is shown. */
export function groupItem({ by, value }: GroupNode, runs: readonly RunSummary[]): GroupItem {
  const best = runs.reduce<number | null>(
    (most, run) => (run.score !== null && (most === null || run.score > most) ? run.score : most),
    null,
  );
  const count = runs.length === 1 ? t('1 run') : t('{0} runs', grouped(runs.length));
  const facts = [count, best === null ? '' : t('best {0}', score(best))].filter((part) => part !== '');
  const sweep = by === 'sweep' && value !== null ? sweepTitle(value) : undefined;
  const label = sweep?.name ?? groupName(by, value);
  return {
    label,
    description: facts.join(' · '),
    icon: by === 'sweep' && value === null ? 'list-unordered' : groupIcons[by],
    contextValue: by === 'sweep' && value !== null ? 'group+sweep' : `group+${by}`,
    tooltip: sweep === undefined ? label : `${sweep.file}\n${sweep.made}`,
    spoken: [label, ...facts].join(', '),
  };
}

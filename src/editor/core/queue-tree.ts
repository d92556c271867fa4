import { bytes, grouped } from '../../base/format.ts';
import type { GpuUse } from '../../engine/graphics/gpu-use.ts';
import type { Hindrance } from '../../engine/graphics/outlook.ts';
import type { DiskUse } from '../../runs/checkpoints.ts';
import type { RunSummary } from '../../store/summaries.ts';
import type { RunRef } from '../app.ts';
import type { Machine, RunUse } from '../worker/operations.ts';
import type { QueueState } from './folder-watch.ts';
import { t } from './l10n.ts';
import { progressText, runName, stateIcon, type ItemIcon } from './run-item.ts';

/** The queue-and-devices view as plain data: what computes what, what waits, and what the machine has left. */

export interface QueueFolder {
  readonly key: string;
  readonly name: string;
  readonly queue: QueueState;
  readonly runs: ReadonlyMap<string, RunSummary>;
  /** Runs that a device takes at once, by device. */
  readonly slots: Readonly<Record<string, number>>;
  readonly disk: DiskUse | undefined;
  /** Runs wait and nobody starts them. */
  readonly paused: boolean;
}

export interface QueueNode {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** What more there is to say of it. */
  readonly tooltip?: string;
  readonly icon: ItemIcon;
  readonly contextValue: string;
  readonly ref?: RunRef;
  readonly folder?: string;
  readonly expanded?: boolean;
  readonly children: readonly QueueNode[];
}

const mostWaiting = 100;

/** `1.2 GB`, with `3.4 GB on the GPU` where something is. */
function useText({ residentBytes, gpuBytes = 0 }: RunUse): string {
  return gpuBytes > 0 ? t('{0}, {1} on the GPU', bytes(residentBytes), bytes(gpuBytes)) : bytes(residentBytes);
}

function runNode(
  folder: QueueFolder,
  id: string,
  state: 'running' | 'waiting',
  position: number,
  use?: RunUse,
): QueueNode {
  const run = folder.runs.get(id);
  const progress = run === undefined ? '' : progressText(run);
  const where = [progress, ...(use === undefined ? [] : [useText(use)])].filter((text) => text !== '').join(' · ');
  return {
    id: `${folder.key} ${state} ${id}`,
    label: run === undefined ? t('Run {0}', id.slice(-6)) : runName(run),
    description: state === 'waiting' ? t('position {0}', position) : where,
    icon: stateIcon(run?.state ?? (state === 'running' ? 'running' : 'queued')),
    contextValue: state === 'running' ? 'queue+stoppable' : 'queue+cancellable',
    ref: { folder: folder.key, id },
    children: [],
  };
}

/** `auto` as what it most probably comes to on this machine. */
function deviceOf(device: string, machine: Machine | undefined): string {
  return device === 'auto' ? (machine?.auto ?? 'cpu') : device;
}

function deviceNode(folder: QueueFolder, device: string, machine: Machine | undefined): QueueNode {
  const here = folder.queue.claimed.filter((run) => deviceOf(run.device, machine) === device);
  // What is set for a provider is for each of its GPUs, `cuda:1`.
  const slots = folder.slots[device.replace(/:\d+$/, '')] ?? 1;
  return {
    id: `${folder.key} device ${device}`,
    label: device.toUpperCase(),
    description:
      slots === 1 && here.length <= 1
        ? here.length === 1
          ? t('busy')
          : t('free')
        : t('{0} of {1} slots used', here.length, slots),
    icon: { id: here.length > 0 ? 'server-process' : 'server' },
    contextValue: 'device',
    folder: folder.key,
    expanded: true,
    children: here.map(({ id }, index) => runNode(folder, id, 'running', index + 1, machine?.runs[id])),
  };
}

function folderNodes(folder: QueueFolder, machine: Machine | undefined): readonly QueueNode[] {
  const { queue, slots } = folder;
  const busy = queue.claimed.map((run) => deviceOf(run.device, machine));
  const devices = new Set(['cpu', deviceOf('auto', machine), ...Object.keys(slots), ...busy]);
  const shown = queue.waiting.slice(0, mostWaiting);
  const hidden = queue.waiting.length - shown.length;
  const waiting: QueueNode = {
    id: `${folder.key} waiting`,
    label: folder.paused ? t('Queue (paused)') : t('Queue'),
    description: queue.waiting.length === 0 ? t('empty') : t('{0} waiting', grouped(queue.waiting.length)),
    icon: { id: folder.paused ? 'debug-pause' : 'list-ordered' },
    contextValue: folder.paused ? 'queue+paused' : 'queue',
    folder: folder.key,
    expanded: true,
    children: [
      ...shown.map(({ id }, index) => runNode(folder, id, 'waiting', index + 1)),
      ...(hidden > 0
        ? [
            {
              id: `${folder.key} more`,
              label: t('… and {0} more', grouped(hidden)),
              description: '',
              icon: { id: 'ellipsis' },
              contextValue: 'more',
              children: [],
            },
          ]
        : []),
    ],
  };
  const disk: readonly QueueNode[] =
    folder.disk === undefined
      ? []
      : [
          {
            id: `${folder.key} disk`,
            label: t('Disk'),
            description: t('{0}, checkpoints {1}', bytes(folder.disk.bytes), bytes(folder.disk.checkpointBytes)),
            icon: { id: 'database' },
            contextValue: 'disk',
            folder: folder.key,
            children: [],
          },
        ];
  return [...[...devices].map((device) => deviceNode(folder, device, machine)), waiting, ...disk];
}

/** A GPU with its memory, use and driver; what nothing tells is left out. */
function gpuNode({ name, driverVersion, memoryBytes, usedBytes, utilisation }: GpuUse, index: number): QueueNode {
  const used = usedBytes === undefined ? undefined : bytes(usedBytes);
  const parts = [
    ...(memoryBytes === undefined
      ? []
      : [used === undefined ? bytes(memoryBytes) : t('{0} of {1} used', used, bytes(memoryBytes))]),
    ...(utilisation === undefined ? [] : [t('{0} % busy', Math.round(100 * utilisation))]),
    ...(driverVersion === undefined ? [] : [t('driver {0}', driverVersion)]),
  ];
  return {
    id: `gpu ${index}`,
    label: name,
    description: parts.join(', '),
    icon: { id: 'chip' },
    contextValue: 'gpu',
    children: [],
  };
}

/** What keeps a provider from the GPUs that are there; how to mend that is shown beside it. */
function hindranceNode({ provider, message, advice }: Hindrance): QueueNode {
  return {
    id: `hindrance ${provider}`,
    label: t('No {0}', provider),
    description: message,
    tooltip: `${message}\n${advice}`,
    icon: { id: 'info' },
    contextValue: 'hindrance',
    children: [],
  };
}

/** The view's nodes: of the only folder directly, of several one below each; then the machine. */
export function queueNodes(folders: readonly QueueFolder[], machine: Machine | undefined): readonly QueueNode[] {
  const [only, another] = folders;
  const own =
    only === undefined
      ? []
      : another === undefined
        ? folderNodes(only, machine)
        : folders.map((folder): QueueNode => ({
            id: folder.key,
            label: folder.name,
            description: '',
            icon: { id: 'root-folder' },
            contextValue: 'folder',
            folder: folder.key,
            expanded: true,
            children: folderNodes(folder, machine),
          }));
  if (machine === undefined || only === undefined) return own;
  return [
    ...own,
    {
      id: 'memory',
      label: t('Memory'),
      description: t('{0} of {1} free', bytes(machine.freeBytes), bytes(machine.memoryBytes)),
      icon: { id: 'circuit-board' },
      contextValue: 'memory',
      children: [],
    },
    ...machine.gpus.map(gpuNode),
    ...machine.hindrances.map(hindranceNode),
  ];
}

/** A node as the editor knows it: the same object for as long as the node is there, whatever it says. */
export interface ShownNode {
  readonly id: string;
  readonly node: QueueNode;
  readonly children: readonly ShownNode[];
}

export interface ShownTree {
  readonly roots: readonly ShownNode[];
  /**
   * Puts the present nodes in the place of those before.
   * @returns what has to be drawn anew: nodes, with what is below them; or everything
   */
  update(now: readonly QueueNode[]): readonly ShownNode[] | 'everything';
}

interface Kept extends ShownNode {
  node: QueueNode;
  children: Kept[];
}

function sameFace(a: QueueNode, b: QueueNode): boolean {
  return (
    a.label === b.label &&
    a.description === b.description &&
    a.tooltip === b.tooltip &&
    a.icon.id === b.icon.id &&
    a.icon.color === b.icon.color &&
    a.contextValue === b.contextValue
  );
}

/** Keeps a tree whose nodes stay the same objects, so that only what changed is drawn, and open menus stay open. */
export function shownTree(): ShownTree {
  let roots: Kept[] = [];

  /** @returns whether other nodes stand there than before, or in another order */
  function place(
    before: readonly Kept[],
    now: readonly QueueNode[],
    changed: ShownNode[],
  ): { kept: Kept[]; moved: boolean } {
    const known = new Map(before.map((each) => [each.id, each]));
    const kept = now.map((node): Kept => {
      // A node that gets its first children, or loses its last, is another one: the editor keeps open and closed by its name.
      const id = node.children.length > 0 ? `${node.id} open` : node.id;
      const same = known.get(id);
      if (same === undefined) return { id, node, children: place([], node.children, []).kept };
      const told: ShownNode[] = [];
      const below = place(same.children, node.children, told);
      const isSame = sameFace(same.node, node) && !below.moved;
      same.node = node;
      same.children = below.kept;
      changed.push(...(isSame ? told : [same]));
      return same;
    });
    return { kept, moved: kept.length !== before.length || kept.some((each, index) => each !== before[index]) };
  }

  return {
    get roots() {
      return roots;
    },
    update(now) {
      const changed: ShownNode[] = [];
      const { kept, moved } = place(roots, now, changed);
      roots = kept;
      return moved ? 'everything' : changed;
    },
  };
}

import * as vscode from 'vscode';
import type { DiskUse } from '../../runs/checkpoints.ts';
import { fromTree } from '../commands.ts';
import { t } from '../core/l10n.ts';
import { queueNodes, shownTree, type QueueNode, type ShownNode } from '../core/queue-tree.ts';
import type { ExtensionApp } from '../extension-app.ts';
import { Command, View } from '../ids.ts';
import { slotsOf } from '../settings.ts';
import type { Machine } from '../worker/operations.ts';

/** What computes what, what waits, and what memory and disk have left. It is read only while the view is to be seen. */

const machineEveryMs = 5000;
const diskEveryMs = 60_000;

/** Registers the view of queues, memory and disks. */
export function registerQueueView(app: ExtensionApp): vscode.Disposable {
  const changed = new vscode.EventEmitter<ShownNode | ShownNode[] | undefined>();
  const disks = new Map<string, DiskUse>();
  let machine: Machine | undefined;
  let machineAt = -Infinity;
  let diskAt = -Infinity;
  const tree = shownTree();

  function build(): readonly QueueNode[] {
    return queueNodes(
      app.folders.map((folder) => ({
        key: folder.key,
        name: folder.name,
        queue: folder.queue(),
        runs: folder.runs,
        slots: slotsOf(folder.uri),
        disk: disks.get(folder.key),
        paused: folder.isPaused(),
      })),
      machine,
    );
  }

  function draw(): void {
    if (!view.visible) return;
    const change = tree.update(build());
    if (change === 'everything') changed.fire(undefined);
    else if (change.length > 0) changed.fire([...change]);
  }

  async function look(): Promise<void> {
    if (!view.visible) return;
    if (performance.now() - machineAt > machineEveryMs) {
      machineAt = performance.now();
      const paths = app.folders.filter(({ runs }) => runs.size > 0).map(({ path }) => path);
      machine = await app.worker.ask('machine', paths);
    }
    if (performance.now() - diskAt > diskEveryMs && app.folders.some(({ runs }) => runs.size > 0)) {
      diskAt = performance.now();
      for (const { key, path, runs } of app.folders)
        if (runs.size > 0) disks.set(key, await app.worker.ask('diskUse', path));
    }
    draw();
  }

  const view = vscode.window.createTreeView<ShownNode>(View.queue, {
    treeDataProvider: {
      onDidChangeTreeData: changed.event,
      getChildren: (node) => [...(node === undefined ? tree.roots : node.children)],
      getTreeItem: ({ id, node }) => {
        const { label, description, tooltip, icon, contextValue, children, expanded } = node;
        const item = new vscode.TreeItem(
          label,
          children.length === 0
            ? vscode.TreeItemCollapsibleState.None
            : expanded === true
              ? vscode.TreeItemCollapsibleState.Expanded
              : vscode.TreeItemCollapsibleState.Collapsed,
        );
        item.id = id;
        item.description = description;
        item.iconPath = new vscode.ThemeIcon(
          icon.id,
          icon.color === undefined ? undefined : new vscode.ThemeColor(icon.color),
        );
        item.contextValue = contextValue;
        if (tooltip !== undefined) item.tooltip = tooltip;
        item.accessibilityInformation = {
          label: [label, tooltip ?? description].filter((part) => part !== '').join(', '),
        };
        if (node.ref !== undefined)
          item.command = { command: Command.openRun, title: t('Open Run'), arguments: [node.ref, fromTree] };
        return item;
      },
    },
    showCollapseAll: false,
  });

  // Asked again every few seconds: what goes wrong is for the log, not for as many messages.
  const lookNow = (): void => void look().catch((problem: unknown) => app.log.warn(String(problem)));
  const timer = setInterval(() => {
    if (view.visible) lookNow();
  }, machineEveryMs);
  void app.ready.then(lookNow);
  return vscode.Disposable.from(
    view,
    changed,
    view.onDidChangeVisibility(lookNow),
    app.onDidLook(draw),
    app.onDidFree(() => {
      diskAt = -Infinity;
      lookNow();
    }),
    app.onDidChangeRuns(({ folder, changed, removed, everything }) => {
      // What a run leaves behind is known when it has ended, or is gone.
      const hasEnded = removed.length > 0 || changed.some((id) => folder.runs.get(id)?.endedAt !== null);
      if (everything || hasEnded) diskAt = Math.min(diskAt, performance.now() - diskEveryMs + machineEveryMs);
      draw();
    }),
    app.onDidChangeFolders(lookNow),
    { dispose: () => clearInterval(timer) },
  );
}

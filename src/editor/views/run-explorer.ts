import * as vscode from 'vscode';
import { capitalised } from '../../base/format.ts';
import { runStates } from '../../runs/run-states.ts';
import type { RunRef } from '../app.ts';
import { knownTags } from '../ask-tags.ts';
import { fromTree } from '../commands.ts';
import { filterFrom, filterText, isFiltering, noFilter, type ExplorerFilter } from '../core/filter.ts';
import { t } from '../core/l10n.ts';
import { runItem, runTooltip, stateIcon, stateText } from '../core/run-item.ts';
import {
  groupItem,
  groupings,
  runTree,
  type FolderNode,
  type Grouping,
  type GroupNode,
  type MoreNode,
  type TreeChange,
  type TreeNode,
} from '../core/run-tree.ts';
import { withoutIcons } from '../core/text.ts';
import type { ExtensionApp } from '../extension-app.ts';
import { Command, ContextKey, Setting, View } from '../ids.ts';
import { concerns, grouping, setGrouping } from '../settings.ts';

/** The explorer of runs. The model in core/run-tree.ts says what stands where; here it becomes tree items. */
export interface RunExplorer {
  runsOf(node: FolderNode | GroupNode): readonly RunRef[];
  selection(): readonly RunRef[];
  reveal(run: RunRef, options?: { readonly focus?: boolean }): Promise<void>;
  askGrouping(): Promise<void>;
  askFilter(): Promise<void>;
  clearFilter(): Promise<void>;
  showMore(node: unknown): void;
  dispose(): void;
}

const filterKey = 'filter';

/** Nothing that comes from files may be a link, a command or an icon. */
function plainMarkdown(text: string): vscode.MarkdownString {
  const result = new vscode.MarkdownString(text, false);
  result.isTrusted = false;
  result.supportHtml = false;
  return result;
}

function themeIcon({ id, color }: { readonly id: string; readonly color?: string }): vscode.ThemeIcon {
  return new vscode.ThemeIcon(id, color === undefined ? undefined : new vscode.ThemeColor(color));
}

function groupingText(by: Grouping): string {
  switch (by) {
    case 'sweep':
      return t('Sweep');
    case 'task':
      return t('Task');
    case 'method':
      return t('Method');
    case 'model':
      return t('Model');
    case 'state':
      return t('State');
  }
}

/** Registers the explorer of runs, and answers what of it commands mean. */
export function registerRunExplorer(app: ExtensionApp): RunExplorer {
  let filter = filterFrom(app.context.workspaceState.get(filterKey));
  const tree = runTree({ grouping: grouping(), filter });
  const changed = new vscode.EventEmitter<TreeNode | TreeNode[] | undefined>();

  function item(node: TreeNode): vscode.TreeItem {
    switch (node.kind) {
      case 'folder': {
        const result = new vscode.TreeItem(
          app.folder(node.folder)?.name ?? '',
          vscode.TreeItemCollapsibleState.Expanded,
        );
        result.id = node.id;
        result.iconPath = vscode.ThemeIcon.Folder;
        result.contextValue = 'folder';
        return result;
      }
      case 'group': {
        const { label, description, icon, contextValue, tooltip, spoken } = groupItem(node, tree.runsOf(node));
        const isOpen = node.by === 'running' || node.by === 'queued' || tree.rootCount() <= 3;
        const result = new vscode.TreeItem(
          label,
          isOpen ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.Collapsed,
        );
        result.id = node.id;
        result.description = description;
        result.iconPath = new vscode.ThemeIcon(icon);
        result.contextValue = contextValue;
        result.tooltip = tooltip;
        result.accessibilityInformation = { label: spoken };
        return result;
      }
      case 'more': {
        const result = new vscode.TreeItem(t('Show more…'), vscode.TreeItemCollapsibleState.None);
        result.id = node.id;
        result.contextValue = 'more';
        result.command = { command: Command.showMore, title: t('Show More'), arguments: [node] };
        return result;
      }
      case 'run': {
        const run = tree.run(node.ref);
        if (run === undefined) return new vscode.TreeItem(node.ref.id);
        const { label, description, icon, contextValue, spoken } = runItem(run, {
          inSweep: node.inSweep,
          unseen: app.folder(node.ref.folder)?.isUnseen(run.id) === true,
        });
        const result = new vscode.TreeItem(label, vscode.TreeItemCollapsibleState.None);
        result.id = node.id;
        result.description = description;
        result.iconPath = themeIcon(icon);
        result.contextValue = contextValue;
        result.accessibilityInformation = { label: spoken };
        result.command = { command: Command.openRun, title: t('Open Run'), arguments: [node, fromTree] };
        return result;
      }
    }
  }

  const view = vscode.window.createTreeView<TreeNode>(View.runs, {
    treeDataProvider: {
      onDidChangeTreeData: changed.event,
      getTreeItem: item,
      getChildren: (node) => [...(node === undefined ? tree.roots() : tree.children(node))],
      getParent: (node) => tree.parent(node),
      resolveTreeItem: (result, node) => {
        const run = node.kind === 'run' ? tree.run(node.ref) : undefined;
        if (run !== undefined) result.tooltip = plainMarkdown(runTooltip(run));
        return result;
      },
    },
    canSelectMany: true,
    showCollapseAll: true,
  });

  function describe(): void {
    const { all, shown } = tree.counts();
    const isFiltered = isFiltering(filter);
    view.description = isFiltered ? filterText(filter) : '';
    view.message = isFiltered && all > 0 && shown === 0 ? t('No run fits the filter {0}.', filterText(filter)) : '';
    let running = 0;
    for (const { runs } of app.folders)
      for (const { state } of runs.values()) if (state === 'running' || state === 'starting') running++;
    view.badge =
      running === 0
        ? undefined
        : { value: running, tooltip: running === 1 ? t('1 run is under way') : t('{0} runs are under way', running) };
  }

  function draw(change: TreeChange): void {
    if (change.kind === 'everything') changed.fire(undefined);
    else if (change.nodes.length > 0) changed.fire([...change.nodes]);
    describe();
  }

  async function setFilter(chosen: ExplorerFilter): Promise<void> {
    filter = chosen;
    await vscode.commands.executeCommand('setContext', ContextKey.filtered, isFiltering(filter));
    draw(tree.setFilter(filter));
    await app.context.workspaceState.update(filterKey, filter);
  }

  function syncFolders(): void {
    draw(tree.setFolders(app.folders.map(({ key }) => key)));
  }

  const subscriptions = vscode.Disposable.from(
    view,
    changed,
    app.onDidChangeFolders(syncFolders),
    app.onDidChangeRuns(({ folder, changed: ids, removed, everything }) => {
      if (everything) draw(tree.load(folder.key, folder.runs.values()));
      else
        draw(
          tree.update(
            folder.key,
            ids.flatMap((id) => folder.runs.get(id) ?? []),
            removed,
          ),
        );
    }),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (concerns(change, Setting.groupBy)) draw(tree.setGrouping(grouping()));
    }),
  );
  void vscode.commands.executeCommand('setContext', ContextKey.filtered, isFiltering(filter));

  return {
    runsOf: (node) => tree.runsOf(node).map(({ id }) => ({ folder: node.folder, id })),
    selection: () => view.selection.flatMap((node) => (node.kind === 'run' ? [node.ref] : [])),
    async reveal(run, { focus = false } = {}) {
      const node = tree.reveal(run);
      if (node === undefined || (!view.visible && !focus)) return;
      try {
        await view.reveal(node, { select: true, focus });
      } catch {
        // It may be gone again by now.
      }
    },
    async askGrouping() {
      const current = grouping();
      const items = groupings.map((by) => ({
        label: groupingText(by),
        description: by === current ? t('current') : '',
        by,
      }));
      const chosen = await vscode.window.showQuickPick(items, {
        title: t('Group Runs'),
        placeHolder: t('Runs that have ended are grouped by'),
      });
      if (chosen !== undefined) await setGrouping(chosen.by);
    },
    async askFilter() {
      const chosen = await askForFilter(app, filter);
      if (chosen !== undefined) await setFilter(chosen);
    },
    clearFilter: () => setFilter(noFilter),
    showMore(node) {
      const more = node as Partial<MoreNode> | null | undefined;
      if (more?.kind === 'more' && more.group !== undefined) draw(tree.showMore(more.group));
    },
    dispose: () => void subscriptions.dispose(),
  };
}

type FilterPart =
  | { readonly kind: 'state'; readonly state: (typeof runStates)[number] }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'starred' }
  | { readonly kind: 'text' };

interface FilterItem extends vscode.QuickPickItem {
  readonly part?: FilterPart;
}

/** Asks for a filter: what is typed is the text, the rest is ticked. */
function askForFilter(app: ExtensionApp, before: ExplorerFilter): Promise<ExplorerFilter | undefined> {
  const separator = (label: string): FilterItem => ({ label, kind: vscode.QuickPickItemKind.Separator });
  const starred: FilterItem = {
    label: t('Starred'),
    iconPath: new vscode.ThemeIcon('star-full'),
    part: { kind: 'starred' },
  };
  const states = runStates.map((state): FilterItem => ({
    label: capitalised(stateText(state)),
    iconPath: new vscode.ThemeIcon(stateIcon(state).id.replace('~spin', '')),
    part: { kind: 'state', state },
  }));
  const tags = knownTags(app).map((tag): FilterItem => ({
    label: withoutIcons(tag),
    iconPath: new vscode.ThemeIcon('tag'),
    part: { kind: 'tag', tag },
  }));
  const others: readonly FilterItem[] = [
    starred,
    separator(t('State')),
    ...states,
    ...(tags.length === 0 ? [] : [separator(t('Tags')), ...tags]),
  ];
  const isTicked = ({ part }: FilterItem): boolean =>
    part !== undefined &&
    ((part.kind === 'starred' && before.starred === true) ||
      (part.kind === 'state' && (before.states ?? []).includes(part.state)) ||
      (part.kind === 'tag' && (before.tags ?? []).includes(part.tag)));

  const box = vscode.window.createQuickPick<FilterItem>();
  box.title = t('Filter Runs');
  box.placeholder = t('Words in name, model, task, method, tags or note; or tick below');
  box.canSelectMany = true;
  return new Promise((resolve) => {
    let text: FilterItem | undefined;
    function fill(value: string, chosen: readonly FilterItem[]): void {
      const words = value.trim();
      text =
        words === ''
          ? undefined
          : {
              label: t('Text: {0}', withoutIcons(words)),
              alwaysShow: true,
              iconPath: new vscode.ThemeIcon('search'),
              part: { kind: 'text' },
            };
      box.items = text === undefined ? others : [text, ...others];
      box.selectedItems = text === undefined ? chosen : [text, ...chosen];
    }
    box.value = before.text ?? '';
    fill(box.value, others.filter(isTicked));
    box.onDidChangeValue((value) =>
      fill(
        value,
        box.selectedItems.filter((each) => each.part?.kind !== 'text'),
      ),
    );
    box.onDidAccept(() => {
      const parts = box.selectedItems.flatMap(({ part }) => part ?? []);
      const chosenTags = parts.flatMap((part) => (part.kind === 'tag' ? [part.tag] : []));
      const chosenStates = parts.flatMap((part) => (part.kind === 'state' ? [part.state] : []));
      const words = parts.some(({ kind }) => kind === 'text') ? box.value.trim() : '';
      resolve({
        ...(words === '' ? {} : { text: words }),
        ...(chosenTags.length === 0 ? {} : { tags: chosenTags }),
        ...(chosenStates.length === 0 ? {} : { states: chosenStates }),
        ...(parts.some(({ kind }) => kind === 'starred') ? { starred: true as const } : {}),
      });
      box.hide();
    });
    box.onDidHide(() => {
      resolve(undefined);
      box.dispose();
    });
    box.show();
  });
}

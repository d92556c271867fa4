import { batch } from './batch.ts';
import type { WatchChange } from './folder-watch.ts';

/** What of a folder's runs changed since it was told the last time. */
export interface ChangedRuns<Folder> {
  readonly folder: Folder;
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Everything may have changed. Then the lists are empty. */
  readonly everything: boolean;
}

export interface RunChanges<Folder> {
  add(folder: Folder, change: WatchChange): void;
  dispose(): void;
}

export interface RunChangesOptions<Folder> {
  /** Changes are handed on at most this often. */
  readonly everyMs: number;
  /** False for a folder that was left while its changes waited. */
  readonly isWatched: (folder: Folder) => boolean;
  /** Never without a change. */
  readonly onChanges: (changes: readonly ChangedRuns<Folder>[]) => void;
}

interface Pending {
  readonly changed: Set<string>;
  readonly removed: Set<string>;
  everything: boolean;
}

/** Gathers what changes in folders and hands it on together, for those that are watched by then. */
export function runChanges<Folder>({ everyMs, isWatched, onChanges }: RunChangesOptions<Folder>): RunChanges<Folder> {
  function merge(
    waiting: Map<Folder, Pending> | undefined,
    { folder, change }: { readonly folder: Folder; readonly change: WatchChange },
  ): Map<Folder, Pending> {
    const all = waiting ?? new Map<Folder, Pending>();
    const pending = all.get(folder) ?? { changed: new Set(), removed: new Set(), everything: false };
    all.set(folder, pending);
    pending.everything ||= change.everything;
    for (const { id } of change.changed) {
      pending.changed.add(id);
      pending.removed.delete(id);
    }
    for (const id of change.removed) {
      pending.removed.add(id);
      pending.changed.delete(id);
    }
    return all;
  }

  const waiting = batch(everyMs, merge, (all) => {
    const changes = [...all].flatMap(([folder, { changed, removed, everything }]): readonly ChangedRuns<Folder>[] => {
      if (!isWatched(folder)) return [];
      return [
        everything
          ? { folder, changed: [], removed: [], everything }
          : { folder, changed: [...changed], removed: [...removed], everything },
      ];
    });
    if (changes.length > 0) onChanges(changes);
  });

  return {
    add: (folder, change) => waiting.add({ folder, change }),
    dispose: () => waiting.dispose(),
  };
}

import { compareRuns, type Comparison, type ComparisonOptions } from '../../analysis/comparison.ts';
import {
  comparedRun,
  runKeyPrefix,
  scope,
  taskTitles,
  trouble,
  type PanelRun,
  type Scope,
  type View,
} from './messages.ts';
import { useTaskTitles } from './task-titles.ts';

/** What the compare panel knows: the runs of the feed, and the comparison that follows from them and the view. */
export interface CompareModel {
  readonly scope: () => Scope | undefined;
  readonly trouble: () => { readonly message: string } | undefined;
  /** Oldest first. */
  readonly runs: () => readonly PanelRun[];
  readonly run: (id: string) => PanelRun | undefined;
  readonly comparison: (view: Pick<View, 'metric' | 'at'>) => Comparison;
  readonly update: (values: ReadonlyMap<string, unknown>, keys: readonly string[]) => void;
}

export type FixedOptions = Pick<ComparisonOptions, 'rows' | 'interval' | 'words'>;

/** @param options what a report was asked for, and its words; a panel compares by everything that differs */
export function makeCompareModel(options: FixedOptions = {}): CompareModel {
  let values: ReadonlyMap<string, unknown> = new Map();
  const runs = new Map<string, PanelRun>();
  let sorted: readonly PanelRun[] | undefined;
  let compared: { readonly metric: string; readonly at: View['at']; readonly result: Comparison } | undefined;

  const inOrder = (): readonly PanelRun[] => {
    sorted ??= [...runs.values()].sort(
      (a, b) => (a.createdAt ?? Infinity) - (b.createdAt ?? Infinity) || (a.id < b.id ? -1 : 1),
    );
    return sorted;
  };

  return {
    scope() {
      const parsed = scope.safeParse(values.get('scope'));
      return parsed.success ? parsed.data : undefined;
    },
    trouble() {
      const parsed = trouble.safeParse(values.get('trouble'));
      return parsed.success ? parsed.data : undefined;
    },
    runs: inOrder,
    run: (id) => runs.get(id),
    comparison({ metric, at }) {
      if (compared?.metric !== metric || compared.at !== at)
        compared = { metric, at, result: compareRuns(inOrder(), { ...options, metric, at }) };
      return compared.result;
    },
    update(next, keys) {
      values = next;
      if (keys.includes('tasks')) {
        const parsed = taskTitles.safeParse(next.get('tasks'));
        if (parsed.success) useTaskTitles(parsed.data);
      }
      for (const key of keys) {
        if (!key.startsWith(runKeyPrefix)) continue;
        const id = key.slice(runKeyPrefix.length);
        const parsed = comparedRun.safeParse(next.get(key));
        if (parsed.success) runs.set(id, parsed.data);
        else runs.delete(id);
        sorted = undefined;
        compared = undefined;
      }
    },
  };
}

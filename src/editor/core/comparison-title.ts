import { cut } from '../../base/format.ts';
import type { RunSummary } from '../../store/summaries.ts';
import type { ComparisonSelection, RunRef } from '../app.ts';
import { t } from './l10n.ts';
import { runName } from './run-item.ts';
import { sweepTitle } from './run-tree.ts';

/** Tabs are narrow, and each name needs a share. */
const longestName = 30;

/** What the tab of a comparison is called: by the sweep, or by what the chosen runs are called. */
export function comparisonTitle(
  selection: ComparisonSelection,
  runOf: (ref: RunRef) => RunSummary | undefined,
): string {
  if (selection.kind === 'everything') return t('Comparison of all runs');
  if (selection.kind === 'sweep') return t('Comparison: {0}', cut(sweepTitle(selection.sweep).name, 2 * longestName));
  const names = selection.runs.flatMap((ref) => {
    const run = runOf(ref);
    return run === undefined ? [] : [runName(run)];
  });
  const [first, second, ...others] = new Set(names);
  if (first === undefined) return t('Comparison of {0} runs', selection.runs.length);
  if (second === undefined) return t('Comparison: {0}', cut(first, 2 * longestName));
  const both = [cut(first, longestName), cut(second, longestName)] as const;
  return others.length === 0
    ? t('Comparison: {0}, {1}', ...both)
    : t('Comparison: {0}, {1} and {2} more', ...both, others.length);
}

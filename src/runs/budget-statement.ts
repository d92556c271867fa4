import { pathBelow } from '../engine/path-below.ts';
import { privacySpent, type AccountantName } from '../privacy/accountant.ts';
import type { AccountState } from './privacy-accounts.ts';
import { dataSetAccounts, phasesOf, spentOn } from './privacy-budget.ts';
import type { Phase } from '../privacy/mechanism.ts';
import type { Workspace } from './run-folder.ts';

/** What a project has spent on each of its data sets, as data for people and programs. Infinite values are null. */

export interface StatedRun {
  readonly run: string;
  readonly state: AccountState;
  /** `planned`: it waits or runs, and all of its planned steps count. */
  readonly counted: 'released' | 'planned';
  /** Null while its trainer has not told of them. */
  readonly steps: number | null;
  readonly samplingRate: number | null;
  readonly noiseMultiplier: number | null;
  /** What it costs by itself at the data set's delta, as `audit` computes it: a coarser bound would seem to break the run's target. */
  readonly epsilon: number | null;
}

export interface BudgetStatement {
  /** As the budget names the data, or where they lie, from the project's folder. */
  readonly data: string;
  readonly budget: { readonly epsilon: number; readonly delta: number } | null;
  /** Of the composition: the budget's, or the least of the runs'. */
  readonly delta: number | null;
  /** All phases together. */
  readonly spent: {
    readonly epsilon: number | null;
    readonly lower: number | null;
    readonly accountant: AccountantName;
  } | null;
  /** The budget's epsilon less what is spent, at least 0. Runs compose to less than the sum, so that more may fit into it. */
  readonly left: number | null;
  readonly phases: readonly Phase[];
  /** The most training examples that a run on them had. */
  readonly examples: number | null;
  readonly runs: readonly StatedRun[];
  /** Runs on the same data that are not private. */
  readonly withoutPrivacy: readonly string[];
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function shownPath(folder: string, place: string): string {
  return place === '' ? '' : pathBelow(folder, place) || place;
}

/** The statement of each data set that has a budget or a private run. @throws FileError for a budget file that cannot be read */
export async function budgetStatements(workspace: Workspace): Promise<readonly BudgetStatement[]> {
  const alone = new Map<string, number>();
  const epsilonOf = (phase: Phase, delta: number): number => {
    const key = JSON.stringify([phase, delta]);
    const found = alone.get(key) ?? privacySpent([phase], delta).epsilon;
    alone.set(key, found);
    return found;
  };
  const accounts = await dataSetAccounts(workspace);
  return accounts.map((account) => {
    const { data, budget, runs, open } = account;
    const spent = spentOn(account);
    return {
      data: budget === undefined ? shownPath(workspace.folder, data) : data,
      budget: budget === undefined ? null : { epsilon: budget.epsilon, delta: budget.delta },
      delta: spent?.delta ?? null,
      spent:
        spent === undefined
          ? null
          : { epsilon: finite(spent.epsilon), lower: finite(spent.lower), accountant: spent.accountant },
      left: budget === undefined || spent === undefined ? null : Math.max(0, budget.epsilon - spent.epsilon),
      phases: phasesOf(runs),
      examples: runs.reduce<number | null>((most, run) => Math.max(most ?? 0, run.examples ?? 0) || null, null),
      runs: runs.map(({ run, state, counted, phase }) => ({
        run,
        state,
        counted,
        steps: phase?.steps ?? null,
        samplingRate: phase?.samplingRate ?? null,
        noiseMultiplier: phase?.noiseMultiplier ?? null,
        epsilon: phase === undefined || spent === undefined ? null : finite(epsilonOf(phase, spent.delta)),
      })),
      withoutPrivacy: open.map(({ run }) => run),
    };
  });
}

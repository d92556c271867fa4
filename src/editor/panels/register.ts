import { Disposable } from 'vscode';
import type { BegunRun, RegisterPanels } from '../app.ts';
import { makeComparePanels } from './compare-panels.ts';
import { makePlanPanels } from './plan-panels.ts';
import { makeRunPanels } from './run-panels.ts';

/** Registers the panels' serializers, and makes panels when they are asked for. */
export const registerPanels: RegisterPanels = (app) => {
  const runPanels = makeRunPanels(app);
  const comparePanels = makeComparePanels(app, (run) => runPanels.open(run, false));
  const planPanels = makePlanPanels(app);
  return Object.assign(Disposable.from(comparePanels, runPanels, planPanels), {
    openRunPanel: (
      ...[run, { preserveFocus = false } = {}]: Parameters<ReturnType<RegisterPanels>['openRunPanel']>
    ) => {
      runPanels.open(run, preserveFocus);
      return Promise.resolve();
    },
    openComparePanel: (selection: Parameters<ReturnType<RegisterPanels>['openComparePanel']>[0]) => {
      comparePanels.open(selection);
      return Promise.resolve();
    },
    activeComparison: () => comparePanels.active(),
    openPlanPanel: (begun?: BegunRun) => {
      planPanels.open(begun);
      return Promise.resolve();
    },
  });
};

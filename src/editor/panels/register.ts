import type { RegisterPanels } from '../app.ts';
import { makeComparePanels } from './compare-panels.ts';
import { makeRunPanels } from './run-panels.ts';

/** Registers the panels' serializers, and makes panels when they are asked for. */
export const registerPanels: RegisterPanels = (app) => {
  const runPanels = makeRunPanels(app);
  const comparePanels = makeComparePanels(app, (run) => runPanels.open(run, false));
  return {
    openRunPanel(run, { preserveFocus = false } = {}) {
      runPanels.open(run, preserveFocus);
      return Promise.resolve();
    },
    openComparePanel(selection) {
      comparePanels.open(selection);
      return Promise.resolve();
    },
    activeComparison: () => comparePanels.active(),
    dispose() {
      comparePanels.dispose();
      runPanels.dispose();
    },
  };
};

/**
 * Every name that the manifest (package.json) and the code must agree on. A test holds the two together; nothing else in the
 * code spells one of these names.
 */

/** Commands, by what they do. */
export const Command = {
  startRun: 'peft.startRun',
  startSweep: 'peft.startSweep',
  saveCheckpoint: 'peft.saveCheckpoint',
  stopRun: 'peft.stopRun',
  forceStopRun: 'peft.forceStopRun',
  cancelRun: 'peft.cancelRun',
  resumeRun: 'peft.resumeRun',
  cloneRun: 'peft.cloneRun',
  compareRuns: 'peft.compareRuns',
  compareSettings: 'peft.compareSettings',
  planPrivacyBudget: 'peft.planPrivacyBudget',
  openRun: 'peft.openRun',
  showLogs: 'peft.showLogs',
  revealRunFolder: 'peft.revealRunFolder',
  deleteRun: 'peft.deleteRun',
  tagRun: 'peft.tagRun',
  editNote: 'peft.editNote',
  starRun: 'peft.starRun',
  unstarRun: 'peft.unstarRun',
  copyRunId: 'peft.copyRunId',
  newConfiguration: 'peft.newConfiguration',
  checkEnvironment: 'peft.checkEnvironment',
  installCuda: 'peft.installCuda',
  exportComparison: 'peft.exportComparison',
  predictRun: 'peft.predictRun',
  exportModel: 'peft.exportModel',
  refresh: 'peft.refresh',
  groupRuns: 'peft.groupRuns',
  filterRuns: 'peft.filterRuns',
  clearFilter: 'peft.clearFilter',
  showMore: 'peft.showMore',
  startQueue: 'peft.startQueue',
  freeSpace: 'peft.freeSpace',
  showOutput: 'peft.showOutput',
  openWalkthrough: 'peft.openWalkthrough',
} as const;

export type CommandId = (typeof Command)[keyof typeof Command];

/** The container in the activity bar and its views. */
export const ViewContainer = 'peft';
export const View = {
  runs: 'peft.runs',
  queue: 'peft.queue',
} as const;

/** The types of webview panels, as serializers and `onWebviewPanel:` know them. */
export const PanelType = {
  run: 'peft.run',
  comparison: 'peft.comparison',
  privacyPlan: 'peft.privacyPlan',
} as const;

/** Settings, without the section's name. */
export const Setting = {
  nodePath: 'nodePath',
  modelFolders: 'modelFolders',
  libraryFolders: 'libraryFolders',
  slots: 'queue.slots',
  groupBy: 'runs.groupBy',
  keepCheckpoints: 'checkpoints.keep',
  notifications: 'notifications',
  statusBar: 'statusBar',
} as const;

export const settingSection = 'peft';

/** Keys that `when` clauses read. */
export const ContextKey = {
  /** The first look at the folders is done; before that no view says "no runs". */
  ready: 'peft.ready',
  /** There is a run, whether or not the filter hides it. */
  hasRuns: 'peft.hasRuns',
  /** A filter hides runs. */
  filtered: 'peft.filtered',
  /** Runs wait and nobody starts them. */
  queuePaused: 'peft.queuePaused',
  /** Why nothing can be shown here: `sqlite` where the editor has no node:sqlite. */
  unsupported: 'peft.unsupported',
} as const;

/** The language of `*.peft.json` is the editor's own. */
export const configurationPattern = '**/*.peft.json';
export const configurationEnding = '.peft.json';

export const walkthroughId = 'peft.start';

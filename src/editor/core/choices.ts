import type { KeptCheckpoints } from '../../runs/checkpoints.ts';

/** The values of settings that are a choice among several; the manifest lists the same. */

/** Which checkpoints of a finished run are kept. */
export const keptCheckpoints = ['all', 'best', 'none'] as const satisfies readonly KeptCheckpoints[];

/** Which notices the user wants. */
export const noticeLevels = ['all', 'problems', 'none'] as const;
export type NoticeLevel = (typeof noticeLevels)[number];

/** When the status bar shows anything. */
export const statusBarChoices = ['active', 'always', 'never'] as const;
export type StatusBarChoice = (typeof statusBarChoices)[number];

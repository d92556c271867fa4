import type { RunState } from './events.ts';

/** Every state, in the order of a run's life. */
export const runStates: readonly RunState[] = [
  'queued',
  'starting',
  'running',
  'finished',
  'failed',
  'stopped',
  'interrupted',
];

/** Whether a text from outside names a state of runs. */
export function isRunState(text: string): text is RunState {
  return (runStates as readonly string[]).includes(text);
}

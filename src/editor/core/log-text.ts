import type { RunLog } from '../worker/operations.ts';
import { t } from './l10n.ts';
import { stateText } from './run-item.ts';

/** A run's log as a document: what its trainer told, why it broke off, and the end of its stderr. */
export function logText({ text, state, reason, errors }: RunLog): string {
  const told = text === '' ? t('The run is {0}; its trainer has told nothing yet.', stateText(state)) : text;
  const interruption = state === 'interrupted' && reason !== undefined ? [t('Interrupted: {0}', reason)] : [];
  const end = errors === '' ? [] : ['', t('The end of what it wrote to stderr:'), errors];
  return `${[told, ...interruption, ...end].join('\n')}\n`;
}

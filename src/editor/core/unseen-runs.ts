import { age, cut, moment } from '../../base/format.ts';
import type { UnseenRun } from '../worker/operations.ts';
import { t } from './l10n.ts';
import { oneLine } from './text.ts';

/** What is said before runs are taken from machines that cannot be seen from here: only a person can know that those are lost. */

export interface UnseenQuestion {
  readonly message: string;
  readonly detail: string;
  /** The button that goes on. */
  readonly yes: string;
}

/** So many runs are told of one by one. */
const mostTold = 8;

/** A run that somebody else holds, and what it is called. */
export type NamedUnseenRun = Pick<UnseenRun, 'host' | 'claimed' | 'heartbeat'> & { readonly name: string };

function hostOf({ host }: NamedUnseenRun): string {
  return oneLine(cut(oneLine(host), 80));
}

function heldText(run: NamedUnseenRun, now: number): string {
  return t(
    '“{0}”: held by {1} since {2}, last sign of life {3} ago.',
    cut(oneLine(run.name), 80),
    hostOf(run),
    moment(run.claimed),
    age(now - run.heartbeat),
  );
}

/**
 * The question before such runs are resumed or deleted.
 * @param unseen at least one
 * @param all how many runs it is about, those that nobody holds included
 */
export function unseenQuestion(
  deed: 'resume' | 'delete',
  unseen: readonly NamedUnseenRun[],
  all: number,
  now: number,
): UnseenQuestion {
  const [first] = unseen;
  const isAlone = all === 1 && first !== undefined;
  const message = isAlone
    ? t('The run “{0}” is held by {1}, which cannot be seen from here.', cut(oneLine(first.name), 80), hostOf(first))
    : t('{0} of {1} runs are held by machines that cannot be seen from here.', unseen.length, all);
  const held = isAlone
    ? [t('Held since {0}, last sign of life {1} ago.', moment(first.claimed), age(now - first.heartbeat))]
    : [
        ...unseen.slice(0, mostTold).map((run) => heldText(run, now)),
        ...(unseen.length > mostTold ? [t('… and {0} more', unseen.length - mostTold)] : []),
      ];
  const advice =
    deed === 'resume'
      ? t(
          'Go on only if you know that its trainer is gone. Should it still live, it ends when it notices, and what it trained after its last checkpoint is lost.',
        )
      : t(
          'Go on only if you know that its trainer is gone. Checkpoints, metrics and logs are deleted. This cannot be undone.',
        );
  return {
    message,
    detail: [held.join('\n'), advice].join('\n\n'),
    yes: deed === 'resume' ? t('Resume Anyway') : t('Delete Anyway'),
  };
}

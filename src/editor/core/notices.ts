import { cut, grouped, score } from '../../base/format.ts';
import type { RunState } from '../../runs/events.ts';
import type { RunSummary } from '../../store/summaries.ts';
import type { Transition } from './folder-watch.ts';
import type { NoticeLevel } from './choices.ts';
import { t } from './l10n.ts';
import { shortName } from './run-item.ts';
import { sweepTitle } from './run-tree.ts';
import { withoutLinks } from './text.ts';

/** What is worth a notification: that a run or a whole sweep ended, failed, or was cut off. */
export interface Notice {
  readonly level: 'information' | 'error' | 'warning';
  readonly message: string;
  readonly runs: readonly RunSummary[];
  /** What can be done about it. */
  readonly offer: 'open' | 'compare' | 'logs' | 'resume';
}

const active: readonly RunState[] = ['queued', 'starting', 'running'];

function isActive(state: RunState): boolean {
  return active.includes(state);
}

function finishedNotice(run: RunSummary): Notice {
  const name = shortName(run);
  const message =
    run.score === null ? t('{0} finished.', name) : t('{0} finished with a score of {1}.', name, score(run.score));
  return { level: 'information', message, runs: [run], offer: 'open' };
}

function sweepNotice(sweep: string, runs: readonly RunSummary[]): Notice {
  const best = Math.max(...runs.map((run) => run.score ?? -Infinity));
  const name = sweepTitle(sweep).name;
  const count = runs.length === 1 ? t('1 run') : t('{0} runs', grouped(runs.length));
  const message =
    best === -Infinity
      ? t('The sweep {0} ended: {1}.', name, count)
      : t('The sweep {0} ended: {1}, the best score is {2}.', name, count, score(best));
  return { level: 'information', message, runs, offer: 'compare' };
}

/** Several runs that ended alike are told of once. */
function together(
  runs: readonly RunSummary[],
  one: (run: RunSummary) => Notice,
  many: () => Notice,
): readonly Notice[] {
  const [only, another] = runs;
  if (only === undefined) return [];
  return [another === undefined ? one(only) : many()];
}

/**
 * The notices that follow from changes of state. Of a sweep's runs only the last to end is told of, with the sweep; what the user
 * stopped is no news.
 * @param all the folder's runs as they are now
 */
export function noticesOf(
  transitions: readonly Transition[],
  all: ReadonlyMap<string, RunSummary>,
  level: NoticeLevel,
): readonly Notice[] {
  if (level === 'none') return [];
  const ended = transitions.filter(({ run, before }) => isActive(before) && !isActive(run.state)).map(({ run }) => run);
  const inState = (state: RunState): readonly RunSummary[] => ended.filter((run) => run.state === state);
  const reason = (run: RunSummary): string => withoutLinks(cut(run.failure?.message?.split('\n')[0] ?? '', 300));
  const failed = together(
    inState('failed'),
    (run) => ({
      level: 'error',
      message: t('{0} failed: {1}', withoutLinks(shortName(run)), reason(run)),
      runs: [run],
      offer: 'logs',
    }),
    () => ({
      level: 'error',
      message: t('{0} runs failed.', inState('failed').length),
      runs: inState('failed'),
      offer: 'logs',
    }),
  );
  const interrupted = together(
    inState('interrupted'),
    (run) => ({
      level: 'warning',
      // Why, is often known only a moment later; the run's panel tells it.
      message: t('{0} was interrupted. It can go on from its last checkpoint.', withoutLinks(shortName(run))),
      runs: [run],
      offer: 'resume',
    }),
    () => ({
      level: 'warning',
      message: t(
        '{0} runs were interrupted. They can go on from their last checkpoints.',
        inState('interrupted').length,
      ),
      runs: inState('interrupted'),
      offer: 'resume',
    }),
  );
  if (level === 'problems') return [...failed, ...interrupted];
  const sweeps = new Set(ended.flatMap(({ sweep }) => sweep ?? []));
  const done = [...sweeps].flatMap((sweep) => {
    const members = [...all.values()].filter((run) => run.sweep === sweep);
    return members.some(({ state }) => isActive(state)) || !members.some(({ state }) => state === 'finished')
      ? []
      : [sweepNotice(sweep, members)];
  });
  const alone = inState('finished').filter(({ sweep }) => sweep === null);
  const finished = together(alone, finishedNotice, () => ({
    level: 'information',
    message: t('{0} runs finished.', alone.length),
    runs: alone,
    offer: 'compare',
  }));
  return [...failed, ...interrupted, ...done, ...finished].map((notice) => ({
    ...notice,
    message: withoutLinks(notice.message),
  }));
}

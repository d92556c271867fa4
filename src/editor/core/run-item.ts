import { cut, duration, grouped, moment, percent, score } from '../../base/format.ts';
import { methodShare } from '../../base/method-share.ts';
import type { RunSummary } from '../../store/summaries.ts';
import { labelLine, title } from '../../store/run-text.ts';
import { t } from './l10n.ts';
import { deedOf, methodTitle, taskTitle } from './titles.ts';
import { compact, markdown, markdownLine, oneLine } from './text.ts';

/** How a run is shown in trees, as plain data; views/ makes tree items of it. */
export interface RunItem {
  readonly label: string;
  readonly description: string;
  readonly icon: ItemIcon;
  /** Flags joined by `+`, for the `when` clauses of menus: `run+running+stoppable+unstarred`. */
  readonly contextValue: string;
  /** What a screen reader says: the state in words too. */
  readonly spoken: string;
}

export interface ItemIcon {
  readonly id: string;
  readonly color?: string;
}

const icons: Readonly<Record<RunSummary['state'], ItemIcon>> = {
  queued: { id: 'clock' },
  starting: { id: 'loading~spin' },
  running: { id: 'sync~spin', color: 'charts.blue' },
  finished: { id: 'pass', color: 'testing.iconPassed' },
  failed: { id: 'error', color: 'testing.iconFailed' },
  stopped: { id: 'stop-circle', color: 'disabledForeground' },
  interrupted: { id: 'warning', color: 'list.warningForeground' },
};

/** The icon and colour of a state, the same in every view. */
export function stateIcon(state: RunSummary['state']): ItemIcon {
  return icons[state];
}

/** A state in the user's language. */
export function stateText(state: string): string {
  switch (state) {
    case 'queued':
      return t('queued');
    case 'starting':
      return t('starting');
    case 'running':
      return t('running');
    case 'finished':
      return t('finished');
    case 'failed':
      return t('failed');
    case 'stopped':
      return t('stopped');
    case 'interrupted':
      return t('interrupted');
    default:
      return state;
  }
}

/** How far a run is, from 0 to 1; nothing while that can't be told. */
export function fractionDone({ step, totalSteps }: Pick<RunSummary, 'step' | 'totalSteps'>): number | undefined {
  return step === null || totalSteps === null || totalSteps === 0 ? undefined : Math.min(1, step / totalSteps);
}

/** How far a run is that has a process, in a few words. */
export function progressText(run: RunSummary): string {
  if (run.state === 'queued') return t('waits');
  if (run.state === 'starting') return t('prepares');
  const done = fractionDone(run);
  if (done === undefined) return t('begins');
  const share = `${Math.floor(100 * done)} %`;
  return run.remainingMs === null ? share : t('{0}, {1} left', share, duration(run.remainingMs));
}

/**
 * The flags of a run: what can be done with it.
 * @param unseen whether a machine holds it that cannot be seen from here
 */
export function flagsOf(run: Pick<RunSummary, 'state' | 'starred'>, { unseen = false } = {}): string {
  const { state, starred } = run;
  const ability =
    state === 'queued'
      ? 'cancellable'
      : state === 'starting' || state === 'running'
        ? 'stoppable'
        : state === 'finished'
          ? 'removable'
          : 'removable+resumable';
  return `run+${state}+${ability}${unseen ? '+unseen' : ''}+${starred ? 'starred' : 'unstarred'}`;
}

/** An epsilon to three digits: `ε 7.98`. */
export function epsilonText(epsilon: number): string {
  return `ε ${Number(epsilon.toPrecision(3))}`;
}

/** What a run is called: what its sweep set for it, its name, or what it does. */
export function runName(run: RunSummary, { inSweep = false } = {}): string {
  const own = inSweep ? labelLine(run.label) : title(run);
  return oneLine(own) || oneLine(run.name ?? '') || oneLine(deedOf(run)) || run.id;
}

/** As {@link runName}, as much of it as a sentence can hold. */
export function shortName(run: RunSummary): string {
  return cut(runName(run), 80);
}

const longestTabTitle = 60;

/**
 * What the tab of a run's panel is called; empty while nothing is known to call it by. What tells it from the others of its sweep comes
 * first: the end of a tab is the first thing to be cut.
 */
export function tabTitle(run: Pick<RunSummary, 'name' | 'label' | 'method' | 'task'>): string {
  const own = [labelLine(run.label), run.name ?? ''].map(oneLine).filter((part) => part !== '');
  return cut(own.join(' · ') || oneLine(deedOf(run)), longestTabTitle);
}

function describe(run: RunSummary): string {
  const { state, parameters, epsilon, starred } = run;
  const parts: string[] = [];
  if (state === 'running' || state === 'starting') parts.push(progressText(run));
  if (run.score !== null) parts.push(score(run.score));
  if (parameters !== null) parts.push(compact(parameters.total));
  if (epsilon !== null) parts.push(epsilonText(epsilon));
  if (state === 'failed' || state === 'interrupted')
    parts.push(oneLine(cut(run.failure?.message?.split('\n')[0] ?? stateText(state), 60)));
  if (state === 'stopped' && run.step !== null) parts.push(t('at step {0}', grouped(run.step)));
  return `${starred ? '★ ' : ''}${parts.filter((part) => part !== '').join(' · ')}`.trim();
}

/**
 * @param inSweep whether it stands under its sweep, which says what all of its runs have in common
 * @param unseen whether a machine holds it that cannot be seen from here
 */
export function runItem(run: RunSummary, { inSweep = false, unseen = false } = {}): RunItem {
  const label = cut(runName(run, { inSweep }), 120);
  const description = describe(run);
  return {
    label,
    description,
    icon: icons[run.state],
    contextValue: flagsOf(run, { unseen }),
    spoken: [label, stateText(run.state), description].filter((part) => part !== '').join(', '),
  };
}

function rate(examplesPerSecond: number | null): string {
  return examplesPerSecond === null ? '' : t('{0} examples/s', Number(examplesPerSecond.toPrecision(3)));
}

/** What is trained, and what of it belongs to the method and to the head. */
function trainedText({ parameters }: RunSummary): string {
  if (parameters === null) return '';
  const { method, head, total } = parameters;
  const share = methodShare(parameters);
  return share === undefined
    ? t('{0} ({1} method + {2} head)', grouped(total), grouped(method), grouped(head))
    : t(
        '{0} ({1} method, {2} of the frozen weights, + {3} head)',
        grouped(total),
        grouped(method),
        percent(share, 1),
        grouped(head),
      );
}

function deviceText({ provider, host }: RunSummary): string {
  if (provider === null || host === null) return provider ?? host ?? '';
  return t('{0} on {1}', provider, host);
}

/** The tooltip as Markdown. Whatever comes from files or people is escaped. */
export function runTooltip(run: RunSummary): string {
  const { failure } = run;
  const at =
    run.step === null || run.totalSteps === null
      ? ''
      : t('step {0} of {1}', grouped(run.step), grouped(run.totalSteps));
  const rows: readonly (readonly [name: string, value: string])[] = [
    [t('Model'), run.model ?? ''],
    [t('Task'), run.task === null ? '' : taskTitle(run.task)],
    [t('Method'), run.method === null ? '' : methodTitle(run.method)],
    [t('Seed'), run.seed === null ? '' : String(run.seed)],
    [t('Sweep'), labelLine(run.label)],
    [
      t('Score'),
      run.score === null
        ? ''
        : run.bestStep === null
          ? score(run.score)
          : t('{0} at step {1}', score(run.score), grouped(run.bestStep)),
    ],
    [t('Trained'), trainedText(run)],
    [t('Privacy'), run.epsilon === null ? '' : epsilonText(run.epsilon)],
    [t('Progress'), [at, rate(run.examplesPerSecond)].filter((part) => part !== '').join(', ')],
    [t('Time left'), run.remainingMs === null ? '' : duration(run.remainingMs)],
    [t('Trained for'), run.trainSeconds === null ? '' : duration(run.trainSeconds * 1000)],
    [t('Device'), deviceText(run)],
    [t('Made'), run.createdAt === null ? '' : moment(run.createdAt)],
    [t('Tags'), run.tags.join(', ')],
  ];
  const told = rows.filter(([, value]) => value !== '');
  const table = ['| | |', '| --- | --- |', ...told.map(([name, value]) => `| ${name} | ${markdownLine(value)} |`)];
  const parts = [`**${markdownLine(runName(run))}** — ${stateText(run.state)}`, table.join('\n')];
  if (failure?.message !== null && failure?.message !== undefined && run.state !== 'finished')
    parts.push(markdown(cut(failure.message, 600)));
  if (run.note !== '') parts.push(`> ${markdown(cut(run.note, 400)).replaceAll('\n', '\n> ')}`);
  parts.push(`\`${run.id.replaceAll('`', '')}\``);
  return parts.join('\n\n');
}

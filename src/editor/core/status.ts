import { duration } from '../../base/format.ts';
import type { RunSummary } from '../../store/summaries.ts';
import { t } from './l10n.ts';
import { fractionDone, progressText, shortName } from './run-item.ts';
import { markdownLine } from './text.ts';

/** What the status bar shows of the runs of all folders. */
export interface StatusText {
  /** With `$(icons)`. */
  readonly text: string;
  /** As Markdown. */
  readonly tooltip: string;
  readonly spoken: string;
}

const mostListed = 8;

/** Nothing where no run is under way. */
export function statusText(runs: Iterable<RunSummary>): StatusText | undefined {
  const running: RunSummary[] = [];
  let queued = 0;
  for (const run of runs) {
    if (run.state === 'running' || run.state === 'starting') running.push(run);
    else if (run.state === 'queued') queued++;
  }
  if (running.length === 0 && queued === 0) return undefined;
  const counts = [
    running.length === 0 ? '' : t('{0} running', running.length),
    queued === 0 ? '' : t('{0} queued', queued),
  ]
    .filter((part) => part !== '')
    .join(', ');
  const known = running.flatMap((run) => fractionDone(run) ?? []);
  const done = known.length === 0 ? '' : `${Math.floor((100 * known.reduce((a, b) => a + b, 0)) / known.length)} %`;
  // Those that run at once end when the slowest of them does.
  const left = Math.max(...running.map((run) => run.remainingMs ?? -1));
  const eta = left < 0 ? '' : duration(left);
  const icon = running.length === 0 ? '$(clock)' : '$(sync~spin)';
  const parts = ['PEFT', counts, done, eta].filter((part) => part !== '');
  const listed = running
    .slice(0, mostListed)
    .map((run) => `- ${markdownLine(shortName(run))}: ${markdownLine(progressText(run))}`);
  const more = running.length > mostListed ? [`- ${t('… and {0} more', running.length - mostListed)}`] : [];
  return {
    text: `${icon} ${[`PEFT ${counts}`, done, eta].filter((part) => part !== '').join(' · ')}`,
    tooltip: [`**${counts}**`, [...listed, ...more].join('\n')].filter((part) => part !== '').join('\n\n'),
    spoken: parts.join(', '),
  };
}

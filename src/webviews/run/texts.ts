import { methodShare } from '../../base/method-share.ts';
import type { Fact } from '../components/facts.ts';
import { digitsOf, type Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import type { ChartPlan } from './charts.ts';
import { summariseCurve, type CurveData } from './curve-data.ts';
import type { Summary } from './messages.ts';

/** What the run panel says in words. Everything that comes from a run's files stays plain text. */

/** The run's name as a person would say it. */
export function runTitle(summary: Summary, strings: Strings): string {
  if (summary.name !== null && summary.name.trim() !== '') return summary.name;
  const parts = [summary.method, summary.task].filter((part) => part !== null);
  return parts.length === 0 ? fill(strings.unnamedRun, { id: summary.id.slice(-6) }) : parts.join(' · ');
}

function memoryFact({ peakBytes }: Summary, strings: Strings, formats: Formats): Fact[] {
  return peakBytes === null ? [] : [{ title: strings.memoryPeak, value: formats.bytes(peakBytes) }];
}

function deviceFact({ provider, threads, deviceReason }: Summary, strings: Strings): Fact[] {
  if (provider === null) return [];
  const value = threads === null ? provider : `${provider} × ${threads}`;
  if (deviceReason === null) return [{ title: strings.device, value }];
  // Whether it was asked for stands before what came of trying others, which is told among the environment.
  const [detail = deviceReason] = deviceReason.split(/[:;]/);
  return [{ title: strings.device, value, detail, ...(detail === deviceReason ? {} : { whole: deviceReason }) }];
}

function parametersFact({ parameters }: Summary, strings: Strings, formats: Formats): Fact[] {
  if (parameters === null) return [];
  const counts = { method: formats.integer(parameters.method), head: formats.integer(parameters.head) };
  const share = methodShare(parameters);
  const detail =
    share === undefined
      ? fill(strings.parametersSplit, counts)
      : fill(strings.parametersSplitOf, { ...counts, share: formats.share(share) });
  return [{ title: strings.parameters, value: formats.integer(parameters.total), detail }];
}

function timeFact(summary: Summary, strings: Strings, formats: Formats): Fact[] {
  if (summary.state === 'running' && summary.remainingMs !== null)
    return [{ title: strings.eta, value: formats.duration(summary.remainingMs) }];
  if (summary.trainSeconds !== null)
    return [{ title: strings.duration, value: formats.duration(1000 * summary.trainSeconds) }];
  return [];
}

function epsilonFact({ epsilon, delta, targetEpsilon }: Summary, strings: Strings, formats: Formats): Fact[] {
  if (epsilon === null) return [];
  const title = delta === null ? strings.privacyLoss : fill(strings.epsilonAt, { delta: formats.number(delta) });
  const target =
    targetEpsilon === null ? {} : { detail: fill(strings.epsilonOfTarget, { target: formats.number(targetEpsilon) }) };
  return [{ title, value: formats.number(epsilon), ...target }];
}

function scoreFact({ score, bestStep, lastScore }: Summary, strings: Strings, formats: Formats): Fact[] {
  if (score === null) return [];
  const detail = [
    ...(bestStep === null ? [] : [fill(strings.at, { step: formats.integer(bestStep) })]),
    ...(lastScore === null || lastScore === score ? [] : [`${strings.last} ${formats.metric(lastScore)}`]),
  ];
  return [
    {
      title: strings.score,
      value: formats.metric(score),
      ...(detail.length > 0 ? { detail: detail.join(' · ') } : {}),
    },
  ];
}

/** The header's facts; what is not known (yet) is left out. */
export function factsOf(summary: Summary, strings: Strings, formats: Formats): readonly Fact[] {
  const { examplesPerSecond, loss } = summary;
  return [
    ...scoreFact(summary, strings, formats),
    ...(loss === null ? [] : [{ title: strings.loss, value: formats.number(loss) }]),
    ...parametersFact(summary, strings, formats),
    ...epsilonFact(summary, strings, formats),
    ...timeFact(summary, strings, formats),
    ...(examplesPerSecond === null
      ? []
      : [
          {
            title: strings.throughput,
            value: fill(strings.throughputValue, { n: formats.integer(examplesPerSecond) }),
          },
        ]),
    ...memoryFact(summary, strings, formats),
    ...deviceFact(summary, strings),
  ];
}

/** Whether something of the run may come yet. */
function isUnderWay({ state }: Pick<Summary, 'state'>): boolean {
  return state === 'queued' || state === 'starting' || state === 'running';
}

/** Why there are no curves. */
export function noCurvesText(summary: Pick<Summary, 'state'>, strings: Strings): string {
  return isUnderWay(summary) ? strings.noCurves : strings.noCurvesEver;
}

/** Why there are no results. */
export function noResultsText(summary: Pick<Summary, 'state'>, strings: Strings): string {
  return isUnderWay(summary) ? strings.noEvaluations : strings.noEvaluationsEver;
}

/** How far the run has come, from 0 to 1; null before that can be told. */
export function progressOf({ step, totalSteps, state }: Summary): number | null {
  if (state === 'finished') return 1;
  if (step === null || totalSteps === null || totalSteps === 0) return null;
  return Math.min(1, step / totalSteps);
}

/** `Step 120 of 400 · epoch 1.36`, or why there is no such thing. */
export function progressText(summary: Summary, strings: Strings, formats: Formats): string {
  const { step, totalSteps, epoch, state } = summary;
  if (step === null || totalSteps === null) return state === 'queued' ? strings.waiting : '';
  const steps = fill(strings.progressOf, { step: formats.integer(step), total: formats.integer(totalSteps) });
  return epoch === null
    ? steps
    : `${steps} · ${strings.epoch.toLowerCase()} ${formats.number(Math.round(100 * epoch) / 100)}`;
}

/** What stands before a line of the log; nothing before those that only inform. */
export function levelText(level: string, strings: Strings): string {
  if (level === 'info') return '';
  const name = { error: strings.levelError, warning: strings.levelWarning }[level] ?? level;
  return `${name}: `;
}

/** A number of a chart in its unit. */
export function chartNumber(value: number, unit: ChartPlan['unit'], strings: Strings, formats: Formats): string {
  if (!Number.isFinite(value)) return strings.notFinite;
  return unit === 'bytes' ? formats.bytes(value) : formats.number(value);
}

/** The numbers of an axis, evenly apart: all in the way that the greatest of them needs, with the digits that tell them apart. */
export function tickTexts(ticks: readonly number[], formats: Formats): readonly string[] {
  const greatest = Math.max(...ticks.map(Math.abs));
  const gap = Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0));
  const isPlain = greatest < 10_000 && greatest >= 0.005 && gap >= 1e-6;
  return ticks.map((value) => {
    if (isPlain) return formats.fixed(value, digitsOf(gap));
    return value === 0 ? '0' : formats.compactOrScientific(value);
  });
}

/** A chart in one sentence, for those who can't see it. */
export function chartText(
  plan: ChartPlan,
  curves: ReadonlyMap<string, CurveData>,
  strings: Strings,
  formats: Formats,
): string {
  const series = plan.series.flatMap(({ metric, label }) => {
    const data = curves.get(metric);
    const summary = data === undefined ? null : summariseCurve(data);
    if (data === undefined || summary === null) return [];
    const number = (value: number): string => chartNumber(value, plan.unit, strings, formats);
    return [
      fill(data.total === 1 ? strings.seriesSummaryOne : strings.seriesSummary, {
        name: label,
        last: number(summary.last),
        step: formats.integer(summary.lastStep),
        low: number(summary.low),
        high: number(summary.high),
        n: formats.integer(data.total),
      }),
    ];
  });
  return series.length === 0
    ? fill(strings.chartNoNumbers, { title: plan.title })
    : fill(strings.chartSummary, { title: plan.title, series: series.join('; ') });
}

import type { StringKey, Strings } from '../strings.ts';

/** Which curves are drawn together, and in what order. */
export interface Series {
  /** The curve's name in the store. */
  readonly metric: string;
  readonly label: string;
  /** Measured at evaluations, so that each point counts and none is smoothed. */
  readonly isEvaluation: boolean;
}

export interface ChartPlan {
  readonly id: string;
  readonly title: string;
  readonly unit: 'number' | 'bytes';
  readonly series: readonly Series[];
}

/** Curves that are no step's own numbers and have a chart with this title. */
const titles: Readonly<Record<string, StringKey>> = {
  learningRate: 'learningRate',
  gradientNorm: 'gradientNorm',
  epsilon: 'privacyLoss',
  examplesPerSecond: 'examplesPerSecond',
  tokensPerSecond: 'tokensPerSecond',
};

/** What a private run keeps from its public record: there every step has no loss and no tokens. */
const withheld: ReadonlySet<string> = new Set(['loss', 'tokensPerSecond']);
const last: readonly string[] = ['examplesPerSecond', 'tokensPerSecond'];
/** What is set or added up rather than measured, and has no noise to smooth. */
const smoothAsTheyAre: ReadonlySet<string> = new Set(['learningRate', 'epsilon', 'residentBytes', 'peakResidentBytes']);
const memory: readonly string[] = ['residentBytes', 'peakResidentBytes'];

function splitName(metric: string): readonly [split: string, name: string] | undefined {
  const slash = metric.indexOf('/');
  return slash < 0 ? undefined : [metric.slice(0, slash), metric.slice(slash + 1)];
}

/** Whether a curve is smoothed when the user wants it: each point of an evaluation counts. */
export function isSmoothed(metric: string): boolean {
  return !metric.includes('/') && !smoothAsTheyAre.has(metric);
}

/** `clippedFraction` as `Clipped fraction`, `f1` as `F1`. */
export function titleOf(name: string): string {
  if (name.length <= 3) return name.toUpperCase();
  const words = name.replaceAll(/([\p{Ll}\d])(\p{Lu})/gu, (_, before: string, after: string) => {
    return `${before} ${after.toLowerCase()}`;
  });
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

/**
 * The charts of a run: the loss (of steps and evaluations), each metric with its splits (the score first), learning rate, gradient
 * norm, privacy loss, whatever else a run records, then speed and memory. A curve that this version does not know has its own.
 * Of a private run there are no charts of what it withholds.
 */
export function chartsOf(
  names: readonly string[],
  strings: Strings,
  { isPrivate = false }: { readonly isPrivate?: boolean } = {},
): readonly ChartPlan[] {
  const charts: ChartPlan[] = [];
  const own = new Set(names.filter((name) => splitName(name) === undefined && !(isPrivate && withheld.has(name))));
  const evaluated = names.flatMap((metric) => {
    const parts = splitName(metric);
    return parts === undefined ? [] : [{ metric, split: parts[0], name: parts[1] }];
  });

  const losses: Series[] = [
    ...(own.has('loss') ? [{ metric: 'loss', label: strings.train, isEvaluation: false }] : []),
    ...evaluated
      .filter(({ name }) => name === 'loss')
      .map(({ metric, split }) => ({ metric, label: split, isEvaluation: true })),
  ];
  if (losses.length > 0) charts.push({ id: 'loss', title: strings.loss, unit: 'number', series: losses });

  const metricNames = [...new Set(evaluated.map(({ name }) => name))].filter((name) => name !== 'loss');
  // A task's single number is what people look for.
  const byScore = [...metricNames].sort((a, b) => Number(b === 'score') - Number(a === 'score'));
  for (const name of byScore) {
    const series = evaluated
      .filter((each) => each.name === name)
      .map(({ metric, split }) => ({ metric, label: split, isEvaluation: true }));
    charts.push({ id: `metric ${name}`, title: titleOf(name), unit: 'number', series });
  }

  const single = (metric: string): ChartPlan => {
    const key = Object.hasOwn(titles, metric) ? titles[metric] : undefined;
    const title = key === undefined ? titleOf(metric) : strings[key];
    return { id: metric, title, unit: 'number', series: [{ metric, label: title, isEvaluation: false }] };
  };
  const known = Object.keys(titles);
  const others = [...own].filter((name) => name !== 'loss' && !known.includes(name) && !memory.includes(name));
  const order = [...known.filter((name) => !last.includes(name)), ...others, ...last];
  charts.push(...order.filter((name) => own.has(name)).map(single));

  const memories = memory.filter((name) => own.has(name));
  if (memories.length > 0)
    charts.push({
      id: 'memory',
      title: strings.memory,
      unit: 'bytes',
      series: memories.map((metric) => ({
        metric,
        label: metric === 'peakResidentBytes' ? strings.peak : strings.residentBytes,
        isEvaluation: false,
      })),
    });
  return charts;
}

import type * as z from 'zod/mini';
import { oneAtATime } from '../../base/one-at-a-time.ts';
import type { Question } from '../protocol.ts';
import { isSmoothed } from './charts.ts';
import { append, curveOf, isOverfull, pointBudget, type CurveData } from './curve-data.ts';
import {
  artifacts,
  curveAnswer,
  curveNames,
  evaluations,
  logAnswer,
  settings,
  summary,
  trouble,
  type Artifact,
  type CurveNames,
  type Evaluation,
  type LogLine,
  type Settings,
  type Summary,
  type Trouble,
} from './messages.ts';
import { makePrivacyModel, type PrivacyModel } from './privacy-model.ts';

/** All that the run panel knows, and how it comes to know it. */
export interface RunModel {
  readonly summary: () => Summary | undefined;
  readonly evaluations: () => readonly Evaluation[];
  readonly configuration: () => Settings;
  readonly environment: () => Settings;
  readonly artifacts: () => readonly Artifact[];
  readonly curveNames: () => CurveNames | undefined;
  readonly curves: () => ReadonlyMap<string, CurveData>;
  readonly log: () => readonly LogLine[];
  readonly trouble: () => Trouble | undefined;
  readonly privacy: PrivacyModel;
  /** Takes the values that have changed; curves and log lines are then asked for. */
  readonly update: (values: ReadonlyMap<string, unknown>, keys: readonly string[]) => void;
  /** The weight of the moving average; 0 for none. */
  readonly setSmoothing: (weight: number) => void;
  /** Every curve between two steps, thinned to the same number of points; they are not kept. */
  readonly closer: (
    metrics: readonly string[],
    fromStep: number,
    toStep: number,
  ) => Promise<ReadonlyMap<string, CurveData>>;
}

export interface RunModelOptions {
  readonly ask: (question: Question) => Promise<unknown>;
  readonly onChange: () => void;
  readonly onProblem: (problem: unknown) => void;
  readonly smoothing?: number;
}

/** So many lines of the log are shown. */
export const logLimit = 1000;

function parsed<T>(schema: z.ZodMiniType<T>, value: unknown): T | undefined {
  const result = schema.safeParse(value);
  return result.success ? result.data : undefined;
}

/** What loads something, for callers who don't wait for it. */
function loader(load: () => Promise<void>, onProblem: (problem: unknown) => void): () => void {
  const loadAgain = oneAtATime(() => load().catch(onProblem));
  return () => void loadAgain();
}

/** The model of a run without anything. */
export function makeRunModel({ ask, onChange, onProblem, smoothing: first = 0 }: RunModelOptions): RunModel {
  let values: ReadonlyMap<string, unknown> = new Map();
  let curves: ReadonlyMap<string, CurveData> = new Map();
  let log: readonly LogLine[] = [];
  let life: string | undefined;
  let smoothing = first;
  let smoothedWith = first;
  const known = new Map<string, { readonly raw: unknown; readonly value: unknown }>();

  /** The parsed value of a key, parsed once. */
  function at<T>(key: string, schema: z.ZodMiniType<T>): T | undefined {
    const raw = values.get(key);
    const found = known.get(key);
    if (found !== undefined && found.raw === raw) return found.value as T | undefined;
    const value = raw === undefined ? undefined : parsed(schema, raw);
    known.set(key, { raw, value });
    return value;
  }

  const names = (): CurveNames | undefined => at('curves', curveNames);

  async function answers(question: Question): Promise<z.infer<typeof curveAnswer>> {
    return curveAnswer.parse(await ask(question));
  }

  const loadCurves = loader(async () => {
    const wanted = names();
    if (wanted === undefined) return;
    const weight = smoothing;
    const isAnew = wanted.life !== life || weight !== smoothedWith;
    const held = isAnew ? new Map<string, CurveData>() : curves;
    const grown = wanted.names.filter((name) => {
      const data = held.get(name);
      return data !== undefined && !isOverfull(data);
    });
    const [whole, more] = await Promise.all([
      answers({
        kind: 'curves',
        queries: wanted.names
          .filter((metric) => !grown.includes(metric))
          .map((metric) => ({
            metric,
            points: pointBudget,
            ...(weight > 0 && isSmoothed(metric) ? { smoothing: weight } : {}),
          })),
      }),
      answers({
        kind: 'curves',
        queries: grown.map((metric) => ({
          metric,
          points: pointBudget,
          fromStep: (held.get(metric)?.step.at(-1) ?? -1) + 1,
        })),
      }),
    ]);
    const next = new Map(held);
    for (const answer of whole) next.set(answer.metric, curveOf(answer));
    for (const answer of more) {
      const data = next.get(answer.metric);
      // Of thinned points no average can go on; the curve is asked for as a whole.
      if (answer.total > answer.step.length) next.delete(answer.metric);
      else if (data !== undefined) next.set(answer.metric, append(data, answer, weight));
    }
    curves = next;
    life = wanted.life;
    smoothedWith = weight;
    if (next.size < whole.length + more.length) loadCurves();
    else onChange();
  }, onProblem);

  const loadLog = loader(async () => {
    const last = log.at(-1);
    const lines = logAnswer.parse(
      await ask({
        kind: 'log',
        limit: logLimit,
        ...(last === undefined ? {} : { after: { segment: last.segment, seq: last.seq } }),
      }),
    );
    if (lines.length === 0) return;
    log = [...log, ...lines].slice(-logLimit);
    onChange();
  }, onProblem);

  return {
    summary: () => at('summary', summary),
    evaluations: () => at('evaluations', evaluations) ?? [],
    configuration: () => at('configuration', settings) ?? [],
    environment: () => at('environment', settings) ?? [],
    artifacts: () => at('artifacts', artifacts) ?? [],
    curveNames: names,
    curves: () => curves,
    log: () => log,
    trouble: () => at('trouble', trouble),
    privacy: makePrivacyModel({ ask, onChange, onProblem }),
    update(next, keys) {
      values = next;
      if (keys.includes('curves')) loadCurves();
      if (keys.includes('log')) loadLog();
      onChange();
    },
    setSmoothing(weight) {
      if (weight === smoothing) return;
      smoothing = weight;
      loadCurves();
    },
    async closer(metrics, fromStep, toStep) {
      const weight = smoothing;
      const found = await answers({
        kind: 'curves',
        queries: metrics.map((metric) => ({
          metric,
          fromStep,
          toStep,
          points: pointBudget,
          ...(weight > 0 && isSmoothed(metric) ? { smoothing: weight } : {}),
        })),
      });
      return new Map(found.map((answer) => [answer.metric, curveOf(answer)]));
    },
  };
}

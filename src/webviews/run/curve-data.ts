import { smooth, type Smoothing } from '../../base/smoothing.ts';
import type { CurveAnswer } from './messages.ts';

/** A curve as the panel holds it: thinned where it is long, by ascending step. NaN is no number. */
export interface CurveData {
  readonly step: readonly number[];
  readonly epoch: readonly number[];
  /** Milliseconds since 1970. */
  readonly time: readonly number[];
  readonly value: readonly number[];
  /** The moving average at each step, where there is one. */
  readonly smoothed: { readonly value: readonly number[]; readonly state: Smoothing } | undefined;
  /** Points before thinning. */
  readonly total: number;
}

/** The answer of the host as the panel holds it. */
export function curveOf(answer: CurveAnswer): CurveData {
  const { step, epoch, time, value, smoothed, total } = answer;
  return {
    step: [...step],
    epoch: [...epoch],
    time: [...time],
    value: [...value],
    smoothed: smoothed === undefined ? undefined : { value: [...smoothed.value], state: smoothed.state },
    total,
  };
}

/** The curve with what an unsmoothed answer has beyond its last step; the average goes on from where it was. */
export function append(data: CurveData, answer: CurveAnswer, smoothing: number): CurveData {
  const last = data.step.at(-1) ?? -1;
  const begin = answer.step.findIndex((step) => step > last);
  if (begin < 0) return data;
  const added = curveOf(answer);
  const value = added.value.slice(begin);
  const on = data.smoothed === undefined ? undefined : smooth(value, smoothing, data.smoothed.state);
  return {
    step: [...data.step, ...added.step.slice(begin)],
    epoch: [...data.epoch, ...added.epoch.slice(begin)],
    time: [...data.time, ...added.time.slice(begin)],
    value: [...data.value, ...value],
    smoothed:
      on === undefined || data.smoothed === undefined
        ? undefined
        : { value: [...data.smoothed.value, ...on.values], state: on.state },
    total: data.total + answer.total - begin,
  };
}

/** What is drawn along the horizontal axis. */
export type Axis = 'step' | 'epoch' | 'time';

/**
 * The horizontal places of a curve's points, ascending: steps, epochs, or milliseconds since the start. A clock that was set back
 * stands still until it has caught up, and nothing comes before the start.
 */
export function placesOf(data: CurveData, axis: Axis, startedAt: number | null): readonly number[] {
  if (axis === 'step') return data.step;
  const begin = startedAt ?? data.time[0] ?? 0;
  const places = axis === 'epoch' ? data.epoch : data.time.map((time) => time - begin);
  let greatest = axis === 'time' ? 0 : -Infinity;
  return places.map((place) => {
    if (place > greatest) greatest = place;
    return Number.isFinite(greatest) ? greatest : 0;
  });
}

/** The places that all curves together cover, for one axis that they share; null without any. */
export function extentOf(
  curves: Iterable<CurveData>,
  axis: Axis,
  startedAt: number | null,
): readonly [low: number, high: number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (const data of curves) {
    const places = placesOf(data, axis, startedAt);
    low = Math.min(low, places[0] ?? Infinity);
    high = Math.max(high, places.at(-1) ?? -Infinity);
  }
  return low < high ? [low, high] : null;
}

/** The values of a curve in a nutshell; null where none is a finite number. */
export interface CurveSummary {
  readonly last: number;
  readonly lastStep: number;
  readonly low: number;
  readonly high: number;
}

/** Lowest, highest and last of a curve's finite values; null where it has none. */
export function summariseCurve(data: CurveData): CurveSummary | null {
  let [low, high, lastIndex] = [Infinity, -Infinity, -1];
  for (const [index, value] of data.value.entries()) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
    lastIndex = index;
  }
  if (lastIndex < 0) return null;
  return { last: data.value[lastIndex] ?? NaN, lastStep: data.step[lastIndex] ?? 0, low, high };
}

/** Up to how many points a chart gets: about two for each of its columns of pixels. */
export const pointBudget = 2000;

/** Whether a curve has grown so much since it was thinned that it should be asked for anew. */
export function isOverfull(data: CurveData): boolean {
  return data.step.length > 2 * pointBudget;
}

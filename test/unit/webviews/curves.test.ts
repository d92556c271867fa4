import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { smooth } from '../../../src/base/smoothing.ts';
import { chartsOf, isSmoothed } from '../../../src/webviews/run/charts.ts';
import {
  append,
  curveOf,
  extentOf,
  placesOf,
  summariseCurve,
  type CurveData,
} from '../../../src/webviews/run/curve-data.ts';
import type { CurveAnswer } from '../../../src/webviews/run/messages.ts';
import { english } from '../../../src/webviews/strings.ts';

const start = 1_700_000_000_000;

function answer(steps: readonly number[], values: readonly number[], smoothing?: number): CurveAnswer {
  const average = smoothing === undefined ? undefined : smooth(values, smoothing);
  return {
    metric: 'loss',
    step: Float64Array.from(steps),
    epoch: Float64Array.from(steps, (step) => step / 10),
    time: Float64Array.from(steps, (step) => start + 100 * step),
    value: Float64Array.from(values),
    total: steps.length,
    ...(average === undefined ? {} : { smoothed: { value: Float64Array.from(average.values), state: average.state } }),
  };
}

describe('a curve', () => {
  it('grows to the same as when it is asked for as a whole, however the answers overlap', () => {
    const pieces = fc.array(fc.record({ length: fc.nat(6), back: fc.nat(4) }), { maxLength: 8 });
    fc.assert(
      fc.property(pieces, fc.constantFrom(0, 0.6, 0.95), (plan, weight) => {
        const value = (step: number): number => Math.sin(step);
        let reached = 1;
        let data: CurveData = curveOf(answer([1], [value(1)], weight));
        for (const { length, back } of plan) {
          const from = Math.max(1, reached + 1 - back);
          const steps = Array.from({ length: length + back }, (_, index) => from + index);
          data = append(data, answer(steps, steps.map(value)), weight);
          reached = Math.max(reached, steps.at(-1) ?? 0);
        }
        const all = Array.from({ length: reached }, (_, index) => index + 1);
        expect(data).toEqual(curveOf(answer(all, all.map(value), weight)));
      }),
    );
  });

  it('has ascending places on every axis, also after the clock was set back', () => {
    const data = curveOf(answer([1, 2, 3], [1, 2, 3]));
    const wound = { ...data, time: [start + 100, start + 50, start + 200] };
    expect(placesOf(wound, 'time', start)).toEqual([100, 100, 200]);
    expect(placesOf(wound, 'time', start + 150)).toEqual([0, 0, 50]);
    expect(placesOf(data, 'step', start)).toEqual([1, 2, 3]);
    expect(placesOf(data, 'epoch', start)).toEqual([0.1, 0.2, 0.3]);
    expect(placesOf({ ...data, epoch: [NaN, 0.5, NaN] }, 'epoch', null)).toEqual([0, 0.5, 0.5]);
  });

  it('is summarised by its finite values', () => {
    expect(summariseCurve(curveOf(answer([1, 2, 3, 4], [2, NaN, 1, NaN])))).toEqual({
      last: 1,
      lastStep: 3,
      low: 1,
      high: 2,
    });
    expect(summariseCurve(curveOf(answer([1], [NaN])))).toBeNull();
  });

  it('shares its axis with the other curves of the run', () => {
    const curves = [curveOf(answer([1, 50], [1, 1])), curveOf(answer([10, 60], [1, 1]))];
    expect(extentOf(curves, 'step', start)).toEqual([1, 60]);
    expect(extentOf([curveOf(answer([5], [1]))], 'step', start)).toBeNull();
  });
});

describe('the charts of a run', () => {
  const names = [
    'clippedFraction',
    'dev-mismatched/accuracy',
    'dev-mismatched/loss',
    'dev/accuracy',
    'dev/f1',
    'dev/loss',
    'dev/score',
    'epsilon',
    'examplesPerSecond',
    'gradientNorm',
    'learningRate',
    'loss',
    'peakResidentBytes',
    'residentBytes',
    'tokensPerSecond',
  ];

  it('draw every curve exactly once', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.oneof(fc.constantFrom(...names), fc.string({ minLength: 1 }))), (some) => {
        const drawn = chartsOf(some, english).flatMap(({ series }) => series.map(({ metric }) => metric));
        expect([...drawn].sort()).toEqual([...some].sort());
      }),
    );
  });

  it('begin with the loss, go on with the score, and end with speed and memory', () => {
    const charts = chartsOf(names, english);
    expect(charts.map(({ title }) => title)).toEqual([
      'Loss',
      'Score',
      'Accuracy',
      'F1',
      'Learning rate',
      'Gradient norm',
      'Privacy loss ε',
      'Clipped fraction',
      'Examples per second',
      'Tokens per second',
      'Memory',
    ]);
    expect(charts[0]?.series.map(({ label }) => label)).toEqual(['train', 'dev-mismatched', 'dev']);
  });

  it('of a private run leave out what it withholds, rather than call it no finite number', () => {
    const charts = chartsOf(names, english, { isPrivate: true });
    expect(charts.map(({ title }) => title)).not.toContain('Tokens per second');
    expect(charts[0]?.series.map(({ label }) => label)).toEqual(['dev-mismatched', 'dev']);
    expect(chartsOf(['loss', 'tokensPerSecond'], english, { isPrivate: true })).toEqual([]);
  });

  it('smooth what is noisy, never what was measured at an evaluation or merely set', () => {
    expect(names.filter(isSmoothed)).toEqual([
      'clippedFraction',
      'examplesPerSecond',
      'gradientNorm',
      'loss',
      'tokensPerSecond',
    ]);
  });
});

import { smooth, type Smoothing } from '../base/smoothing.ts';
import { limitOf, runReader } from './derive.ts';
import { thin, type Thinning } from './downsample.ts';
import { first, numberOf } from './rows.ts';
import { allAsArrays, type Database } from './sqlite.ts';
import { visible } from './visibility.ts';

export interface CurveQuery {
  readonly run: string;
  /** `loss`, `learningRate`, …; of evaluations `dev/score`, `dev/loss`, …; of resources `residentBytes`, … */
  readonly metric: string;
  /** The first and the last step, both included. */
  readonly fromStep?: number;
  readonly toStep?: number;
  /** At most this many points; all without it. */
  readonly points?: number;
  readonly thinning?: Thinning;
  /** Also the moving average with this weight of the past (base/smoothing.ts), over every point before any is thinned out. */
  readonly smoothing?: number;
}

/** A curve by columns, by ascending step, no step twice. */
export interface Curve {
  readonly run: string;
  readonly metric: string;
  readonly step: Float64Array;
  /** Epochs done, NaN where the event doesn't say. */
  readonly epoch: Float64Array;
  /** Milliseconds since 1970. */
  readonly time: Float64Array;
  /** NaN where the number was NaN or infinite. */
  readonly value: Float64Array;
  /** How many points there are before thinning. */
  readonly total: number;
  /** Where it was asked for: the average at each step, and its state after the last one, to go on from there. */
  readonly smoothed?: { readonly value: Float64Array; readonly state: Smoothing };
}

type PointTuple = readonly [step: number, epoch: number | null, time: number, value: number | null];

interface Point {
  readonly segment: number;
  readonly step: number;
  readonly epoch: number;
  readonly time: number;
  readonly value: number;
}

/** The curve; an empty one where run or metric are not there. */
export function curveOf(database: Database, query: CurveQuery): Curve {
  const { run, metric, fromStep = 0, toStep = Number.MAX_SAFE_INTEGER, points, thinning = 'minmax', smoothing } = query;
  const found = first(database.prepare('SELECT key FROM runs WHERE id = ?'), run);
  const key = found === undefined ? -1 : numberOf(found, 'key');
  const { newestFirst, horizon } = runReader(database).segments(key);
  const sql = `SELECT e.step, e.epoch, e.time, p.value
     FROM points p JOIN events e ON e.run = p.run AND e.segment = p.segment AND e.seq = p.seq
     WHERE p.run = ? AND p.metric = (SELECT id FROM metrics WHERE name = ?) AND p.segment = ? AND e.step BETWEEN ? AND ?
     ORDER BY p.seq`;
  const rows = newestFirst.toReversed().flatMap((segment) => {
    const last = Math.min(toStep, limitOf(horizon, segment) - 1);
    // An average depends on all that came before.
    const first = smoothing === undefined ? fromStep : 0;
    const found = allAsArrays(database, sql, key, metric, segment, first, last) as readonly PointTuple[];
    return found.map(([step, epoch, time, value]): Point => ({
      segment,
      step,
      epoch: epoch ?? NaN,
      time,
      value: value ?? NaN,
    }));
  });
  const all = visible(rows, horizon);
  const begin = all.findIndex(({ step }) => step >= fromStep);
  const skipped = begin < 0 ? all.length : begin;
  const shown = all.slice(skipped);
  const indices =
    points === undefined
      ? shown.map((_, index) => index)
      : thin(
          shown.map(({ step }) => step),
          shown.map(({ value }) => value),
          points,
          thinning,
        );
  const kept = indices.map((index) => shown[index] as Point);
  const average =
    smoothing === undefined
      ? undefined
      : smooth(
          all.map(({ value }) => value),
          smoothing,
        );
  return {
    run,
    metric,
    step: Float64Array.from(kept, ({ step }) => step),
    epoch: Float64Array.from(kept, ({ epoch }) => epoch),
    time: Float64Array.from(kept, ({ time }) => time),
    value: Float64Array.from(kept, ({ value }) => value),
    total: shown.length,
    ...(average === undefined
      ? {}
      : {
          smoothed: {
            value: Float64Array.from(indices, (index) => average.values[skipped + index] as number),
            state: average.state,
          },
        }),
  };
}

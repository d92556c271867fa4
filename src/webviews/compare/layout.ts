import { scaleLinear, scaleLog } from 'd3-scale';
import { medianOf } from '../../analysis/sample.ts';
import { digitsOf } from '../format.ts';
import { distinctLoss, type Point } from './points.ts';

/** Where the points of the chart go, in pixels. The panels of one chart share their scales, so that they can be compared. */

export interface Tick {
  readonly at: number;
  readonly value: number;
  /** Between the powers of ten of a log scale there is room for a line only. */
  readonly isLabelled: boolean;
}

/** The band of a category beside the scale. */
export interface Band {
  readonly from: number;
  readonly to: number;
}

/** Heights in pixels. */
export interface Whisker {
  readonly from: number;
  readonly to: number;
  readonly ends: readonly number[];
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly x: (point: Pick<Point, 'place' | 'label'>) => number;
  readonly y: (score: number) => number;
  /** What is drawn of an interval: a line, and an end where it does not go on beyond the chart. */
  readonly whisker: (interval: NonNullable<Point['interval']>) => Whisker;
  readonly xTicks: readonly Tick[];
  readonly yTicks: readonly Tick[];
  /** Where points without a number on the axis are; null when there are none. */
  readonly apart: Band | null;
  /** Digits after the point that tell the vertical ticks apart, as percentages. */
  readonly digits: number;
}

export interface LayoutOptions {
  readonly width: number;
  readonly height: number;
  /** Parameters are counted on a log scale; so are privacy losses when they differ much. */
  readonly axis: 'parameters' | 'epsilon';
}

const margin = { left: 60, right: 14, top: 10, bottom: 42 };
const bandWidth = 120;
/** The least that the vertical axis spans. */
const leastSpan = 0.01;
/** The room that a label of the horizontal axis takes. */
const labelWidth = 40;

/** 1, 2 and 5 of each power of ten. The powers have labels and, where these are few, so does what else there is room for. */
function logTicks(low: number, high: number, room: number): readonly { value: number; isLabelled: boolean }[] {
  const decades = Math.log10(high / low);
  const every = Math.max(1, Math.ceil((decades * labelWidth) / room));
  const ticks: { value: number; step: number; power: number }[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const step of [1, 2, 5]) {
      const value = step * 10 ** power;
      if (value >= low && value <= high) ticks.push({ value, step, power });
    }
  const labelled = ticks.filter(({ step, power }) => step === 1 && power % every === 0).map(({ value }) => value);
  const distance = (a: number, b: number): number => (Math.abs(Math.log10(a / b)) * room) / decades;
  if (decades < 2.2)
    for (const { value, step } of ticks)
      if (step !== 1 && labelled.every((other) => distance(value, other) >= labelWidth)) labelled.push(value);
  return ticks.map(({ value }) => ({ value, isLabelled: labelled.includes(value) }));
}

function extent(values: readonly number[]): readonly [low: number, high: number] | null {
  return values.length === 0 ? null : [Math.min(...values), Math.max(...values)];
}

/** What reads alike is one place. */
function placeKey(place: Point['place']): string {
  return place.kind === 'value' ? String(distinctLoss(place.value)) : 'apart';
}

function offsetKey(place: Point['place'], label: string): string {
  return `${placeKey(place)} ${label}`;
}

/**
 * Rows that share a place of the axis stand side by side there, in the order of their labels: a target of ε is the same for many
 * methods, and so is no privacy. Counts of parameters are left where they are.
 * @param atOnePlace the pixels that such rows may take on the scale
 */
function offsetsOf(
  points: readonly Point[],
  apart: Band | null,
  axis: LayoutOptions['axis'],
  atOnePlace: number,
): ReadonlyMap<string, number> {
  const labels = new Map<string, { readonly isApart: boolean; readonly labels: Set<string> }>();
  for (const { place, label } of points) {
    if (place.kind === 'value' && axis === 'parameters') continue;
    const key = placeKey(place);
    const found = labels.get(key) ?? { isApart: place.kind === 'apart', labels: new Set() };
    found.labels.add(label);
    labels.set(key, found);
  }
  const offsets = new Map<string, number>();
  for (const [key, { isApart, labels: members }] of labels) {
    const sorted = [...members].sort();
    const room = isApart && apart !== null ? apart.to - apart.from - 24 : atOnePlace;
    const gap = Math.min(isApart ? 40 : 7, room / Math.max(1, sorted.length - 1));
    for (const [index, label] of sorted.entries())
      offsets.set(`${key} ${label}`, gap * (index - (sorted.length - 1) / 2));
  }
  return offsets;
}

/**
 * The scores that the vertical axis holds: all points, and their intervals, as far as these do not make the points one. With two seeds an
 * interval may be ten times as wide as what methods differ by; such a one is cut.
 */
function scoresShown(points: readonly Point[]): readonly [low: number, high: number] {
  const [lowest, highest] = extent(points.map(({ score }) => score)) ?? [0, 1];
  const widths = points.flatMap(({ interval }) => (interval === null ? [] : [interval.high - interval.low]));
  const reach = Math.max(highest - lowest, widths.length === 0 ? 0 : medianOf(widths));
  const [low, high] = extent([
    lowest,
    highest,
    ...points.flatMap(({ interval }) =>
      interval === null ? [] : [Math.max(lowest - reach, interval.low), Math.min(highest + reach, interval.high)],
    ),
  ]) ?? [0, 1];
  // Scores that agree to a percentage point do so to the eye, too.
  const room = Math.max(0.08 * (high - low), (leastSpan - (high - low)) / 2);
  // No score lies beyond 1, however wide its interval; a metric that is none may.
  return [Math.max(Math.min(-1, lowest - room), low - room), Math.min(Math.max(1, highest + room), high + room)];
}

/** The layout of panels with these points, each `width` by `height`. */
export function layoutOf(points: readonly Point[], { width, height, axis }: LayoutOptions): Layout {
  const hasApart = points.some(({ place }) => place.kind === 'apart');
  // What a log scale cannot hold stands at its end.
  const values = points.flatMap(({ place }) =>
    place.kind === 'value' && place.value > 0 && Number.isFinite(place.value) ? [place.value] : [],
  );
  // Nothing trained is the least of parameters; no privacy is beyond every loss.
  const isApartLeft = axis === 'parameters';
  const band = hasApart ? Math.min(bandWidth, width / 4) : 0;
  const left = margin.left + (isApartLeft ? band : 0);
  const right = width - margin.right - (isApartLeft ? 0 : band);
  const [least, most] = extent(values) ?? [1, 10];
  const [low, high] = [least / 1.6, most * 1.6];
  const inset = 6;
  const scale = scaleLog([low, high], [left + inset, right - inset]);
  const isOnlyApart = points.every(({ place }) => place.kind === 'apart');
  const apart: Band | null = !hasApart
    ? null
    : isOnlyApart
      ? { from: margin.left, to: width - margin.right }
      : isApartLeft
        ? { from: margin.left, to: left }
        : { from: right, to: width - margin.right };
  // As far from the outermost place as the axis goes on beyond it.
  const offsets = offsetsOf(points, apart, axis, Math.min(56, 2 * (scale(least) - left)));

  const [yLow, yHigh] = scoresShown(points);
  const bottom = height - margin.bottom;
  const y = scaleLinear([yLow, yHigh], [bottom, margin.top]);
  const wanted = Math.max(2, Math.floor((bottom - margin.top) / 44));
  const yValues = y.ticks(wanted);

  return {
    width,
    height,
    left: margin.left,
    right: width - margin.right,
    top: margin.top,
    bottom,
    x: ({ place, label }) =>
      (offsets.get(offsetKey(place, label)) ?? 0) +
      (place.kind === 'value'
        ? scale(Math.min(high, Math.max(low, place.value)))
        : apart === null
          ? left
          : (apart.from + apart.to) / 2),
    y: (score) => y(score),
    whisker: ({ low: worst, high: best }) => ({
      from: y(Math.max(worst, yLow)),
      to: y(Math.min(best, yHigh)),
      ends: [worst, best].filter((end) => end >= yLow && end <= yHigh).map((end) => y(end)),
    }),
    xTicks: isOnlyApart
      ? []
      : logTicks(low, high, right - left).map(({ value, isLabelled }) => ({ value, isLabelled, at: scale(value) })),
    yTicks: yValues.map((value) => ({ value, at: y(value), isLabelled: true })),
    apart,
    digits: digitsOf(100 * ((yValues[1] ?? 1) - (yValues[0] ?? 0))),
  };
}

/** The corners of the front's staircase: nothing to its upper left is known to be reachable. */
export function staircase(
  front: readonly { readonly x: number; readonly y: number }[],
): readonly (readonly [number, number])[] {
  return front.flatMap(({ x, y }, index) => {
    const before = front[index - 1];
    return before === undefined ? [[x, y] as const] : [[x, before.y] as const, [x, y] as const];
  });
}

/**
 * The number of the point to go to from one by an arrow key: the next along the axis, the next in score. Points at the same place
 * follow one another by their order.
 */
export function nextPoint(
  places: readonly { readonly x: number; readonly y: number }[],
  from: number,
  key: string,
): number {
  const order = places.map((_, index) => index);
  const at = (index: number): { readonly x: number; readonly y: number } => places[index] ?? { x: 0, y: 0 };
  const alongX = [...order].sort((a, b) => at(a).x - at(b).x || at(b).y - at(a).y || a - b);
  const alongY = [...order].sort((a, b) => at(b).y - at(a).y || at(a).x - at(b).x || a - b);
  const step = (sorted: readonly number[], by: number): number =>
    sorted[Math.min(sorted.length - 1, Math.max(0, sorted.indexOf(from) + by))] ?? from;
  switch (key) {
    case 'ArrowRight':
      return step(alongX, 1);
    case 'ArrowLeft':
      return step(alongX, -1);
    case 'ArrowDown':
      return step(alongY, 1);
    case 'ArrowUp':
      return step(alongY, -1);
    case 'Home':
      return alongX[0] ?? from;
    case 'End':
      return alongX.at(-1) ?? from;
    default:
      return from;
  }
}

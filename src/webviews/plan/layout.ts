import { scaleLinear, scaleLog } from 'd3-scale';

/** Where the points of a curve go, in pixels. */

export interface CurvePoint {
  readonly x: number;
  readonly y: number;
}

export type ScaleKind = 'linear' | 'log';

export interface Tick {
  readonly at: number;
  readonly value: number;
}

export interface CurveLayout {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly xTicks: readonly Tick[];
  readonly yTicks: readonly Tick[];
}

export interface CurveLayoutOptions {
  readonly width: number;
  readonly height: number;
  readonly x: ScaleKind;
  readonly y: ScaleKind;
  /** Whether only whole numbers are named on the horizontal axis, where there are any. */
  readonly isWhole: boolean;
  /** Further places that have to be in sight. */
  readonly also: readonly CurvePoint[];
}

const margin = { left: 52, right: 16, top: 12, bottom: 42 };

interface Scale {
  readonly place: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** 1, 2 and 5 of each power of ten, or the powers alone where there are many. */
function logValues(low: number, high: number, most: number): readonly number[] {
  const all = (steps: readonly number[]): readonly number[] => {
    const values: number[] = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const step of steps) {
        const value = Number(`${step}e${power}`);
        if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) values.push(value);
      }
    return values;
  };
  const fine = all([1, 2, 5]);
  if (fine.length <= most) return fine;
  const coarse = all([1]);
  const every = Math.ceil(coarse.length / most);
  return coarse.filter((_, index) => index % every === 0);
}

function scaleOf(
  kind: ScaleKind,
  values: readonly number[],
  range: readonly [from: number, to: number],
  room: number,
): Scale {
  const finite = values.filter((value) => Number.isFinite(value) && (kind === 'linear' || value > 0));
  const [least, greatest] = finite.length === 0 ? [1, 10] : [Math.min(...finite), Math.max(...finite)];
  const most = Math.max(2, Math.floor(Math.abs(range[1] - range[0]) / room));
  if (kind === 'log') {
    const [low, high] = least === greatest ? [least / 2, greatest * 2] : [least / 1.08, greatest * 1.08];
    const place = scaleLog([low, high], [...range]);
    return { place, ticks: logValues(low, high, most).map((value) => ({ at: place(value), value })) };
  }
  // Epsilon and epochs begin at nothing.
  const high = greatest <= 0 ? 1 : greatest * 1.04;
  const place = scaleLinear([0, high], [...range]);
  return { place, ticks: place.ticks(most).map((value) => ({ at: place(value), value })) };
}

/** The layout of one curve. */
export function curveLayout(
  points: readonly CurvePoint[],
  { width, height, x, y, isWhole, also }: CurveLayoutOptions,
): CurveLayout {
  const [left, right, top, bottom] = [margin.left, width - margin.right, margin.top, height - margin.bottom];
  const all = [...points, ...also];
  const across = scaleOf(
    x,
    all.map((point) => point.x),
    [left, right],
    56,
  );
  const upward = scaleOf(
    y,
    all.map((point) => point.y),
    [bottom, top],
    36,
  );
  const whole = across.ticks.filter(({ value }) => Number.isInteger(value));
  const xTicks = isWhole && whole.length > 1 ? whole : across.ticks;
  return { left, right, top, bottom, x: across.place, y: upward.place, xTicks, yTicks: upward.ticks };
}

/** Where a key leads from a point of so many; nothing for keys that lead nowhere. */
export function nextIndex(key: string, from: number | null, count: number): number | null | undefined {
  if (key === 'Escape') return null;
  const last = count - 1;
  if (key === 'Home') return 0;
  if (key === 'End') return last;
  if (key === 'ArrowRight' || key === 'ArrowUp') return from === null ? 0 : Math.min(last, from + 1);
  if (key === 'ArrowLeft' || key === 'ArrowDown') return from === null ? last : Math.max(0, from - 1);
  return undefined;
}

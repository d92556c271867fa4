import { privacyLoss, scaledPositionOfLoss } from './mechanism.ts';
import { normalCdf } from '../base/normal.ts';
import { gaussLegendre, type Rule } from './quadrature.ts';

/** Some probability at the points offset + (first + i)·step of privacy loss, and the rest at infinity. */
export interface LossGrid {
  readonly step: number;
  readonly offset: number;
  readonly first: number;
  readonly masses: Float64Array;
  /** Probability of an infinite loss. */
  readonly infinite: number;
}

/** The part of the real line that matters: beyond it lies at most `tail` of the probability on each side. */
export interface Range {
  readonly from: number;
  readonly to: number;
  /** P(x > to), the probability under P (a record's presence) that is cut off above. */
  readonly above: number;
  /** Q(x < from), the probability under Q that is cut off below. */
  readonly below: number;
}

/** Where an increasing function of x crosses zero between `low` and `high`. */
function crossing(f: (x: number) => number, low: number, high: number): number {
  for (let round = 0; round < 80; round++) {
    const middle = (low + high) / 2;
    if (f(middle) > 0) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * Where one draw lies but for at most `tail` of probability on each side, of Q = N(0, σ²) below and of P = (1 − q)·N(0, σ²) + q·N(1, σ²)
 * above, with the masses that lie beyond.
 */
export function rangeOf(q: number, sigma: number, tail: number): Range {
  const upper = (x: number): number => (1 - q) * normalCdf(-x / sigma) + q * normalCdf((1 - x) / sigma);
  const lower = (x: number): number => normalCdf(x / sigma);
  const to = crossing((x) => tail - upper(x), -1, 1 + 38 * sigma);
  const from = crossing((x) => lower(x) - tail, -38 * sigma, 0);
  return { from, to, above: upper(to), below: lower(from) };
}

/**
 * One step's loss, cell by cell: the probability under P of the losses between the grid points first + i and first + i + 1, divided into
 * the shares that {@link connectTheDots} gives to the lower and to the upper one.
 */
export interface Cells {
  readonly step: number;
  readonly first: number;
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/** Something for each direction of neighbouring: for the pair (P, Q) of a removed record and for the pair (Q, P) of an added one. */
export interface Directions<T> {
  readonly removed: T;
  readonly added: T;
}

/**
 * Rules by the greatest width, in units of the integrand's scale of variation, for which their error formula
 * (b − a)^(2m+1)·(m!)⁴/((2m + 1)·((2m)!)³)·f^(2m) stays below about 1e-14 of the integral.
 */
const rules: readonly { readonly width: number; readonly rule: Rule }[] = [
  { width: 0.05, rule: gaussLegendre(3) },
  { width: 0.25, rule: gaussLegendre(4) },
  { width: 0.65, rule: gaussLegendre(5) },
  { width: 3, rule: gaussLegendre(8) },
];
const widest = 3;

function ruleFor(width: number): Rule {
  for (const { width: limit, rule } of rules) if (width <= limit) return rule;
  return (rules.at(-1) as (typeof rules)[number]).rule;
}

/**
 * Divides every loss between two grid points between them such that both its probability under P and that under Q are kept.
 *
 * The losses of a cell [εᵢ, εᵢ₊₁] belong to an interval of x, and the two shares are integrals of positive functions over it,
 *   at εᵢ    ∫φ(x)·(e^εᵢ₊₁ − e^ℓ(x)) dx/(e^Δ − 1)       at εᵢ₊₁    ∫φ(x)·(e^ℓ(x) − e^εᵢ) dx/(1 − e^−Δ)
 * computed without subtracting nearby numbers, so that each is relatively as accurate as its exponentials, however small it is. (The
 * usual second differences of the hockey-stick curve lose all their digits on a fine grid.)
 */
export function divideLosses(q: number, sigma: number, step: number, { from, to }: Range): Cells {
  const variance = sigma * sigma;
  const first = Math.floor(privacyLoss(q, sigma, from) / step);
  const count = Math.floor(privacyLoss(q, sigma, to) / step) + 1 - first;
  const low = new Float64Array(count);
  const high = new Float64Array(count);
  const growth = Math.expm1(step);
  const logFactor = Math.log(q) - Math.log(growth) - Math.log(sigma) - 0.5 * Math.log(2 * Math.PI);
  const logKept = q < 1 ? Math.log1p(-q) : -Infinity;
  let left = from;
  for (let i = 0; i < count; i++) {
    const loss = (first + i) * step;
    const y = scaledPositionOfLoss(q, loss + step);
    const end = variance * y + 0.5;
    const right = i === count - 1 ? to : Math.min(to, end);
    // (e^εᵢ₊₁ − e^ℓ)/(q·e^y) at the cell's lower end, from the losses, since the cell's ends may agree in most digits. The lowest cell
    // reaches below every loss.
    const greatest =
      loss > logKept ? growth / (growth - Math.expm1(logKept - loss)) : 1 + (-q - Math.expm1(loss)) / (q * Math.exp(y));
    let atLow = 0;
    let atHigh = 0;
    while (left < right) {
      const variation = (Math.max(Math.abs(left), Math.abs(left - 1)) + 3 * sigma) / variance;
      const until = (right - left) * variation <= widest ? right : Math.min(right, left + (0.8 * widest) / variation);
      const width = until - left;
      const { nodes, weights } = ruleFor(width * variation);
      for (let k = 0; k < nodes.length; k++) {
        const x = left + width * (nodes[k] as number);
        const toEnd = (end - x) / variance;
        // log(φ(x)·q·e^y), about whichever of the two means is nearer, so that large terms cancel before they are rounded.
        const exponent = x < 0.5 ? y - (x * x) / (2 * variance) : toEnd - ((x - 1) * (x - 1)) / (2 * variance);
        const weight = width * (weights[k] as number) * Math.exp(exponent + logFactor);
        const distance = Math.max(0, -Math.expm1(-toEnd));
        atLow += weight * distance;
        atHigh += weight * Math.max(0, greatest - distance);
      }
      if (!(until > left)) throw new RangeError(`the loss at noise multiplier ${sigma} can't be resolved`);
      left = until;
    }
    low[i] = atLow;
    high[i] = atHigh * (1 + growth);
  }
  return { step, first, low, high };
}

/**
 * Connect the dots (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022, "Connect the dots: tighter discrete approximations of privacy loss
 * distributions"): the pair made by {@link divideLosses} dominates the true one, since its hockey-stick curve runs through the true curve's
 * points at the grid and along chords between them, and the curve is convex in e^ε. Read backwards it dominates the other direction. What lies
 * outside of the range goes where it costs most: to the nearest point above, or to infinity.
 */
export function connectTheDots(q: number, sigma: number, cells: Cells, range: Range): Directions<LossGrid> {
  const { step, first, low, high } = cells;
  const size = low.length + 1;
  const masses = new Float64Array(size);
  for (let i = 0; i < low.length; i++) {
    masses[i] = (masses[i] as number) + (low[i] as number);
    masses[i + 1] = high[i] as number;
  }
  // e^loss = P/Q holds at every grid point.
  const added = new Float64Array(size);
  for (let i = 0; i < size; i++) added[size - 1 - i] = (masses[i] as number) * Math.exp(-(first + i) * step);
  masses[1] = (masses[1] as number) + (1 - q) * range.below + q * normalCdf((range.from - 1) / sigma);
  added[1] = (added[1] as number) + normalCdf(-range.to / sigma);
  return {
    removed: { step, offset: 0, first, masses, infinite: range.above },
    added: { step, offset: 0, first: -(first + size - 1), masses: added, infinite: range.below },
  };
}

/** The cells of the other direction: an added record's loss is the negative one, under Q. */
export function mirrorCells({ step, first, low, high }: Cells): Cells {
  const count = low.length;
  const mirrored = { low: new Float64Array(count), high: new Float64Array(count) };
  for (let i = 0; i < count; i++) {
    mirrored.high[count - 1 - i] = (low[i] as number) * Math.exp(-(first + i) * step);
    mirrored.low[count - 1 - i] = (high[i] as number) * Math.exp(-(first + i + 1) * step);
  }
  return { step, first: -(first + count), ...mirrored };
}

/**
 * A law that the true one dominates, on a grid of the same step: losses are merged, from the lowest up, until their common likelihood ratio is
 * exactly that of a grid point, and one that would overshoot is divided. Merging outcomes, also at random, is post-processing, so no
 * hockey-stick curve rises. What is left over at the end is rounded down; what lies outside of the range, and infinite loss, is left out. (An
 * optimistic counterpart of connect the dots; Doroshenko et al. 2022 build theirs from tangents of the curve, which comes to the same.)
 *
 * The grid goes through the common loss of the two likeliest neighbouring cells. Where the rate is small nearly all probability lies close to
 * 0, on both sides; without a grid point in its very middle, all of the rest would have to be merged with it.
 */
export function mergeLosses({ step, first, low, high }: Cells): LossGrid {
  const count = low.length;
  const shrink = -Math.expm1(-step);
  const massOf = (i: number): number => (low[i] ?? 0) + (high[i] ?? 0);
  let likeliest = 0;
  for (let i = 1; i < count; i++)
    if (massOf(i) + massOf(i + 1) > massOf(likeliest) + massOf(likeliest + 1)) likeliest = i;
  // log(P/Q) above the lower end of a cell whose shares are a and b at its ends, with c at the end of the one above it: the log of their sum
  // over a + b·e^−Δ + c·e^−2Δ.
  const [a, b, c] = [low[likeliest] ?? 0, (high[likeliest] ?? 0) + (low[likeliest + 1] ?? 0), high[likeliest + 1] ?? 0];
  const offset = -Math.log1p(-(shrink * b - Math.expm1(-2 * step) * c) / (a + b + c));
  const masses = new Float64Array(count + 2);
  // Points are counted from first − 1, so that the lowest losses have one below them.
  let target = 1;
  let mass = 0;
  // P − e^target·Q of what has been gathered; the point's share is complete when it comes to nothing.
  let lack = 0;
  for (let i = 0; i < count; i++) {
    let rest = massOf(i);
    if (!(rest > 0)) continue;
    // How far the cell's own log(P/Q) lies above its lower end.
    const above = -Math.log1p((-shrink * (high[i] as number)) / rest) - offset;
    const next = i + (above > 0 ? 2 : 1);
    if (mass === 0) target = next;
    for (;;) {
      const excess = -Math.expm1((target - 1 - i) * step - above);
      if (lack + rest * excess <= 0) {
        mass += rest;
        lack += rest * excess;
        break;
      }
      const share = Math.min(rest, -lack / excess);
      masses[target] = (masses[target] as number) + mass + share;
      rest -= share;
      [mass, lack, target] = [0, 0, Math.max(target + 1, next)];
      if (!(rest > 0)) break;
    }
  }
  masses[target - 1] = (masses[target - 1] as number) + mass;
  return { step, offset, first: first - 1, masses, infinite: 0 };
}

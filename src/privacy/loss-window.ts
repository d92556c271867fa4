import type { Directions, Range } from './loss-grid.ts';
import { privacyLoss, type Phase } from './mechanism.ts';
import { minimisePositive, type Minimum } from './minimise.ts';
import { normalDensity } from '../base/normal.ts';

/*
 * Where on the axis of the privacy loss numerical composition (prv.ts) has to look, and under which tilt. Nothing here has to be exact: a window
 * that is too narrow makes bounds that are far apart, never wrong ones.
 */

/** A coarse picture of one step's loss, to plan with: points of loss with their probabilities. */
export interface Sketch {
  readonly steps: number;
  readonly losses: Float64Array;
  readonly masses: Float64Array;
}

/**
 * A phase's privacy loss on a coarse grid, for both directions of adding and removing an example: enough to see how wide the composed loss
 * spreads before the fine grid is chosen.
 */
export function sketch(
  { samplingRate: q, noiseMultiplier: sigma, steps }: Phase,
  { from, to }: Range,
): Directions<Sketch> {
  const count = Math.ceil((to - from) / Math.min(sigma / 8, (sigma * sigma) / 2));
  const size = Math.min(20_000, count) + 1;
  const width = (to - from) / (size - 1);
  const losses = new Float64Array(size);
  const under = { p: new Float64Array(size), q: new Float64Array(size), losses: new Float64Array(size) };
  for (let i = 0; i < size; i++) {
    const x = i === size - 1 ? to : from + i * width;
    losses[i] = privacyLoss(q, sigma, x);
    under.losses[i] = -(losses[i] as number);
    under.q[i] = (normalDensity(x / sigma) / sigma) * width;
    under.p[i] = (1 - q) * (under.q[i] as number) + q * (normalDensity((x - 1) / sigma) / sigma) * width;
  }
  return { removed: { steps, losses, masses: under.p }, added: { steps, losses: under.losses, masses: under.q } };
}

/** log Σ mass·e^(θ·loss). */
function logSum(losses: Float64Array, masses: Float64Array, theta: number): number {
  const size = losses.length;
  const greatest = Math.max(theta * (losses[0] as number), theta * (losses[size - 1] as number));
  let sum = 0;
  for (let i = 0; i < size; i++) sum += (masses[i] as number) * Math.exp(theta * (losses[i] as number) - greatest);
  return greatest + Math.log(sum);
}

/** Where to look for one direction's ε, and how. */
export interface Plan {
  /** θ */
  readonly tilt: number;
  /** The window's ends. */
  readonly low: number;
  readonly high: number;
  /** λ of Chernoff's bound of the tilted law a turn above ε. */
  readonly turn: number;
  /** λ of Chernoff's bound of the law itself above the window. */
  readonly above: number;
}

/** What is known of ε before a grid is made. */
export interface Guess {
  readonly epsilon: number;
  /** Nothing where no bound is known: the window then holds what is likely under the tilt. */
  readonly lower: number | undefined;
}

/** −log of the share of δ that the window's ends may cost. */
const share = 11;

function momentOf(sketches: readonly Sketch[]): (theta: number) => number {
  return (theta) => sketches.reduce((sum, { steps, losses, masses }) => sum + steps * logSum(losses, masses, theta), 0);
}

/** The standard deviation of the composed loss. */
function deviationOf(sketches: readonly Sketch[]): number {
  let variance = 0;
  for (const { steps, losses, masses } of sketches) {
    let [mean, square] = [0, 0];
    for (let i = 0; i < losses.length; i++) mean += (masses[i] as number) * (losses[i] as number);
    for (let i = 0; i < losses.length; i++) square += (masses[i] as number) * ((losses[i] as number) - mean) ** 2;
    variance += steps * square;
  }
  return Math.sqrt(variance);
}

/** The Rényi bound within the range: above ε, but of its size where nothing else is known. */
export function firstGuess(sketches: readonly Sketch[], delta: number): Guess & { readonly tilt: number } {
  const moment = momentOf(sketches);
  const { at, value } = minimisePositive(
    (theta) => (moment(theta) - Math.log(delta) - theta * Math.log1p(1 / theta) - Math.log1p(theta)) / theta,
    1,
    { tolerance: 1e-3, lowest: 1e-12, highest: 1e12 },
  );
  return { epsilon: Math.max(0, value), lower: undefined, tilt: at };
}

/**
 * The window for a tilt. It has to hold ε; above it the law, counted whole, may have a small share of δ; and
 * a turn around it may not bring more than that either, from below (where what is folded up loses e^(−θ·width)) or from above.
 */
function planAt(sketches: readonly Sketch[], { epsilon, lower }: Guess, delta: number, tilt: number): Plan {
  const moment = momentOf(sketches);
  const options = { tolerance: 1e-2, lowest: 1e-12, highest: 1e12 };
  const centre = moment(tilt);
  const spent = share - Math.log(delta);
  // Near the end of a bounded law λ grows without limit and gains nothing; on the grid it would cost.
  const capped = (f: (x: number) => number): Minimum => {
    const free = minimisePositive(f, tilt, { ...options, highest: 1e15 });
    const highest = Math.max(tilt, 1000 / Math.max(free.value - epsilon, spent / tilt));
    return minimisePositive(f, Math.min(tilt, highest), { ...options, highest });
  };
  const turn = capped((lambda) => (moment(tilt + lambda) - centre + share + 3) / lambda);
  const above = capped((lambda) => (moment(lambda) + spent) / lambda);
  const high = Math.max(above.value, epsilon);
  const bottom =
    lower ?? -minimisePositive((lambda) => (moment(tilt - lambda) - centre + spent) / lambda, tilt, options).value;
  const width = Math.max(turn.value - epsilon, spent / tilt, high - bottom);
  return { tilt, low: high - width, high, turn: turn.at, above: above.at };
}

/**
 * The plan for a grid of so many points. Where a few rare jumps decide, the law tilted at the saddle point has a long tail of many jumps; a
 * smaller tilt makes for a narrower window and a finer grid, but leaves more of the rounding in.
 * @param grid `noise`: what a mass of the composed law was off by on the last grid, divided by that grid's step
 */
export function planOf(
  sketches: readonly Sketch[],
  guess: Guess,
  delta: number,
  start: number,
  { points, noise }: { readonly points: number; readonly noise: number },
): Plan {
  const moment = momentOf(sketches);
  const steps = sketches.reduce((sum, sketched) => sum + sketched.steps, 0);
  const exponent = (theta: number): number => moment(theta) - theta * guess.epsilon;
  const deviation = deviationOf(sketches);
  const point = minimisePositive(exponent, start, { tolerance: 1e-2, lowest: 1e-12, highest: 1e12 }).at;
  // Where ε is next to nothing the saddle point is too, and a law that is hardly tilted needs an endless window.
  const saddle = guess.epsilon < deviation ? Math.max(point, Math.min(1e12, 0.5 / deviation)) : point;
  /** About the share of δ that rounding and the grid cost. */
  const cost = ({ tilt, high, low }: Plan): number => {
    const weight = tilt * (1 + tilt);
    return (noise * Math.exp(exponent(tilt))) / (weight * delta) + (steps * weight * ((high - low) / points) ** 2) / 8;
  };
  let best = planAt(sketches, guess, delta, saddle);
  if (noise === Infinity) return best;
  for (let tilt = 0.7 * saddle; tilt > 0.15 * saddle; tilt *= 0.7) {
    const plan = planAt(sketches, guess, delta, tilt);
    if (cost(plan) >= cost(best)) break;
    best = plan;
  }
  return best;
}

/**
 * The window with room above for what dividing losses raises them by, T(1 + λ)Δ²/8: a million steps with little noise can come to more than
 * their law is wide. Δ is the raised window's own. As it is where it would have to be raised by more than a third: a finer grid serves better.
 */
export function raised(plan: Plan, steps: number, points: number): Plan {
  const width = plan.high - plan.low;
  const growth = (steps * (1 + plan.above)) / (8 * points ** 2);
  const root = 1 - 4 * growth * width;
  if (!(root > 0.25)) return plan;
  return { ...plan, high: plan.high + (2 * growth * width ** 2) / (1 - 2 * growth * width + Math.sqrt(root)) };
}

import { compose, type Part, type Signal } from './compose-losses.ts';
import { rootsOfUnity, UNIT_ROUNDOFF } from './fft.ts';
import { gaussianDelta, gaussianEpsilon, singleStepEpsilon, type EpsilonBounds } from './gaussian.ts';
import {
  connectTheDots,
  divideLosses,
  mergeLosses,
  mirrorCells,
  rangeOf,
  type Directions,
  type Range,
} from './loss-grid.ts';
import { firstGuess, planOf, raised, sketch, type Plan, type Sketch } from './loss-window.ts';
import { checkDelta, normalise, type Phase } from './mechanism.ts';
import { rdpEpsilonOfAdding } from './rdp.ts';
import { readEpsilon } from './read-epsilon.ts';

/*
 * The accountant by numerical composition (Koskela, Jälkö, Honkela 2020; Gopi, Lee, Wutschitz 2021, "Numerical composition of differential
 * privacy"). The loss of many steps is the sum of the steps' losses, so its law is their convolution, and
 *
 *   δ(ε) = E[(1 − e^(ε − L))₊]        L the composed loss, with its infinite part counted whole.
 *
 * Its two bounds hold for the true value, not only for an ideal machine:
 *
 * 1. Discretisation. On a grid of loss, the law of one step is replaced by one that dominates it (for the upper bound) or that it dominates (for
 *    the lower one); domination survives composition (Zhu, Dong, Wang 2022, theorem 10). No estimate of a discretisation error is needed.
 * 2. Tilting. Masses p(ℓ) are replaced by g(ℓ) = p(ℓ)·e^(θℓ)/M(θ), convolved, and tilted back: p*(ℓ) = M^T·e^(−θℓ)·g*(ℓ), exactly. With θ
 *    near the saddle point of the wanted δ, the part of the law that decides lies in the middle of g*, and an absolute
 *    rounding error η in g* comes to no more than M^T·e^(−θε)·η·Σ_{i≥1}(1 − e^(−iΔ))·e^(−θiΔ) in δ(ε), which is small against
 *    δ(ε) itself. Without the tilt it would be an absolute error in δ, which for a million steps exceeds 1e-8.
 * 3. Rounding of the transforms. Their error is at most e in every coefficient (fft.ts); that of the T-th power at most
 *    T·(|z| + e)^(T−1)·e, summed over all frequencies, plus that of the transform back. η is computed from the very spectrum.
 * 4. Wrapping around. A cyclic convolution folds what lies outside of the window into it. Chernoff's inequality for g* bounds it:
 *    P_g(L ≥ b) ≤ e^(−λb)·(M(θ + λ)/M(θ))^T. Folding in only raises the upper bound; what was folded away from above is added to it, and
 *    everything that may have come in is taken off the lower one.
 * 5. Relative errors of the masses, κ each, become a factor e^(±Tκ) of δ, since all terms are positive. A relative error of the losses'
 *    exponentials is an absolute one of the loss, T of them are added to ε.
 *
 * The grid follows from the loss's own spread: dividing a loss between points Δ apart raises log M(θ) by at most θ(1 + θ)Δ²/8, so ε
 * by about T(1 + θ)Δ²/8. It is refined until the two bounds are close.
 */

/** What can be off, relatively, in a mass that is a sum of positive terms with two exponentials each. */
function massError({ noiseMultiplier }: Phase): number {
  return UNIT_ROUNDOFF * (2000 + 16 / noiseMultiplier ** 2);
}

export interface PrvOptions {
  /** The gap between the bounds, as a share of ε, at which refining stops. */
  readonly tolerance?: number;
  /** The most points of a grid: more take longer. */
  readonly mostPoints?: number;
}

/** Of one step's loss, for each point of the window; where more would be wanted, the grid is coarser. */
const mostCells = 16;
/** Below it, amplification by sampling is left out of account. */
const leastNoise = 0.01;
const fewestPoints = 2 ** 11;
/** Points of the finest grid where nothing else is asked for, and where one of so many gives no bound at all. */
const usualPoints = 2 ** 17;
const pointsForAny = 2 ** 19;
/** Above it a lower bound of 0 says nothing of where ε lies: a window from there up would hold next to nothing else. */
const large = 100;
/** Bounds this close together on so many points are not worth more: where ε is next to nothing, a finer grid moves neither. */
const negligibleGap = 1e-3;
const finePoints = 2 ** 15;
/** Of a grid's step: from about 37 on 1 − e^−Δ is 1 to the last digit, and nothing is left of the law between two points. */
const coarsest = 30;

function powerOfTwoFrom(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

/** A phase with the part of the line that matters and what its loss is like, in one direction of neighbouring. */
interface Sketched {
  readonly phase: Phase;
  readonly range: Range;
  readonly sketch: Sketch;
}

/**
 * Bounds of ε in one direction on one grid.
 * @param n the window's points
 */
function boundsOnGrid(
  sketched: readonly Sketched[],
  direction: keyof Directions<unknown>,
  plan: Plan,
  n: number,
  delta: number,
): EpsilonBounds & { readonly noise: number } {
  // Two points are left over for what rounding the window's ends to the grid takes.
  const spread = Math.max(
    ...sketched.map(({ sketch: { losses } }) => Math.abs((losses[0] ?? 0) - (losses.at(-1) ?? 0))),
  );
  const step = Math.max((plan.high - plan.low) / (n - 2), spread / (mostCells * n));
  if (!(step <= coarsest)) return { lower: 0, upper: Infinity, noise: Infinity };
  const [upperParts, lowerParts]: [Part[], Part[]] = [[], []];
  let [relativeError, slack] = [0, 0];
  for (const { phase, range } of sketched) {
    const { samplingRate: q, noiseMultiplier: sigma, steps } = phase;
    const cells = divideLosses(q, sigma, step, range);
    upperParts.push({ steps, law: connectTheDots(q, sigma, cells, range)[direction] });
    lowerParts.push({ steps, law: mergeLosses(direction === 'removed' ? cells : mirrorCells(cells)) });
    const greatest = Math.max(Math.abs(cells.first), Math.abs(cells.first + cells.low.length)) * step;
    relativeError += steps * (massError(phase) + 8 * UNIT_ROUNDOFF * plan.tilt * greatest);
    slack += steps * 32 * UNIT_ROUNDOFF * (1 + greatest);
  }
  const upper: Signal = { side: 'upper', plan, parts: upperParts };
  const lower: Signal = { side: 'lower', plan, parts: lowerParts };
  const [composedUpper, composedLower] = compose(upper, lower, n, rootsOfUnity(n));
  const high = readEpsilon(upper, composedUpper, relativeError, delta);
  const low = readEpsilon(lower, composedLower, relativeError, delta);
  return {
    lower: Math.max(0, low - slack),
    upper: high === 0 ? 0 : high + slack,
    noise: composedUpper.error / step,
  };
}

/**
 * Bounds of ε in one direction, on ever finer grids.
 * @param known `enough`: an upper bound that needs no improvement, because the other direction's ε is known to be above it; `most`: one
 * that holds without any computation
 */
function boundsInDirection(
  sketched: readonly Sketched[],
  direction: keyof Directions<unknown>,
  delta: number,
  { tolerance, mostPoints }: Required<PrvOptions>,
  { enough, most }: { readonly enough: number; readonly most: number },
): EpsilonBounds {
  const steps = sketched.reduce((sum, { phase }) => sum + phase.steps, 0);
  const sketches = sketched.map(({ sketch: own }) => own);
  const first = firstGuess(sketches, delta);
  let best: EpsilonBounds = { lower: 0, upper: most };
  if (most <= enough) return best;
  let noise = Infinity;
  // The first grid is coarse; it tells where the others have to be fine.
  for (let n = fewestPoints; ;) {
    const lowest = best.lower === 0 && best.upper > large ? undefined : best.lower;
    const guess = best.upper === most ? first : { epsilon: Math.min(best.upper, first.epsilon), lower: lowest };
    const plan = planOf(sketches, guess, delta, first.tilt, { points: n, noise });
    const window = best.upper < most ? plan : raised(plan, steps, n);
    const found = boundsOnGrid(sketched, direction, window, n, delta);
    best = { lower: Math.max(best.lower, found.lower), upper: Math.min(best.upper, found.upper) };
    noise = found.noise;
    const { lower, upper } = best;
    const limit = upper < Infinity || mostPoints < usualPoints ? mostPoints : pointsForAny;
    const isFine = upper * (1 - tolerance) <= lower || (n >= finePoints && upper - lower <= negligibleGap);
    if (n >= limit || upper <= enough || isFine) return best;
    const wanted = upper < Infinity ? Math.sqrt((8 * tolerance * upper) / (steps * (1 + plan.tilt))) : Infinity;
    n = Math.min(limit, Math.max(2 * n, powerOfTwoFrom((plan.high - plan.low) / wanted)));
  }
}

/**
 * Certified bounds of ε for a composition, by numerical composition of privacy losses; exact without sampling and for a single step.
 * @throws RangeError when a phase or delta makes no sense
 */
export function prvEpsilon(
  phases: readonly Phase[],
  delta: number,
  { tolerance = 1e-3, mostPoints = usualPoints }: PrvOptions = {},
): EpsilonBounds {
  checkDelta(delta);
  const parts = normalise(phases);
  if (parts === undefined) return { lower: Infinity, upper: Infinity };
  const [only] = parts;
  if (only === undefined) return { lower: 0, upper: 0 };
  // A step's total variation is q·(2Φ(1/2σ) − 1), and no composition's is more than the sum.
  const variation = parts.reduce(
    (sum, { samplingRate, noiseMultiplier, steps }) =>
      sum + steps * samplingRate * gaussianDelta(1 / noiseMultiplier, 0),
    0,
  );
  if (variation * (1 + 1e-9) <= delta) return { lower: 0, upper: 0 };
  if (parts.some(({ samplingRate, noiseMultiplier }) => samplingRate < 1 && noiseMultiplier < leastNoise)) {
    // Sampling never makes it worse; with next to no noise it hardly makes it better, and quadratures grow as 1/σ².
    const bound = parts.map((part) => (part.noiseMultiplier < leastNoise ? { ...part, samplingRate: 1 } : part));
    return { lower: 0, upper: prvEpsilon(bound, delta, { tolerance, mostPoints }).upper };
  }
  if (parts.length === 1 && only.samplingRate === 1)
    return gaussianEpsilon(Math.sqrt(only.steps) / only.noiseMultiplier, delta);
  if (parts.length === 1 && only.steps === 1) return singleStepEpsilon(only.samplingRate, only.noiseMultiplier, delta);
  return composedEpsilon(parts, delta, { tolerance, mostPoints });
}

/** As {@link prvEpsilon}, always by composition on a grid. */
export function composedEpsilon(
  phases: readonly Phase[],
  delta: number,
  { tolerance = 1e-3, mostPoints = usualPoints }: PrvOptions = {},
): EpsilonBounds {
  const steps = phases.reduce((sum, phase) => sum + phase.steps, 0);
  // What is cut off the range counts as a violation; a small share of delta is spent on it.
  const tail = (1e-5 * delta) / steps;
  const parts = phases.map((phase) => {
    const range = rangeOf(phase.samplingRate, phase.noiseMultiplier, tail);
    return { phase, range, sketches: sketch(phase, range) };
  });
  const inDirection = (direction: keyof Directions<unknown>): readonly Sketched[] =>
    parts.map(({ phase, range, sketches }) => ({ phase, range, sketch: sketches[direction] }));
  const options = { tolerance, mostPoints };
  const removed = boundsInDirection(inDirection('removed'), 'removed', delta, options, { enough: 0, most: Infinity });
  // An added record's loss is at most −log(1 − q) a step. Where that is below the other direction's ε, nothing else need be computed.
  const greatest = phases.reduce((sum, phase) => sum - phase.steps * Math.log1p(-phase.samplingRate), 0) * (1 + 1e-12);
  const most = greatest <= removed.lower ? greatest : Math.min(greatest, rdpEpsilonOfAdding(phases, delta));
  const added = boundsInDirection(inDirection('added'), 'added', delta, options, { enough: removed.lower, most });
  return { lower: Math.max(removed.lower, added.lower), upper: Math.max(removed.upper, added.upper) };
}

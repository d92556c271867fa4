import { inverseTransform, mirrored, rootsOfUnity, transform, transformError, type Roots } from './fft.ts';
import { gaussianEpsilon, singleStepEpsilon, type EpsilonBounds } from './gaussian.ts';
import {
  connectTheDots,
  divideLosses,
  mergeLosses,
  mirrorCells,
  rangeOf,
  type Directions,
  type LossGrid,
  type Range,
} from './loss-grid.ts';
import { checkDelta, normalise, privacyLoss, type Phase } from './mechanism.ts';
import { minimisePositive, type Minimum } from './minimise.ts';
import { normalDensity } from './normal.ts';

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

const unit = 2 ** -53;

/** What can be off, relatively, in a mass that is a sum of positive terms with two exponentials each, and in its tilting. */
function massError({ noiseMultiplier }: Phase): number {
  return unit * (2000 + 16 / noiseMultiplier ** 2);
}

/** A coarse picture of one step's loss, to plan with: points of loss with their probabilities. */
interface Sketch {
  readonly steps: number;
  readonly losses: Float64Array;
  readonly masses: Float64Array;
}

function sketch({ samplingRate: q, noiseMultiplier: sigma, steps }: Phase, { from, to }: Range): Directions<Sketch> {
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
interface Plan {
  /** θ */
  readonly tilt: number;
  /** The Rényi bound of the law within its range: a little above ε. */
  readonly guess: number;
  readonly low: number;
  readonly high: number;
  /** λ of Chernoff's bounds on either side. */
  readonly below: number;
  readonly above: number;
}

/** −log of the tilted probability that may lie outside of the window on either side. */
const outside = 24;

function planOf(sketches: readonly Sketch[], delta: number): Plan {
  const moment = (theta: number): number =>
    sketches.reduce((sum, { steps, losses, masses }) => sum + steps * logSum(losses, masses, theta), 0);
  const bound = (theta: number): number =>
    (moment(theta) - Math.log(delta) - theta * Math.log1p(1 / theta) - Math.log1p(theta)) / theta;
  const { at: tilt, value: guess } = minimisePositive(bound, 1, { tolerance: 1e-3, lowest: 1e-12, highest: 1e12 });
  const centre = moment(tilt);
  const end = (sign: number, highest: number): Minimum =>
    minimisePositive(
      (lambda) => (moment(tilt + sign * lambda) - centre + outside) / lambda,
      Math.min(tilt, highest),
      { tolerance: 1e-2, lowest: 1e-15, highest },
    );
  // Near the end of a bounded law λ grows without limit and gains nothing; on the grid it would cost.
  const widest = end(1, 1e15).value + end(-1, 1e15).value;
  const [above, below] = [end(1, 1000 / widest), end(-1, 1000 / widest)];
  return { tilt, guess, low: -below.value, high: above.value, below: below.at, above: above.at };
}

/** One step's law on the grid and how often it is composed. */
interface Part {
  readonly steps: number;
  readonly law: LossGrid;
}

/** log M(θ) of a law on the grid. */
function logMomentOf({ step, offset, first, masses }: LossGrid, theta: number): number {
  const size = masses.length;
  const greatest = theta * step * (theta > 0 ? first + size - 1 : first);
  let sum = 0;
  for (let i = 0; i < size; i++) sum += (masses[i] as number) * Math.exp(theta * (first + i) * step - greatest);
  return greatest + theta * offset + Math.log(sum);
}

/** Adds the tilted law into a window of n points, folded around. @returns log M(θ) */
function foldTilted(law: LossGrid, theta: number, into: Float64Array): number {
  const { step, offset, first, masses } = law;
  const n = into.length;
  const logMoment = logMomentOf(law, theta);
  let place = ((first % n) + n) % n;
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i] as number;
    if (mass > 0) into[place] = (into[place] as number) + mass * Math.exp(theta * ((first + i) * step + offset) - logMoment);
    place = place + 1 === n ? 0 : place + 1;
  }
  return logMoment;
}

/** The tilted law of all steps in a window, and by how much any of its masses may be off. */
interface Composed {
  readonly masses: Float64Array;
  /** Σ steps·log M(θ). */
  readonly logMoment: number;
  readonly error: number;
}

/** What one of the two signals of a packed transform has come to, a value for each pair of frequencies ±k. */
interface Spectrum {
  readonly logSize: Float64Array;
  readonly angle: Float64Array;
  /** log of the product of (|z| + e)^steps. */
  readonly logLimit: Float64Array;
  /** Σ steps·(relative error). */
  readonly relative: Float64Array;
}

function emptySpectrum(n: number): Spectrum {
  const array = (): Float64Array => new Float64Array(n);
  return { logSize: array(), angle: array(), logLimit: array(), relative: array() };
}

function multiply(spectrum: Spectrum, at: number, re: number, im: number, steps: number, error: number): void {
  const size = Math.hypot(re, im);
  const { logSize, angle, logLimit, relative } = spectrum;
  logSize[at] = (logSize[at] as number) + steps * Math.log(size);
  angle[at] = (angle[at] as number) + steps * Math.atan2(im, re);
  logLimit[at] = (logLimit[at] as number) + steps * Math.log(size + error);
  relative[at] = (relative[at] as number) + (steps * (error + 16 * unit * size)) / (size + error);
}

/**
 * Composes two directions at once: two real signals are the parts of one complex one.
 * @param n the window's points, a power of two
 */
function compose(
  parts: Directions<readonly Part[]>,
  tilts: Directions<number>,
  n: number,
  roots: Roots,
): Directions<Composed> {
  const transformed = transformError(n);
  const spectra = { removed: emptySpectrum(n), added: emptySpectrum(n) };
  const logMoments = { removed: 0, added: 0 };
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  parts.removed.forEach(({ steps, law }, index) => {
    re.fill(0);
    im.fill(0);
    const other = parts.added[index] as Part;
    logMoments.removed += steps * foldTilted(law, tilts.removed, re);
    logMoments.added += steps * foldTilted(other.law, tilts.added, im);
    let squares = 0;
    for (let k = 0; k < n; k++) squares += (re[k] as number) ** 2 + (im[k] as number) ** 2;
    const error = transformed * Math.sqrt(n * squares);
    transform(re, im, roots);
    for (let k = 0; k < n; k++) {
      const m = mirrored(k);
      if (m < k) continue;
      const [ar, ai, br, bi] = [re[k] as number, im[k] as number, re[m] as number, im[m] as number];
      multiply(spectra.removed, k, (ar + br) / 2, (ai - bi) / 2, steps, error);
      multiply(spectra.added, k, (ai + bi) / 2, (br - ar) / 2, steps, error);
    }
  });
  const errors = { removed: 0, added: 0 };
  let squares = 0;
  for (let k = 0; k < n; k++) {
    const m = mirrored(k);
    if (m < k) continue;
    const weight = m === k ? 1 : 2;
    const power = (direction: keyof Directions<unknown>): readonly [number, number] => {
      const { logSize, angle, logLimit, relative } = spectra[direction];
      errors[direction] += weight * Math.exp(logLimit[k] as number) * ((relative[k] as number) + 16 * unit);
      const size = Math.exp(logSize[k] as number);
      squares += weight * size * size;
      return [size * Math.cos(angle[k] as number), size * Math.sin(angle[k] as number)];
    };
    const [ar, ai] = power('removed');
    const [br, bi] = power('added');
    re[k] = ar - bi;
    im[k] = ai + br;
    if (m !== k) {
      re[m] = ar + bi;
      im[m] = br - ai;
    }
  }
  inverseTransform(re, im, roots);
  for (let k = 0; k < n; k++) {
    re[k] = (re[k] as number) / n;
    im[k] = (im[k] as number) / n;
  }
  // A little more than the sums come to, which are themselves rounded.
  const back = transformed * Math.sqrt(squares / n);
  const result = (direction: keyof Directions<unknown>, masses: Float64Array): Composed => ({
    masses,
    logMoment: logMoments[direction],
    error: 1.001 * (errors[direction] / n + back),
  });
  return { removed: result('removed', re), added: result('added', im) };
}

interface Reading {
  readonly parts: readonly Part[];
  readonly plan: Plan;
  readonly composed: Composed;
  readonly step: number;
  /** Σ steps·κ. */
  readonly relativeError: number;
  /** Σ steps·P(infinite loss), at least the probability that any is. */
  readonly infinite: number;
}

/**
 * Finds ε in a composed law, walking down from the window's top with the two sums δ(ε) and B = Σ_{ℓ > ε} p(ℓ)·e^(ε − ℓ), both of positive
 * terms: from one grid point to the next lower, δ grows by (1 − e^−Δ)·B; between them it is linear in e^ε.
 * @param side whether what may be wrong is added to δ, for an upper bound of ε, or taken off, for a lower one
 */
function readEpsilon({ parts, plan, composed, step, relativeError, infinite }: Reading, side: 'upper' | 'lower', delta: number): number {
  const { tilt } = plan;
  const { masses, logMoment, error } = composed;
  const n = masses.length;
  const offset = parts.reduce((sum, { law, steps }) => sum + steps * law.offset, 0);
  const lossAt = (index: number): number => index * step + offset;
  const bottom = Math.floor((plan.low - offset) / step);
  const top = bottom + n - 1;
  const chernoff = (lambda: number, at: number): number =>
    Math.exp(
      parts.reduce((sum, { law, steps }) => sum + steps * logMomentOf(law, tilt + lambda), 0) - logMoment - lambda * at,
    );
  const above = chernoff(plan.above, lossAt(top + 1));
  const below = chernoff(-plan.below, lossAt(bottom - 1));
  const rounding = error * (1 / Math.expm1(tilt * step) - 1 / Math.expm1((tilt + 1) * step));
  // The most that a tilted mass of 1 above ε can weigh: the maximum of e^(−θu)·(1 − e^(−u)).
  const heaviest = Math.exp(-tilt * Math.log1p(1 / tilt) - Math.log1p(tilt));
  const atPoint = side === 'upper' ? rounding : rounding + (above + below) * heaviest;
  const beyond = side === 'upper' ? Math.exp(logMoment - tilt * lossAt(top + 1)) * above + infinite : 0;
  // All sums have n positive terms; their exponentials come from differences of these sizes.
  const summing = relativeError + unit * (4 * n + 8 * (Math.abs(logMoment) + Math.abs(tilt * plan.high)));
  const factor = Math.exp(side === 'upper' ? summing : -summing);
  const sign = side === 'upper' ? 1 : -1;
  const shrink = -Math.expm1(-step);
  let exceeded = 0;
  let weighted = 0;
  let place = ((top % n) + n) % n;
  for (let index = top; index >= bottom; index--) {
    const scale = Math.exp(logMoment - tilt * lossAt(index));
    const before = exceeded;
    exceeded += shrink * weighted;
    const uncertain = scale * atPoint;
    if (factor * (exceeded + sign * uncertain) + beyond > delta) {
      // Between this point and the one above: δ = before + B·(1 − e^(ε − above)), with the uncertainty of the lower end.
      const wanted = (delta - beyond) / factor - sign * uncertain - before;
      const loss = lossAt(index + 1);
      if (wanted <= 0) return side === 'upper' ? loss : Math.max(0, loss);
      return Math.max(0, wanted < weighted ? loss + Math.log1p(-wanted / weighted) : lossAt(index));
    }
    if (lossAt(index) <= 0) return 0;
    weighted = Math.max(0, masses[place] as number) * scale + weighted * (1 - shrink);
    place = place === 0 ? n - 1 : place - 1;
  }
  return side === 'upper' ? Math.max(0, lossAt(bottom)) : 0;
}

export interface PrvOptions {
  /** The gap between the bounds, as a share of ε, at which refining stops. */
  readonly tolerance?: number;
  /** The most points of a grid: more take longer. */
  readonly mostPoints?: number;
}

const fewestPoints = 2 ** 10;

function powerOfTwoFrom(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

/** Bounds of ε on one grid. */
function boundsOnGrid(
  parts: readonly (Phase & { readonly range: Range })[],
  plans: Directions<Plan>,
  step: number,
  n: number,
  roots: Roots,
  delta: number,
): EpsilonBounds {
  const upperParts: { removed: Part[]; added: Part[] } = { removed: [], added: [] };
  const lowerParts: { removed: Part[]; added: Part[] } = { removed: [], added: [] };
  let relativeError = 0;
  let slack = 0;
  for (const part of parts) {
    const { samplingRate: q, noiseMultiplier: sigma, steps, range } = part;
    const cells = divideLosses(q, sigma, step, range);
    const laws = connectTheDots(q, sigma, cells, range);
    upperParts.removed.push({ steps, law: laws.removed });
    upperParts.added.push({ steps, law: laws.added });
    lowerParts.removed.push({ steps, law: mergeLosses(cells) });
    lowerParts.added.push({ steps, law: mergeLosses(mirrorCells(cells)) });
    relativeError += steps * massError(part);
    const greatest = Math.max(Math.abs(cells.first), Math.abs(cells.first + cells.low.length)) * step;
    slack += steps * 32 * unit * (1 + greatest);
  }
  const tilts = { removed: plans.removed.tilt, added: plans.added.tilt };
  const upper = compose(upperParts, tilts, n, roots);
  const lower = compose(lowerParts, tilts, n, roots);
  const read = (direction: keyof Directions<unknown>, side: 'upper' | 'lower'): number => {
    const own = (side === 'upper' ? upperParts : lowerParts)[direction];
    return readEpsilon(
      {
        parts: own,
        plan: plans[direction],
        composed: (side === 'upper' ? upper : lower)[direction],
        step,
        relativeError,
        infinite: own.reduce((sum, { steps, law }) => sum + steps * law.infinite, 0),
      },
      side,
      delta,
    );
  };
  const high = Math.max(read('removed', 'upper'), read('added', 'upper'));
  return {
    lower: Math.max(0, read('removed', 'lower') - slack, read('added', 'lower') - slack),
    upper: high === 0 ? 0 : high + slack,
  };
}

/**
 * Certified bounds of ε for a composition, by numerical composition of privacy losses; exact without sampling and for a single step.
 * @throws RangeError when a phase or delta makes no sense
 */
export function prvEpsilon(
  phases: readonly Phase[],
  delta: number,
  { tolerance = 1e-3, mostPoints = 2 ** 18 }: PrvOptions = {},
): EpsilonBounds {
  checkDelta(delta);
  const parts = normalise(phases);
  if (parts === undefined) return { lower: Infinity, upper: Infinity };
  const [only] = parts;
  if (only === undefined) return { lower: 0, upper: 0 };
  if (parts.length === 1 && only.steps === 1) {
    return only.samplingRate === 1
      ? gaussianEpsilon(1 / only.noiseMultiplier, delta)
      : singleStepEpsilon(only.samplingRate, only.noiseMultiplier, delta);
  }
  return composedEpsilon(parts, delta, { tolerance, mostPoints });
}

/** As {@link prvEpsilon}, always by composition on a grid. */
export function composedEpsilon(
  phases: readonly Phase[],
  delta: number,
  { tolerance = 1e-3, mostPoints = 2 ** 18 }: PrvOptions = {},
): EpsilonBounds {
  const steps = phases.reduce((sum, phase) => sum + phase.steps, 0);
  // What is cut off the range counts as a violation; a small share of delta is spent on it.
  const tail = (1e-5 * delta) / steps;
  const parts = phases.map((phase) => ({ ...phase, range: rangeOf(phase.samplingRate, phase.noiseMultiplier, tail) }));
  const sketches = parts.map((part) => sketch(part, part.range));
  const planFor = (direction: keyof Directions<unknown>): Plan =>
    planOf(
      sketches.map((each) => each[direction]),
      delta,
    );
  const plans = { removed: planFor('removed'), added: planFor('added') };
  const window = Math.max(plans.removed.high - plans.removed.low, plans.added.high - plans.added.low);
  const { tilt, guess } = plans.removed;
  const wanted = Math.sqrt((8 * tolerance * Math.max(guess, 1e-12)) / (steps * (1 + tilt)));
  let n = Math.min(mostPoints, Math.max(fewestPoints, powerOfTwoFrom(window / wanted)));
  let best: EpsilonBounds = { lower: 0, upper: Infinity };
  for (;;) {
    // Two points are left over for what rounding the window's ends to the grid takes.
    const found = boundsOnGrid(parts, plans, window / (n - 2), n, rootsOfUnity(n), delta);
    best = { lower: Math.max(best.lower, found.lower), upper: Math.min(best.upper, found.upper) };
    const gap = best.upper - best.lower;
    if (gap <= tolerance * best.upper || n >= mostPoints) return best;
    const factor = Number.isFinite(gap) ? Math.sqrt(gap / (tolerance * best.upper)) : 4;
    n = Math.min(mostPoints, n * Math.max(2, powerOfTwoFrom(factor)));
  }
}

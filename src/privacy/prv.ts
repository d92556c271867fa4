import {
  frequencyOrder,
  inverseTransform,
  mirrored,
  rootsOfUnity,
  transform,
  transformError,
  type Roots,
} from './fft.ts';
import { gaussianDelta, gaussianEpsilon, singleStepEpsilon, type EpsilonBounds } from './gaussian.ts';
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
import { rdpEpsilonOfAdding } from './rdp.ts';

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

/** What can be off, relatively, in a mass that is a sum of positive terms with two exponentials each. */
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
  /** The window's ends. */
  readonly low: number;
  readonly high: number;
  /** λ of Chernoff's bound of the tilted law a turn above ε. */
  readonly turn: number;
  /** λ of Chernoff's bound of the law itself above the window. */
  readonly above: number;
}

/** What is known of ε before a grid is made. */
interface Guess {
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
function firstGuess(sketches: readonly Sketch[], delta: number): Guess & { readonly tilt: number } {
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
function planOf(
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
    if (mass > 0)
      into[place] = (into[place] as number) + mass * Math.exp(theta * ((first + i) * step + offset) - logMoment);
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

/** Below this logarithm a frequency's part of the composed law is nothing but an error, and is counted as one. */
const negligible = -90;

function emptySpectrum(n: number): Spectrum {
  const array = (): Float64Array => new Float64Array(n);
  return { logSize: array(), angle: array(), logLimit: array(), relative: array() };
}

function multiply(spectrum: Spectrum, at: number, re: number, im: number, steps: number, error: number): void {
  const size = Math.sqrt(re * re + im * im);
  const { logSize, angle, logLimit, relative } = spectrum;
  logSize[at] = (logSize[at] as number) + steps * Math.log(size);
  const limit = (logLimit[at] as number) + steps * Math.log(size + error);
  logLimit[at] = limit;
  if (limit < negligible) return;
  angle[at] = (angle[at] as number) + steps * Math.atan2(im, re);
  relative[at] = (relative[at] as number) + (steps * (error + 16 * unit * size)) / (size + error);
}

/** One bound's law: what is composed, tilted and read. */
interface Signal {
  readonly side: 'upper' | 'lower';
  readonly parts: readonly Part[];
  readonly plan: Plan;
}

/** A point of a signal that is transformed by itself. */
interface Lump {
  readonly place: number;
  readonly mass: number;
}

/** How many points of a signal are transformed by themselves at most. */
const mostLumps = 8;

/**
 * Takes the greatest masses out of a signal. At a small rate nearly all of a step's loss is one lump around 0; transformed exactly, it adds
 * nothing to the transform's error, which grows with the norm of the rest.
 */
function takeLumps(signal: Float64Array): readonly Lump[] {
  const lumps: Lump[] = [];
  while (lumps.length < mostLumps) {
    let place = 0;
    for (let k = 1; k < signal.length; k++) if ((signal[k] as number) > (signal[place] as number)) place = k;
    const mass = signal[place] as number;
    if (mass < 0.005) break;
    lumps.push({ place, mass });
    signal[place] = 0;
  }
  return lumps;
}

/**
 * Adds the lumps' part of the transform, mass·(cos + i·sin), to a spectrum whose indices stand for `frequencies`.
 * @param sign of the sine; −1 with the parts exchanged for a signal that is the imaginary part, since i·(cos + i·sin) = −sin + i·cos
 */
function addLumps(
  lumps: readonly Lump[],
  frequencies: Uint32Array,
  roots: Roots,
  cosines: Float64Array,
  sines: Float64Array,
  sign: 1 | -1,
): void {
  const n = frequencies.length;
  const half = n / 2;
  const { cos, sin } = roots;
  for (const { place, mass } of lumps) {
    for (let k = 0; k < n; k++) {
      // The product modulo n, which divides 2^32; the root of that power stands where its bits are reversed, beyond half with another sign.
      const power = Math.imul(frequencies[k] as number, place) & (n - 1);
      const at = (frequencies[power & (half - 1)] as number) >> 1;
      const part = power < half ? mass : -mass;
      cosines[k] = (cosines[k] as number) + part * (cos[at] as number);
      sines[k] = (sines[k] as number) + sign * part * (sin[at] as number);
    }
  }
}

/**
 * Composes two laws at once, as the real and the imaginary part of one signal. Both have the same phases.
 * @param n the window's points, a power of two
 */
function compose(first: Signal, second: Signal, n: number, roots: Roots): readonly [Composed, Composed] {
  const transformed = transformError(n);
  const spectra = [emptySpectrum(n), emptySpectrum(n)] as const;
  const logMoments: [number, number] = [0, 0];
  const frequencies = frequencyOrder(n);
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  first.parts.forEach(({ steps, law }, index) => {
    re.fill(0);
    im.fill(0);
    logMoments[0] += steps * foldTilted(law, first.plan.tilt, re);
    logMoments[1] += steps * foldTilted((second.parts[index] as Part).law, second.plan.tilt, im);
    const lumps = [takeLumps(re), takeLumps(im)] as const;
    let squares = 0;
    for (let k = 0; k < n; k++) squares += (re[k] as number) ** 2 + (im[k] as number) ** 2;
    // Lumps are of size 1 at most and computed to some units; of those of one signal, so much is left in the other.
    const error = transformed * Math.sqrt(n * squares) + 16 * unit;
    transform(re, im, roots);
    addLumps(lumps[0], frequencies, roots, re, im, 1);
    addLumps(lumps[1], frequencies, roots, im, re, -1);
    for (let k = 0; k < n; k++) {
      const m = mirrored(k);
      if (m < k) continue;
      const ar = re[k] as number;
      const ai = im[k] as number;
      const br = re[m] as number;
      const bi = im[m] as number;
      multiply(spectra[0], k, (ar + br) / 2, (ai - bi) / 2, steps, error);
      multiply(spectra[1], k, (ai + bi) / 2, (br - ar) / 2, steps, error);
    }
  });
  const errors: [number, number] = [0, 0];
  let squares = 0;
  for (let k = 0; k < n; k++) {
    const m = mirrored(k);
    if (m < k) continue;
    const weight = m === k ? 1 : 2;
    const power = (which: 0 | 1): readonly [number, number] => {
      const { logSize, angle, logLimit, relative } = spectra[which];
      const limit = logLimit[k] as number;
      if (limit < negligible) {
        errors[which] += weight * Math.exp(limit);
        return [0, 0];
      }
      errors[which] += weight * Math.exp(limit) * ((relative[k] as number) + 16 * unit);
      const size = Math.exp(logSize[k] as number);
      squares += weight * size * size;
      return [size * Math.cos(angle[k] as number), size * Math.sin(angle[k] as number)];
    };
    const [ar, ai] = power(0);
    const [br, bi] = power(1);
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
  const result = (which: 0 | 1, masses: Float64Array): Composed => ({
    masses,
    logMoment: logMoments[which],
    error: 1.001 * (errors[which] / n + back),
  });
  return [result(0, re), result(1, im)];
}

/** What may be wrong with δ as it is summed over a composed law, for one of the two bounds of ε. */
interface ErrorBudget {
  /** Added to δ wherever it is read: what lies above the window or is infinite; for the lower bound what is folded up around it. */
  readonly beyond: number;
  /** What rounding may have made of a sum. */
  readonly factor: number;
  /** An error of the tilted masses around the point at an index, before they are tilted back: of the transform, and of folding. */
  readonly uncertainAt: (index: number) => number;
}

/** Where the points of a composed law's window lie. */
interface Window {
  readonly step: number;
  /** Indices of the lowest and the highest point. */
  readonly bottom: number;
  readonly top: number;
  readonly lossAt: (index: number) => number;
}

function windowOf({ parts, plan }: Signal, points: number): Window {
  const { step } = (parts[0] as Part).law;
  const offset = parts.reduce((sum, { law, steps }) => sum + steps * law.offset, 0);
  const bottom = Math.floor((plan.low - offset) / step);
  return { step, bottom, top: bottom + points - 1, lossAt: (index) => index * step + offset };
}

/** @param relativeError Σ steps·κ */
function errorBudget(
  { side, parts, plan }: Signal,
  { masses, logMoment, error }: Composed,
  { step, top, lossAt }: Window,
  relativeError: number,
): ErrorBudget {
  const { tilt } = plan;
  const n = masses.length;
  const infinite = parts.reduce((sum, { steps, law }) => sum + steps * law.infinite, 0);
  const greatest = parts.reduce(
    (sum, { law, steps }) => sum + steps * (law.offset + (law.first + law.masses.length - 1) * law.step),
    0,
  );
  const logMomentAt = (lambda: number): number =>
    parts.reduce((sum, { law, steps }) => sum + steps * logMomentOf(law, lambda), 0);
  const rounding = error * Math.min(n, 1 / Math.expm1(tilt * step) - 1 / Math.expm1((tilt + 1) * step));
  // All sums have n positive terms; their exponentials come from differences of these sizes.
  const summing =
    relativeError + unit * (4 * n + 8 * (Math.abs(logMoment) + tilt * (Math.abs(plan.high) + Math.abs(plan.low))));
  if (side === 'upper') {
    const end = lossAt(top + 1);
    const above = end > greatest + step ? 0 : Math.exp(Math.min(0, logMomentAt(plan.above) - plan.above * end));
    return { beyond: above + infinite, factor: Math.exp(summing), uncertainAt: () => rounding };
  }
  const logTurn = logMomentAt(tilt + plan.turn) - logMoment;
  /** Chernoff's bound of the tilted probability of a loss from `loss` up. */
  const tiltedAbove = (loss: number): number =>
    loss > greatest + step ? 0 : Math.exp(Math.min(0, logTurn - plan.turn * loss));
  // The most that a tilted mass of 1 above ε can weigh: the maximum of e^(−θu)·(1 − e^(−u)).
  const heaviest = Math.exp(-tilt * Math.log1p(1 / tilt) - Math.log1p(tilt));
  return {
    // What is folded up around the window loses e^(−θ·width) a turn.
    beyond: -1 / Math.expm1(tilt * n * step),
    factor: Math.exp(-summing),
    uncertainAt: (index) => rounding + heaviest * tiltedAbove(lossAt(index + n)),
  };
}

/**
 * Finds ε in a composed law, walking down from the window's top with the two sums δ(ε) and B = Σ_{ℓ > ε} p(ℓ)·e^(ε − ℓ), both of positive
 * terms: from one grid point to the next lower, δ grows by (1 − e^−Δ)·B; between them it is linear in e^ε.
 * What may be wrong is added to δ for an upper bound of ε, and taken off for a lower one.
 * @param relativeError Σ steps·κ
 */
function readEpsilon(signal: Signal, composed: Composed, relativeError: number, delta: number): number {
  const { masses, logMoment } = composed;
  const n = masses.length;
  const { tilt } = signal.plan;
  const isUpper = signal.side === 'upper';
  const window = windowOf(signal, n);
  const { bottom, top, lossAt } = window;
  const { beyond, factor, uncertainAt } = errorBudget(signal, composed, window, relativeError);
  const sign = isUpper ? 1 : -1;
  const shrink = -Math.expm1(-window.step);
  let exceeded = 0;
  let weighted = 0;
  let place = ((top % n) + n) % n;
  for (let index = top; index >= bottom; index--) {
    const scale = Math.exp(logMoment - tilt * lossAt(index));
    const before = exceeded;
    exceeded += shrink * weighted;
    const uncertain = scale * uncertainAt(index);
    const found = factor * (exceeded + sign * uncertain) + beyond;
    // Written so that a sum which is no number never certifies anything.
    if (isUpper ? !(found <= delta) : found > delta) {
      if (index === top) return isUpper ? Infinity : 0;
      // Between this point and the one above: δ = before + B·(1 − e^(ε − above)), with the uncertainty of the lower end.
      const wanted = (delta - beyond) / factor - sign * uncertain - before;
      const loss = lossAt(index + 1);
      if (!(wanted > 0)) return Math.max(0, isUpper ? loss : lossAt(index));
      return Math.max(0, wanted < weighted ? loss + Math.log1p(-wanted / weighted) : lossAt(index));
    }
    if (lossAt(index) <= 0) return 0;
    weighted = Math.max(0, masses[place] as number) * scale + weighted * (1 - shrink);
    place = place === 0 ? n - 1 : place - 1;
  }
  return isUpper ? Math.max(0, lossAt(bottom)) : 0;
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
    relativeError += steps * (massError(phase) + 8 * unit * plan.tilt * greatest);
    slack += steps * 32 * unit * (1 + greatest);
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
 * The window with room above for what dividing losses raises them by, T(1 + λ)Δ²/8: a million steps with little noise can come to more than
 * their law is wide. Δ is the raised window's own. As it is where it would have to be raised by more than a third: a finer grid serves better.
 */
function raised(plan: Plan, steps: number, points: number): Plan {
  const width = plan.high - plan.low;
  const growth = (steps * (1 + plan.above)) / (8 * points ** 2);
  const root = 1 - 4 * growth * width;
  if (!(root > 0.25)) return plan;
  return { ...plan, high: plan.high + (2 * growth * width ** 2) / (1 - 2 * growth * width + Math.sqrt(root)) };
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

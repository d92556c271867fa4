import { logMomentOf, type Composed, type Part, type Signal } from './compose-losses.ts';
import { UNIT_ROUNDOFF } from './fft.ts';

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
    relativeError +
    UNIT_ROUNDOFF * (4 * n + 8 * (Math.abs(logMoment) + tilt * (Math.abs(plan.high) + Math.abs(plan.low))));
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
export function readEpsilon(signal: Signal, composed: Composed, relativeError: number, delta: number): number {
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

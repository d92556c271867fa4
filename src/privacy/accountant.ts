import type { EpsilonBounds } from './gaussian.ts';
import type { Phase } from './mechanism.ts';
import { prvEpsilon } from './prv.ts';
import { rdpEpsilon, type RdpEpsilon } from './rdp.ts';

/** `rdp`: Rényi divergences of real orders. `prv`: numerical composition of privacy losses; exact for q = 1 and for one step. */
export type AccountantName = 'rdp' | 'prv';

/** What a composition costs at one delta, under add-or-remove-one-record neighbouring and Poisson sampling. */
export interface PrivacySpent {
  /** The certified value to report; equal to `upper`. */
  readonly epsilon: number;
  /** The true epsilon of the composition is at least this; what an accountant lacks to it is its own looseness. */
  readonly lower: number;
  readonly upper: number;
  /** Whose bound is reported. */
  readonly accountant: AccountantName;
  /** What each accountant that was asked has certified. */
  readonly rdp?: RdpEpsilon;
  readonly prv?: EpsilonBounds;
}

/**
 * Epsilon of a composition of phases, which may differ in rate and noise and come in any order.
 * @param accountant whose bound is asked for; the smaller of both without it, since both are certified
 * @throws RangeError when a phase or delta makes no sense
 */
export function privacySpent(phases: readonly Phase[], delta: number, accountant?: AccountantName): PrivacySpent {
  if (accountant === 'rdp') {
    const rdp = rdpEpsilon(phases, delta);
    // Rényi divergences give no lower bound. A coarse grid's is cheap.
    const { lower } = prvEpsilon(phases, delta, { mostPoints: 2 ** 13 });
    return { epsilon: rdp.epsilon, lower: Math.min(lower, rdp.epsilon), upper: rdp.epsilon, accountant, rdp };
  }
  const prv = prvEpsilon(phases, delta);
  if (accountant === 'prv') return { epsilon: prv.upper, ...prv, accountant, prv };
  const rdp = rdpEpsilon(phases, delta);
  const smaller = rdp.epsilon < prv.upper ? 'rdp' : 'prv';
  const epsilon = Math.min(rdp.epsilon, prv.upper);
  return { epsilon, lower: Math.min(prv.lower, epsilon), upper: epsilon, accountant: smaller, rdp, prv };
}

/**
 * As {@link privacySpent}, for curves: a certified upper bound from a coarser grid, some per cent above the finest at worst and many times
 * as quick.
 * @throws RangeError when a phase or delta makes no sense
 */
export function sketchedEpsilon(phases: readonly Phase[], delta: number, accountant?: AccountantName): number {
  const rdp = accountant === 'prv' ? Infinity : rdpEpsilon(phases, delta).epsilon;
  if (accountant === 'rdp') return rdp;
  return Math.min(rdp, prvEpsilon(phases, delta, { tolerance: 1e-2, mostPoints: 2 ** 14 }).upper);
}

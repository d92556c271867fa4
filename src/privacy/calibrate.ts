import { UserError } from '../base/errors.ts';
import { privacySpent, type AccountantName, type PrivacySpent } from './accountant.ts';
import { checkDelta, type Phase } from './mechanism.ts';
import { prvEpsilon } from './prv.ts';
import { rdpEpsilon } from './rdp.ts';

export interface CalibrationGoal {
  /** What epsilon may not exceed. */
  readonly epsilon: number;
  readonly delta: number;
  readonly samplingRate: number;
  readonly steps: number;
  /** Whose epsilon; the smaller of both without it. */
  readonly accountant?: AccountantName | undefined;
  /** What has already been released from the same data, and is part of the budget. */
  readonly spent?: readonly Phase[] | undefined;
}

export interface Calibration {
  /** The noise multiplier, rounded up to six digits. */
  readonly noiseMultiplier: number;
  /** What it costs: at most the goal. */
  readonly spent: PrivacySpent;
}

const leastNoise = 0.01;
const mostNoise = 1e6;

function roundedUp(value: number): number {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 5);
  return Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(6));
}

interface Search {
  /** log σ where to begin, and how steep log ε is there. */
  readonly start: Found;
  /** What log ε may fall short of its goal by. */
  readonly tolerance: number;
  /** Whether log ε may also exceed it by as much. */
  readonly bothSides: boolean;
  readonly rounds: number;
}

/** Where a search ended. */
interface Found {
  readonly at: number;
  /** d log ε / d log σ, as far as the search could tell. */
  readonly slope: number;
}

/**
 * Looks for the log σ at which log ε comes to its goal, by secants kept between what is known to be too little and enough; log ε is all but
 * linear in log σ near the solution, but neither smooth nor convex everywhere.
 * @param excess log ε above its goal, at log σ; decreasing
 */
function search(excess: (at: number) => number, { start, tolerance, bothSides, rounds }: Search): Found {
  const [least, most] = [Math.log(leastNoise), Math.log(mostNoise)];
  let [low, high] = [least - 1, most + 1];
  let last: { readonly at: number; readonly excess: number } | undefined;
  let { at, slope } = start;
  for (let round = 0; round < rounds; round++) {
    // Far off only the sign is of use.
    const here = Math.min(4, Math.max(-4, excess(at)));
    const measured = last === undefined ? slope : (here - last.excess) / (at - last.at);
    // Two points that lie close together tell the noise of the bounds rather than the slope.
    if (last === undefined || Math.abs(at - last.at) > 2e-3) slope = measured < -0.05 ? measured : -1;
    if ((here <= 0 && here >= -tolerance) || (bothSides && Math.abs(here) <= tolerance)) return { at, slope };
    if (here > 0) low = at;
    else high = at;
    if ((here > 0 && at === most) || (here <= 0 && at === least)) return { at, slope };
    const wanted = at - (here + (bothSides ? 0 : tolerance / 2)) / slope;
    let next = Math.min(most, Math.max(least, Math.min(at + 1.5, Math.max(at - 1.5, wanted))));
    if (next <= low || next >= high) next = (Math.max(low, least) + Math.min(high, most)) / 2;
    if (Math.abs(next - at) < 1e-9) break;
    last = { at, excess: here };
    at = next;
  }
  return { at, slope };
}

/**
 * The least noise whose epsilon stays within the goal, to about 5e-4 of epsilon. Rényi divergences tell roughly where it lies, a coarse
 * grid more closely, and the last rounds use the very accountant that reports: the result is one that was evaluated and found within
 * the goal, never one between two that were.
 * @throws UserError where no noise is enough, because what has been spent already exceeds the goal
 */
export function calibrateNoise(goal: CalibrationGoal): Calibration {
  const { epsilon: target, delta, samplingRate, steps, accountant, spent = [] } = goal;
  checkDelta(delta);
  if (!(target > 0 && target < Infinity)) throw new RangeError(`epsilon ${target} is not a number above 0`);
  const phasesAt = (noiseMultiplier: number): readonly Phase[] => [...spent, { samplingRate, noiseMultiplier, steps }];
  const excessOf =
    (epsilonAt: (noise: number) => number) =>
    (at: number): number =>
      Math.log(epsilonAt(Math.exp(at)) / target);
  let found: Calibration | undefined;
  const exact = (noise: number): number => {
    const noiseMultiplier = roundedUp(noise);
    const cost = privacySpent(phasesAt(noiseMultiplier), delta, accountant);
    if (cost.epsilon <= target && !(found !== undefined && found.noiseMultiplier <= noiseMultiplier))
      found = { noiseMultiplier, spent: cost };
    return cost.epsilon;
  };
  let near = search(
    excessOf((noise) => rdpEpsilon(phasesAt(noise), delta).epsilon),
    { start: { at: 0, slope: -1 }, tolerance: 2e-2, bothSides: true, rounds: 40 },
  );
  if (accountant !== 'rdp')
    near = search(
      excessOf((noise) => {
        const { upper } = prvEpsilon(phasesAt(noise), delta, { tolerance: 3e-2, mostPoints: 2 ** 15 });
        // A coarse grid has no bound for very large losses.
        return upper < Infinity ? upper : rdpEpsilon(phasesAt(noise), delta).epsilon;
      }),
      { start: near, tolerance: 5e-3, bothSides: true, rounds: 20 },
    );
  near = search(excessOf(exact), { start: near, tolerance: 5e-4, bothSides: false, rounds: 5 });
  for (let noise = Math.exp(near.at); found === undefined && noise <= mostNoise; noise *= 1.02) exact(noise);
  if (found === undefined)
    throw new UserError(
      `no noise keeps epsilon within ${target} at delta ${Number(delta.toPrecision(4))}`,
      spent.length === 0 ? 'Allow a larger epsilon.' : 'What is already spent takes all of it; allow a larger epsilon.',
    );
  return found;
}

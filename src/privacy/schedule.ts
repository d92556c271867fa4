import { defaultDelta, deltaIsWeak } from './delta.ts';

/** How long a private training is meant to be. */
export type PrivateLength =
  { readonly kind: 'epochs'; readonly epochs: number } | { readonly kind: 'steps'; readonly steps: number };

/** Steps of a training whose batches are drawn. */
export interface PrivateSteps {
  /** The steps in which each example is drawn once on average: 1/q, rounded. */
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/**
 * How many steps a training with Poisson sampling takes: a number that is fixed before the data are looked at. The trainer takes exactly
 * these, and whatever plans or accounts a training counts them here.
 * @param samplingRate q, above 0
 */
export function scheduledSteps(samplingRate: number, length: PrivateLength): PrivateSteps {
  const stepsPerEpoch = Math.max(1, Math.round(1 / samplingRate));
  const totalSteps = length.kind === 'steps' ? length.steps : Math.max(1, Math.round(length.epochs * stepsPerEpoch));
  return { stepsPerEpoch, totalSteps };
}

/** A private training before its noise is chosen. */
export interface PrivateSchedule extends PrivateSteps {
  readonly examples: number;
  readonly expectedBatchSize: number;
  /** q: the expected batch over the examples. */
  readonly samplingRate: number;
  readonly delta: number;
  /** Whether delta is above one in the number of examples. */
  readonly deltaIsWeak: boolean;
}

export interface ScheduleOptions {
  /** N, taken to be public. */
  readonly examples: number;
  /** B, at most N. */
  readonly expectedBatchSize: number;
  readonly length: PrivateLength;
  /** 1/(2N) when absent. */
  readonly delta?: number | undefined;
}

/** The rate, steps and delta of a training. */
export function privateSchedule({ examples, expectedBatchSize, length, delta }: ScheduleOptions): PrivateSchedule {
  const samplingRate = expectedBatchSize / examples;
  const chosen = delta ?? defaultDelta(examples);
  return {
    examples,
    expectedBatchSize,
    samplingRate,
    ...scheduledSteps(samplingRate, length),
    delta: chosen,
    deltaIsWeak: deltaIsWeak(chosen, examples),
  };
}

/**
 * The steps after which epsilon is worth telling: the end of each epoch and of the training, thinned evenly to at most `most` where there
 * are more.
 */
export function epochEnds({ stepsPerEpoch, totalSteps }: PrivateSteps, most: number): readonly number[] {
  const ends: number[] = [];
  for (let step = stepsPerEpoch; step < totalSteps; step += stepsPerEpoch) ends.push(step);
  ends.push(totalSteps);
  if (ends.length <= most) return ends;
  const chosen = Array.from({ length: most }, (_, index) => ends[Math.round(((index + 1) * ends.length) / most) - 1]);
  return chosen.flatMap((step) => step ?? []);
}

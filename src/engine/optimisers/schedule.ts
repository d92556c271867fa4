/** Learning-rate schedules as transformers' `get_constant|linear|cosine_schedule_with_warmup` define them. */

export type ScheduleKind = 'constant' | 'linear' | 'cosine';

export interface Schedule {
  readonly kind: ScheduleKind;
  /** The highest learning rate, reached at the end of the warm-up. */
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/**
 * The steps of a warm-up given as a fraction of all steps (below 1; rounded up, as transformers does) or as a number of steps.
 */
export function warmupSteps(warmup: number, totalSteps: number): number {
  return warmup < 1 ? Math.ceil(warmup * totalSteps) : Math.floor(warmup);
}

/**
 * The learning rate that optimiser step `step` uses, counted from 0: it rises from 0 over the warm-up, then stays (constant),
 * falls to 0 at `totalSteps` in a straight line (linear), or as half a cosine wave (cosine).
 */
export function learningRateAt({ kind, learningRate, warmupSteps, totalSteps }: Schedule, step: number): number {
  if (step < warmupSteps) return learningRate * (step / warmupSteps);
  const decaySteps = Math.max(1, totalSteps - warmupSteps);
  switch (kind) {
    case 'constant':
      return learningRate;
    case 'linear':
      return learningRate * Math.max(0, (totalSteps - step) / decaySteps);
    case 'cosine':
      return learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((step - warmupSteps) / decaySteps))));
  }
}

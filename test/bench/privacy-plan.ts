import { z } from 'zod';

/** What a process of the privacy comparison is told. */
export const privacyPlan = z.object({
  checkpoint: z.string(),
  method: z.string(),
  options: z.record(z.string(), z.unknown()),
  /** Whether its steps are differentially private. */
  private: z.boolean(),
  batch: z.int(),
  tokens: z.int(),
  threads: z.int(),
});

export type PrivacyPlan = z.output<typeof privacyPlan>;

/**
 * How many examples more or fewer than the expected batch successive private steps draw, in units of its root: Poisson sampling's own
 * deviation. They come to nothing together, so that both sides compute as many examples in a round.
 */
export const drawn = [0, -1, 1] as const;

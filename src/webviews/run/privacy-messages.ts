import * as z from 'zod/mini';

/** What the host answers about a run's privacy. Infinite values are null. */

const number = z.nullable(z.number());

/** The public record: what an auditor needs, and what follows from it. */
export const privacyAnswer = z.nullable(
  z.object({
    ledger: z.object({
      relation: z.string(),
      unit: z.string(),
      sampling: z.string(),
      examples: z.number(),
      samplingRate: z.number(),
      expectedBatchSize: z.number(),
      noiseMultiplier: z.number(),
      maxGradNorm: z.number(),
      clipping: z.string(),
      delta: z.number(),
      accountant: z.string(),
      plannedSteps: z.number(),
      targetEpsilon: z.optional(z.number()),
      generator: z.string(),
      insecure: z.boolean(),
    }),
    released: z.number(),
    repeated: z.number(),
    epsilon: number,
    planned: number,
    epochs: z.array(z.object({ step: z.number(), epoch: z.number(), epsilon: number })),
  }),
);

export type PrivacyAnswer = NonNullable<z.infer<typeof privacyAnswer>>;

/** What the run knows without noise. */
export const localAnswer = z.array(
  z.object({
    metric: z.string(),
    step: z.instanceof(Float64Array),
    value: z.instanceof(Float64Array),
    total: z.number(),
  }),
);

export type LocalAnswer = z.infer<typeof localAnswer>;

export const auditAnswer = z.object({
  verdict: z.enum(['holds', 'fails', 'not-private']),
  epsilon: z.optional(
    z.object({
      computed: z.nullable(z.number()),
      recorded: z.optional(z.nullable(z.number())),
      accountant: z.string(),
    }),
  ),
  findings: z.array(z.string()),
  assumptions: z.array(z.string()),
});

export type AuditAnswer = z.infer<typeof auditAnswer>;

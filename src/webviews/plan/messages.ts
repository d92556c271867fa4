import * as z from 'zod/mini';

/** What the planner's page and its host tell each other beside the envelope of every panel. */

const positive = z.number().check(z.positive());
const count = z.int().check(z.minimum(1), z.maximum(1e12));
const key = z.string().check(z.maxLength(1000));

/** What a private training is thought to be. */
export const planInputs = z.strictObject({
  /** The size of which task is planned for; null for a number that was typed. */
  task: z.nullable(key),
  examples: count,
  batchSize: count,
  epochs: positive.check(z.maximum(1e6)),
  /** Null for one in twice the number of examples. */
  delta: z.nullable(positive.check(z.lt(1), z.minimum(1e-100))),
  accountant: z.enum(['tightest', 'prv', 'rdp']),
  goal: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('epsilon'), epsilon: positive.check(z.maximum(1e6)) }),
    z.strictObject({ kind: z.literal('noise'), noiseMultiplier: positive.check(z.maximum(1e6)) }),
  ]),
  /** The data set whose earlier runs count with it. */
  spentOn: z.nullable(key),
});

export type PlanInputs = z.infer<typeof planInputs>;

export const firstInputs: PlanInputs = {
  task: 'task sst2',
  examples: 67_349,
  batchSize: 512,
  epochs: 3,
  delta: null,
  accountant: 'tightest',
  goal: { kind: 'epsilon', epsilon: 3 },
  spentOn: null,
};

/** How the page is arranged; kept over a restart. */
export const layout = z.object({
  inputs: planInputs,
  /** The host's own: the answers that the inputs complete, which have to be kept with them. */
  begun: z.optional(z.unknown()),
  /** The charts that are shown as tables. */
  tables: z._default(z.array(z.enum(['noise', 'epochs'])), []),
});

export type Layout = z.infer<typeof layout>;

// The values of the feed

/** Sizes to plan for, under `sizes`. */
export const sizes = z.array(
  z.object({
    id: z.string(),
    title: z.string(),
    examples: z.number(),
    /** `task`: the data as they are published; `run`: what a run of this project trained on. */
    from: z.enum(['task', 'run']),
  }),
);

export type Size = z.infer<typeof sizes>[number];

const number = z.nullable(z.number());

/** What was spent on the project's data sets, under `dataSets`. */
export const dataSets = z.array(
  z.object({
    id: z.string(),
    data: z.string(),
    budget: z.nullable(z.object({ epsilon: z.number(), delta: z.number() })),
    spent: number,
    delta: number,
    left: number,
    runs: z.number(),
  }),
);

export type DataSet = z.infer<typeof dataSets>[number];

const accountant = z.enum(['prv', 'rdp']);

/** What the inputs come to, under `plan`. Infinite values are null. */
export const plan = z.object({
  inputs: planInputs,
  samplingRate: z.number(),
  expectedBatchSize: z.number(),
  stepsPerEpoch: z.number(),
  totalSteps: z.number(),
  delta: z.number(),
  deltaIsWeak: z.boolean(),
  noiseMultiplier: z.number(),
  epsilon: number,
  lower: number,
  accountant,
  prv: number,
  rdp: number,
  /** With what was spent before, at the delta of the data set's budget; null where it has none. */
  atBudget: z.nullable(z.object({ delta: z.number(), epsilon: number })),
});

export type Plan = z.infer<typeof plan>;

/** Curves as far as they are computed, under `noise` and `epochs`. */
export const curve = z.object({
  points: z.array(z.object({ x: z.number(), epsilon: number })),
  isWhole: z.boolean(),
});

export type Curve = z.infer<typeof curve>;

/** Under `state`. */
export const state = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('computing') }),
  z.object({ kind: z.literal('done') }),
  /** The inputs come to nothing: no noise is enough, or something is wrong. */
  z.object({ kind: z.literal('refused'), message: z.string() }),
]);

export type State = z.infer<typeof state>;

/** Under `asked`, until the page says that it took them: inputs that somebody opened the planner with while it was open. */
export const asked = z.object({ count: z.number(), inputs: planInputs, begun: z.optional(z.unknown()) });

export type Asked = z.infer<typeof asked>;

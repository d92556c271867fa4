import * as z from 'zod/mini';

/** The values of the run panel's feed, by key. */

const number = z.nullable(z.number());
const text = z.nullable(z.string());

export const runStates = ['queued', 'starting', 'running', 'finished', 'failed', 'stopped', 'interrupted'] as const;

const metrics = z.record(z.string(), z.nullable(z.number()));

export const summary = z.object({
  id: z.string(),
  state: z.enum(runStates),
  /** With what tells it from the others of its sweep. */
  name: text,
  model: text,
  task: text,
  method: text,
  seed: number,
  tags: z.array(z.string()),
  note: z.string(),
  starred: z.boolean(),
  parameters: z.nullable(z.object({ method: z.number(), head: z.number(), total: z.number(), frozen: number })),
  score: number,
  bestStep: number,
  lastScore: number,
  epsilon: number,
  /** The δ that ε is meant at. */
  delta: number,
  isPrivate: z.boolean(),
  /** What the noise was calibrated to. */
  targetEpsilon: number,
  step: number,
  totalSteps: number,
  epoch: number,
  loss: number,
  examplesPerSecond: number,
  remainingMs: number,
  peakBytes: number,
  trainSeconds: number,
  provider: text,
  threads: number,
  deviceReason: text,
  host: text,
  segments: z.number(),
  createdAt: number,
  startedAt: number,
  endedAt: number,
  failure: z.nullable(z.object({ kind: text, message: text })),
  diagnostics: z.array(z.object({ file: z.string(), position: z.number(), problem: z.string() })),
  /** Whether runs may be started here: not in an untrusted folder. */
  canStart: z.boolean(),
  /** Whether a machine holds it that cannot be seen from here: the host asks before it is resumed. */
  isUnseen: z.boolean(),
});

export type Summary = z.infer<typeof summary>;

export const evaluations = z.array(
  z.object({
    step: z.number(),
    epoch: number,
    time: z.number(),
    split: z.string(),
    examples: number,
    loss: number,
    seconds: number,
    best: z.boolean(),
    metrics,
  }),
);

export type Evaluation = z.infer<typeof evaluations>[number];

/** Settings by dotted path, each as text. */
export const settings = z.array(z.object({ path: z.string(), value: z.string() }));

export type Settings = z.infer<typeof settings>;

export const artifacts = z.array(z.object({ path: z.string(), bytes: z.number(), kind: text, step: number }));

export type Artifact = z.infer<typeof artifacts>[number];

/** Which curves there are. When `life` changes, steps were replaced and every curve has to be asked for anew. */
export const curveNames = z.object({
  names: z.array(z.string()),
  life: z.string(),
  /** Grows with every point. */
  mark: z.string(),
  startedAt: number,
});

export type CurveNames = z.infer<typeof curveNames>;

/** The run is gone, or the store can't be read. */
export const trouble = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('gone') }),
  z.object({ kind: z.literal('error'), message: z.string() }),
]);

export type Trouble = z.infer<typeof trouble>;

export const curveAnswer = z.array(
  z.object({
    metric: z.string(),
    step: z.instanceof(Float64Array),
    epoch: z.instanceof(Float64Array),
    time: z.instanceof(Float64Array),
    value: z.instanceof(Float64Array),
    total: z.number(),
    smoothed: z.optional(
      z.object({ value: z.instanceof(Float64Array), state: z.object({ sum: z.number(), weight: z.number() }) }),
    ),
  }),
);

export type CurveAnswer = z.infer<typeof curveAnswer>[number];

export const logAnswer = z.array(
  z.object({
    segment: z.number(),
    seq: z.number(),
    time: z.number(),
    level: z.string(),
    message: z.string(),
  }),
);

export type LogLine = z.infer<typeof logAnswer>[number];

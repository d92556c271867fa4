import * as z from 'zod/mini';

/** The values of the compare panel's feed: `scope`, `tasks`, `trouble`, and each run under `run:` and its id. */

const metrics = z.record(z.string(), z.nullable(z.number()));

const evaluated = z.nullable(z.object({ step: z.number(), splits: z.record(z.string(), metrics) }));

/** A run as the analysis compares it, with what tells it apart for people. */
export const comparedRun = z.object({
  id: z.string(),
  name: z.nullable(z.string()),
  seed: z.nullable(z.number()),
  state: z.string(),
  config: z.nullable(z.record(z.string(), z.json())),
  parameters: z.nullable(z.object({ method: z.number(), head: z.number(), total: z.number() })),
  epsilon: z.nullable(z.number()),
  trainSeconds: z.nullable(z.number()),
  best: evaluated,
  last: evaluated,
  createdAt: z.nullable(z.number()),
});

export type PanelRun = z.infer<typeof comparedRun>;

export const runKeyPrefix = 'run:';

/** What is compared. */
export const scope = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('all') }),
  z.object({ kind: z.literal('runs'), count: z.number() }),
  z.object({ kind: z.literal('sweep'), name: z.string() }),
]);

export type Scope = z.infer<typeof scope>;

/** The titles of tasks, by id. */
export const taskTitles = z.record(z.string(), z.string());

export const trouble = z.object({ message: z.string() });

const sorted = z.nullable(z.object({ column: z.string(), descending: z.boolean() }));

/** How the panel looks at the comparison; kept over a restart, and what a report begins with. */
export const view = z.object({
  metric: z._default(z.string(), 'score'),
  at: z._default(z.enum(['best', 'last']), 'best'),
  /** The column that the chart shows: a task, or `average`; the first one where it is not there. */
  column: z._default(z.nullable(z.string()), null),
  axis: z._default(z.enum(['parameters', 'epsilon']), 'parameters'),
  count: z._default(z.enum(['method', 'head', 'total']), 'total'),
  facet: z._default(z.enum(['none', 'privacy']), 'none'),
  points: z._default(z.enum(['means', 'runs']), 'means'),
  chartAsTable: z._default(z.boolean(), false),
  /** What the tables of rows and of points are sorted by, where somebody has sorted them. */
  sort: z._default(sorted, null),
  pointSort: z._default(sorted, null),
});

export type View = z.infer<typeof view>;

export const firstView: View = view.parse({});

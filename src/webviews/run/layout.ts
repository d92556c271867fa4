import * as z from 'zod/mini';

/** How the user has arranged the run panel. */
export const layout = z.object({
  tab: z._default(
    z.enum(['curves', 'results', 'privacy', 'configuration', 'environment', 'log', 'artifacts']),
    'curves',
  ),
  axis: z._default(z.enum(['step', 'epoch', 'time']), 'step'),
  smoothing: z._default(z.number().check(z.minimum(0), z.maximum(0.99)), 0.9),
  /** The charts that are shown as tables. */
  tables: z._default(z.array(z.string().check(z.maxLength(200))).check(z.maxLength(100)), []),
});

export type Layout = z.infer<typeof layout>;

export type Tab = Layout['tab'];

export const firstLayout: Layout = layout.parse({});

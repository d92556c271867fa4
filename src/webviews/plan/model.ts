import type * as z from 'zod/mini';
import {
  asked,
  curve,
  dataSets,
  plan,
  sizes,
  state,
  type Asked,
  type Curve,
  type DataSet,
  type Plan,
  type Size,
  type State,
} from './messages.ts';

/** What the planner knows from its host. */
export interface PlanModel {
  readonly sizes: () => readonly Size[];
  readonly dataSets: () => readonly DataSet[];
  readonly plan: () => Plan | undefined;
  readonly noise: () => Curve;
  readonly epochs: () => Curve;
  readonly state: () => State | undefined;
  /** What somebody opened the planner with while it was open, each once. */
  readonly takeAsked: () => Asked | undefined;
  readonly update: (values: ReadonlyMap<string, unknown>) => void;
}

const nothing: Curve = { points: [], isWhole: false };

/** What the planner knows: the last answer to each of its questions, as far as it can be understood. */
export function makePlanModel(): PlanModel {
  let values: ReadonlyMap<string, unknown> = new Map();
  let taken = 0;

  function at<T>(key: string, schema: z.ZodMiniType<T>): T | undefined {
    const result = schema.safeParse(values.get(key));
    return result.success ? result.data : undefined;
  }

  return {
    sizes: () => at('sizes', sizes) ?? [],
    dataSets: () => at('dataSets', dataSets) ?? [],
    plan: () => at('plan', plan),
    noise: () => at('noise', curve) ?? nothing,
    epochs: () => at('epochs', curve) ?? nothing,
    state: () => at('state', state),
    takeAsked() {
      const found = at('asked', asked);
      if (found === undefined || found.count <= taken) return undefined;
      taken = found.count;
      return found;
    },
    update(next) {
      values = next;
    },
  };
}

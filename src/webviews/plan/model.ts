import type * as z from 'zod/mini';
import {
  asked,
  curve,
  dataSets,
  plan,
  sizes,
  state,
  type Curve,
  type DataSet,
  type Plan,
  type PlanInputs,
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
  /** Inputs that somebody opened the planner with since it was made, each once. */
  readonly takeAsked: () => PlanInputs | undefined;
  readonly update: (values: ReadonlyMap<string, unknown>) => void;
}

const nothing: Curve = { points: [], isWhole: false };

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
      return found.inputs;
    },
    update(next) {
      values = next;
    },
  };
}

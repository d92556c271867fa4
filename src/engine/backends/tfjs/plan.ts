import { formatShape } from '../../graph/dims.ts';
import { standardised } from '../../graph/gradients.ts';
import { add, inputAt, layerNormStatistic, multiply, subtract } from '../../graph/operations.ts';
import { isPairwise, topologicalOrder, type Value } from '../../graph/value.ts';
import { bareOperands } from '../bare-operands.ts';

/** One computation of a plan. */
export interface Step {
  /** What is computed; its inputs are not those of the step. */
  readonly value: Value;
  /** The steps whose results are computed with. */
  readonly operands: readonly number[];
  /** The steps whose results nothing reads any more once this one is done. */
  readonly frees: readonly number[];
}

/** A graph as a list of computations: equal ones once, dead ones never, each result kept no longer than it is needed. */
export interface Plan {
  readonly steps: readonly Step[];
  /** The inputs and parameters that must be fed. */
  readonly inputs: readonly Value[];
  /** The step that computes each output, by the output's name. */
  readonly outputs: ReadonlyMap<string, number>;
}

/** Whether a step's result is there before a run and stays when it is over. */
export function isResident({ operation }: Value): boolean {
  return operation.kind === 'weight' || operation.kind === 'constant';
}

/** The layer norm that a statistic belongs to. */
export function normOf(statistic: Value): Value & { readonly operation: { readonly kind: 'layerNorm' } } {
  const norm = inputAt(statistic, 0);
  const { operation } = norm;
  if (operation.kind !== 'layerNorm') throw new Error('a statistic of something that is no layer norm');
  return { ...norm, operation };
}

/**
 * What a step computes with: the mean of a norm reads the norm's input, and the deviation what is left of it without the mean.
 * @throws Error on a layer norm, which is computed from these two
 */
function operandsOf(value: Value): readonly Value[] {
  const { operation } = value;
  if (isPairwise(operation) || operation.kind === 'where') return bareOperands(value);
  switch (operation.kind) {
    case 'layerNormStatistic': {
      const norm = normOf(value);
      const x = inputAt(norm, 0);
      return [operation.statistic === 'mean' ? x : subtract(x, layerNormStatistic(norm, 'mean'))];
    }
    case 'layerNorm':
      throw new Error('a layer norm is computed from its statistics');
    default:
      return value.inputs;
  }
}

/** A layer norm in parts, most of which its gradients compute too. */
function inParts(norm: Value): Value {
  return add(multiply(standardised(norm), inputAt(norm, 1)), inputAt(norm, 2));
}

/** The same for computations that give the same result. */
function keyOf(value: Value, operands: readonly number[]): string {
  const { operation, dtype, shape } = value;
  const what = operation.kind === 'layerNormStatistic' ? [operation, normOf(value).operation] : operation;
  const exact = (_: string, part: unknown): unknown =>
    typeof part === 'number' ? (Object.is(part, -0) ? '-0' : String(part)) : part;
  return `${JSON.stringify(what, exact)} ${dtype}${formatShape(shape)} ${operands.join()}`;
}

/** Plans the computation of `outputs`, in the order in which the graph was built. */
export function planGraph(outputs: Readonly<Record<string, Value>>): Plan {
  const all: { readonly value: Value; readonly operands: readonly number[] }[] = [];
  const places = new Map<number, number>();
  const known = new Map<string, number>();
  const append = (value: Value, operands: readonly number[]): number => {
    const key = keyOf(value, operands);
    const place = known.get(key) ?? all.push({ value, operands }) - 1;
    known.set(key, place);
    return place;
  };
  const placeOf = (value: Value): number => {
    const place =
      places.get(value.id) ??
      (value.operation.kind === 'layerNorm' ? placeOf(inParts(value)) : append(value, operandsOf(value).map(placeOf)));
    places.set(value.id, place);
    return place;
  };
  const order = topologicalOrder(Object.values(outputs));
  for (const value of order) placeOf(value);
  const wanted = Object.entries(outputs).map(([name, value]) => [name, placeOf(value)] as const);

  const used = new Set(wanted.map(([, place]) => place));
  for (let place = all.length - 1; place >= 0; place--) {
    if (used.has(place)) for (const operand of all[place]?.operands ?? []) used.add(operand);
  }
  const live = all.flatMap((step, place) => (used.has(place) ? [{ ...step, place }] : []));
  const renumbered = new Map(live.map(({ place }, index) => [place, index]));
  const indexOf = (place: number): number => renumbered.get(place) ?? -1;

  const kept = new Set(wanted.map(([, place]) => indexOf(place)));
  live.forEach(({ value }, index) => {
    if (isResident(value)) kept.add(index);
  });
  const steps: Step[] = [];
  for (const { value, operands: at } of live.toReversed()) {
    const operands = at.map(indexOf);
    const frees = [...new Set(operands)].filter((operand) => !kept.has(operand));
    for (const operand of frees) kept.add(operand);
    steps.push({ value, operands, frees });
  }
  return {
    steps: steps.toReversed(),
    inputs: order.filter(({ operation }) => operation.kind === 'input' || operation.kind === 'parameter'),
    outputs: new Map(wanted.map(([name, place]) => [name, indexOf(place)])),
  };
}

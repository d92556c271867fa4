import { constant, add, broadcast } from './operations.ts';
import { inputCotangents } from './gradients.ts';
import { cutSegments, keepEverything, recompute } from './recompute.ts';
import { describeValue, topologicalOrder, type Value } from './value.ts';

export interface DifferentiateOptions {
  /**
   * Values on the way to the output, one after the other, between which nothing is kept for the backward half: it is computed once more,
   * from the boundary before it. Behind the last one everything is kept.
   */
  readonly boundaries?: readonly Value[];
  /**
   * Told of each target when its gradient is complete, in the order in which that comes to pass. What it returns is computed before the
   * next segment is computed again.
   * @param node the target, or what stands for it in the backward half: its inputs are the ones to read
   */
  readonly whenComplete?: (target: Value, gradient: Value, node: Value) => readonly Value[];
}

/**
 * The gradients of the sum of `output`'s elements with respect to each of `targets` (parameters, or any values on the way), each of
 * its target's shape. Walks only the paths from `output` that reach a target: frozen branches get no backward computation at all.
 * @throws Error if a target does not reach `output`, naming it
 */
export function differentiate(
  output: Value,
  targets: readonly Value[],
  { boundaries = [], whenComplete }: DifferentiateOptions = {},
): readonly Value[] {
  const order = topologicalOrder([output]);
  const targetIds = new Set(targets.map((target) => target.id));
  const onPath = new Set(targetIds);
  for (const value of order) {
    if (value.inputs.some((input) => onPath.has(input.id))) onPath.add(value.id);
  }
  const recomputation = boundaries.length === 0 ? keepEverything : recompute(cutSegments(output, boundaries));
  const cotangents = new Map<number, Value>([[output.id, broadcast(constant([1], []), output.shape)]]);
  /** What has been computed, and will be read later than the segment at hand, by what it belongs to. */
  const pending = new Map<number, readonly Value[]>();
  const takePending = (): readonly Value[] => {
    const values = [...pending.values()].flat();
    pending.clear();
    return values;
  };
  for (const value of order.toReversed()) {
    const cotangent = cotangents.get(value.id);
    if (cotangent === undefined) continue;
    const leads = value.inputs.some((input) => onPath.has(input.id));
    const isTarget = targetIds.has(value.id) && onPath.has(output.id);
    if (!leads && !isTarget) continue;
    const node = recomputation.nodeFor(value, () => [cotangent, ...takePending()]);
    if (isTarget) {
      const made = whenComplete?.(value, cotangent, node) ?? [];
      if (made.length > 0) pending.set(value.id, made);
    }
    if (!leads) continue;
    if (!isTarget) pending.delete(value.id);
    const rules = inputCotangents(node, cotangent);
    value.inputs.forEach((input, index) => {
      const rule = rules[index];
      if (rule === undefined || !onPath.has(input.id)) return;
      const earlier = cotangents.get(input.id);
      const sum = earlier === undefined ? rule() : add(earlier, rule());
      cotangents.set(input.id, sum);
      pending.set(input.id, [sum]);
    });
  }
  return targets.map((target) => {
    const gradient = cotangents.get(target.id);
    if (gradient === undefined || !onPath.has(output.id)) {
      throw new Error(`${describeValue(target)} does not reach ${describeValue(output)}`);
    }
    return gradient;
  });
}

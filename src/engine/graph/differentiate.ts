import { constant, add, broadcast } from './operations.ts';
import { inputCotangents } from './gradients.ts';
import { describeValue, topologicalOrder, type Value } from './value.ts';

/**
 * The gradients of the sum of `output`'s elements with respect to each of `targets` (parameters, or any values on the way), each of
 * its target's shape. Walks only the paths from `output` that reach a target: frozen branches get no backward computation at all.
 * @throws Error if a target does not reach `output`, naming it
 */
export function differentiate(output: Value, targets: readonly Value[]): readonly Value[] {
  const order = topologicalOrder([output]);
  const onPath = new Set(targets.map((target) => target.id));
  for (const value of order) {
    if (value.inputs.some((input) => onPath.has(input.id))) onPath.add(value.id);
  }
  const cotangents = new Map<number, Value>([[output.id, broadcast(constant([1], []), output.shape)]]);
  for (const value of order.toReversed()) {
    const cotangent = cotangents.get(value.id);
    if (cotangent === undefined || !value.inputs.some((input) => onPath.has(input.id))) continue;
    const rules = inputCotangents(value, cotangent);
    value.inputs.forEach((input, index) => {
      const rule = rules[index];
      if (rule === undefined || !onPath.has(input.id)) return;
      const earlier = cotangents.get(input.id);
      cotangents.set(input.id, earlier === undefined ? rule() : add(earlier, rule()));
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

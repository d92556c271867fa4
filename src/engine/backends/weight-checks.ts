import { formatShape, sameShape } from '../graph/dims.ts';
import { topologicalOrder, type Value } from '../graph/value.ts';
import type { WeightLocation, WeightSource } from './backend.ts';

/** The names of the frozen weights that `outputs` depend on. */
export function weightNames(outputs: readonly Value[]): readonly string[] {
  const names = topologicalOrder(outputs).flatMap(({ operation }) =>
    operation.kind === 'weight' ? [operation.name] : [],
  );
  return [...new Set(names)];
}

/** Where the weights called `names` are. @throws Error if one is not in `source` */
export function locateWeights(names: readonly string[], source: WeightSource): ReadonlyMap<string, WeightLocation> {
  const locations = new Map<string, WeightLocation>();
  for (const name of names) {
    const location = source.get(name);
    if (location === undefined) throw new Error(`the graph needs a weight ${name}, which was not given`);
    locations.set(name, location);
  }
  return locations;
}

/** @throws Error if a weight is not of the shape and type that the graph's value has */
export function checkWeight(
  value: Value,
  name: string,
  { shape, dtype }: { readonly shape: readonly number[]; readonly dtype: 'F32' | 'F16' | 'BF16' | 'I32' },
): void {
  if (!sameShape(shape, value.shape)) {
    throw new Error(`weight ${name} has shape ${formatShape(shape)}, the graph wants ${formatShape(value.shape)}`);
  }
  if ((dtype === 'I32') !== (value.dtype === 'int32')) {
    throw new Error(`weight ${name} is ${dtype}, the graph wants ${value.dtype}`);
  }
}

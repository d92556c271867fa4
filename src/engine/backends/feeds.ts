import { evaluateDim, formatShape, symbolsOf, type Bindings } from '../graph/dims.ts';
import { describeValue, type Value } from '../graph/value.ts';
import type { TensorData } from './backend.ts';

export type Feeds = Readonly<Record<string, TensorData>>;

function feedOf(feeds: Feeds, value: Value): TensorData {
  const name = 'name' in value.operation ? value.operation.name : '';
  const feed = feeds[name];
  if (feed === undefined) throw new Error(`${describeValue(value)} is not fed`);
  if (feed.dtype !== value.dtype || feed.shape.length !== value.shape.length) {
    throw new Error(`${describeValue(value)} is fed ${feed.dtype}${formatShape(feed.shape)}`);
  }
  const size = feed.shape.reduce((product, dim) => product * dim, 1);
  if (feed.data.length !== size) {
    throw new Error(
      `${describeValue(value)} is fed ${feed.data.length} elements for the shape ${formatShape(feed.shape)}`,
    );
  }
  return feed;
}

/**
 * Checks feeds against the inputs of a graph and reads the values of its symbols off their shapes. Feeds that the graph does not
 * use are no error: one batch serves graphs that need different parts of it.
 * @throws Error on a missing feed, another dtype, rank or size, a symbol that is 0, or shapes that disagree about one, naming the inputs
 */
export function bindFeeds(inputs: readonly Value[], feeds: Feeds): Bindings {
  const bound = new Map<string, { readonly size: number; readonly by: Value }>();
  const fed = inputs.map((value) => ({ value, shape: feedOf(feeds, value).shape }));
  for (const { value, shape } of fed) {
    value.shape.forEach((dim, axis) => {
      const size = shape[axis] ?? 0;
      if (typeof dim === 'number' || symbolsOf(dim)[0] !== dim.text) return;
      if (size === 0) throw new Error(`${dim.text} is 0 in ${describeValue(value)}`);
      const before = bound.get(dim.text);
      if (before === undefined) bound.set(dim.text, { size, by: value });
      else if (before.size !== size) {
        throw new Error(
          `${dim.text} is ${before.size} in ${describeValue(before.by)} but ${size} in ${describeValue(value)}`,
        );
      }
    });
  }
  const bindings = Object.fromEntries([...bound].map(([name, { size }]) => [name, size]));
  for (const { value, shape } of fed) {
    if (!value.shape.every((dim, axis) => evaluateDim(dim, bindings) === shape[axis])) {
      throw new Error(`${describeValue(value)} is fed the shape ${formatShape(shape)}`);
    }
  }
  return bindings;
}

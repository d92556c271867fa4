import { sizeOf, symbolsOf } from './dims.ts';
import { add, cast, concat, less, negate, reduceSum, reshape, slice } from './operations.ts';
import { rebuild } from './rebuild.ts';
import { topologicalOrder, type Value } from './value.ts';

/**
 * Recomputation (Chen, Xu, Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost", section 4): the values between two
 * boundaries of a graph are a segment. Only the boundaries are kept from the forward half; the backward half computes a segment's inside
 * once more when it comes to it, from the boundary before.
 */

/** The segments of a graph. */
export interface Segments {
  /** The segment of each value that is computed again, by its id. */
  readonly of: ReadonlyMap<number, number>;
  /** Values within segments that later ones read too: there is no gain in giving them up. */
  readonly kept: ReadonlySet<number>;
}

/** What a value is a view of: whoever takes a view of it takes the value itself. */
function viewed(value: Value): Value {
  let source = value;
  while (source.operation.kind === 'reshape') source = source.inputs[0] ?? source;
  return source;
}

/** Whether a value's size depends on the batch: all others are small, or parameters. */
function growsWithBatch(value: Value): boolean {
  return value.shape.some((dim) => symbolsOf(dim).length > 0);
}

/**
 * Cuts the graph of `output` at `boundaries`, which lie one after the other on its way. A value belongs to the segment behind the last
 * boundary that it depends on. One that depends on none (a dropout mask, the rows of a prefix) belongs to the segment that reads it where
 * only one does. What comes before the first boundary is no segment; neither is what comes after the last one, because the backward
 * half begins there.
 */
export function cutSegments(output: Value, boundaries: readonly Value[]): Segments {
  const order = topologicalOrder([output]);
  const numbers = new Map(boundaries.map((boundary, index) => [viewed(boundary).id, index]));
  const last = boundaries.length - 1;
  const segments = new Map<number, number>();
  for (const { id, inputs } of order) {
    const behind = inputs.map((input) => numbers.get(input.id) ?? segments.get(input.id) ?? -1);
    const latest = Math.max(-1, ...behind);
    if (latest >= 0) segments.set(id, latest);
  }
  const readers = new Map<number, Set<number | undefined>>();
  for (const value of order.toReversed()) {
    const { id, inputs } = value;
    const [reader, ...more] = readers.get(id) ?? [];
    if (!segments.has(id) && !numbers.has(id) && inputs.length > 0 && reader !== undefined && more.length === 0) {
      if (growsWithBatch(value)) segments.set(id, reader);
    }
    const segment = segments.get(id);
    for (const input of inputs) {
      const known = readers.get(input.id);
      if (known === undefined) readers.set(input.id, new Set([segment]));
      else known.add(segment);
    }
  }
  const kept = new Set<number>();
  for (const { id } of order) {
    const segment = segments.get(id);
    if (numbers.has(id) || [...(readers.get(id) ?? [])].some((reader) => reader !== segment)) kept.add(id);
  }
  for (const [id, segment] of segments) if (segment === last) segments.delete(id);
  return { of: segments, kept };
}

/** Scalars that are zero, and known only once the values they wait for are. */
interface Token {
  /** -0, which leaves every number as it is when added, 0 and -0 too. */
  readonly float: Value;
  readonly integer: Value;
}

/**
 * No number is less than itself, but no runtime knows that: to tell, it has to compute the values. One element of each is enough.
 * @param values float32, of any shapes
 */
function waitFor(values: readonly Value[]): Token {
  const elements = values.map((value) => slice(reshape(value, [sizeOf(value.shape)]), 0, 0, 1));
  const together = concat(elements, 0);
  const zero = reshape(reduceSum(cast(less(together, together), 'float32'), [0]), []);
  return { float: negate(zero), integer: cast(zero, 'int32') };
}

/** Computes segments again, each as late as what it must wait for. */
export interface Recomputation {
  /**
   * The node whose inputs the backward half is to read in place of `value`'s: in a segment a copy, elsewhere `value` itself.
   * @param before what must be there before a segment's first copy is computed
   */
  readonly nodeFor: (value: Value, before: () => readonly Value[]) => Value;
}

/** Every value of the forward half is there still. */
export const keepEverything: Recomputation = { nodeFor: (value) => value };

function isDelayable({ dtype }: Value): boolean {
  return dtype === 'float32' || dtype === 'int32';
}

/**
 * The copies of a segment's values. What a copy reads first is the boundary with -0 (an integer with 0) added, which a token gives: so it
 * is another computation than the first one, with the same result, NaN and infinities included, and it cannot be made earlier.
 */
function createCopies(segments: Segments, segment: number, token: Token): (value: Value) => Value {
  const copies = new Map<number, Value>();
  const delayed = new Map<number, Value>();
  const late = (value: Value): Value => {
    const known = delayed.get(value.id) ?? add(value, value.dtype === 'int32' ? token.integer : token.float);
    delayed.set(value.id, known);
    return known;
  };
  const inputOf = (input: Value): Value =>
    segments.of.get(input.id) === segment && !segments.kept.has(input.id) ? copyOf(input) : input;
  const copyOf = (value: Value): Value => {
    const known = copies.get(value.id);
    if (known !== undefined) return known;
    const inputs = value.inputs.map(inputOf);
    if (inputs.every((input, index) => input === value.inputs[index])) {
      // Equal computations are made once by every backend, so that one of the inputs has to be another.
      const first = inputs.findIndex((input) => growsWithBatch(input) && isDelayable(input));
      const input = inputs[first];
      if (input !== undefined) inputs[first] = late(input);
    }
    const isNew = inputs.some((input, index) => input !== value.inputs[index]);
    const copy = isNew ? rebuild(value, inputs) : value;
    if (copy.operation.kind !== value.operation.kind)
      throw new Error(`${value.operation.kind} became another operation`);
    copies.set(value.id, copy);
    return copy;
  };
  return copyOf;
}

/** Computes segments again. */
export function recompute(segments: Segments): Recomputation {
  const copiesOf = new Map<number, (value: Value) => Value>();
  return {
    nodeFor(value, before) {
      const segment = segments.of.get(value.id);
      if (segment === undefined) return value;
      const copyOf = copiesOf.get(segment) ?? createCopies(segments, segment, waitFor(before()));
      copiesOf.set(segment, copyOf);
      return copyOf(value);
    },
  };
}

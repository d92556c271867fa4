/**
 * What operations become when their inputs carry the examples of a batch in different ways: as an axis of their own in the graph as
 * written, or as a copy for each example.
 */
import { divideDims, sizeOf, type Dim } from './dims.ts';
import {
  add,
  broadcast,
  cast,
  concat,
  constant,
  dimAt,
  gather,
  gemm,
  inputAt,
  layerNorm,
  matmul,
  multiply,
  pad,
  reduceMax,
  reduceSum,
  reshape,
  slice,
  softmax,
  splitRows,
  swapLastAxes,
  takeRows,
  transpose,
  where,
} from './operations.ts';
import { binaryOperations, unaryOperations } from './rebuild.ts';
import { GraphError, isPairwise, isUnary, type Value } from './value.ts';

/** How a value of the rewritten graph carries the examples. */
export type Carried =
  /** Its first axis counts examples (or examples × rows), as the graph was written. */
  | { readonly kind: 'native'; readonly value: Value }
  /** Had no batch axis; now `[batch, ...its shape]`, one copy an example. */
  | { readonly kind: 'tiled'; readonly value: Value }
  /** Depends on no parameter and no example. */
  | { readonly kind: 'fixed'; readonly value: Value };

/** Whether the first axis counts examples, or rows of examples. */
export function carriesBatch(value: Value, batch: Dim): boolean {
  const first = value.shape[0];
  return first !== undefined && divideDims(first, batch) !== undefined && first !== 0;
}

/** A list of so many ones. */
export function ones(count: number): readonly number[] {
  return Array.from({ length: count }, () => 1);
}

/** A tiled value of native shape `shape`, viewed so that it broadcasts against `[batch, ...]` of rank `rank + 1`. */
function alignTiled(tiled: Value, rank: number): Value {
  const [batch = 1, ...shape] = tiled.shape;
  return reshape(tiled, [batch, ...ones(rank - shape.length), ...shape]);
}

/** @throws GraphError that says why there is no gradient per example */
export function refuse(node: Value, problem: string): never {
  throw new GraphError(node.operation.kind, `${problem}, so it has no gradient per example`, node.inputs);
}

/** Refuses an operation between native values that could mix examples: normalising, summing or multiplying across the batch. @throws GraphError */
export function checkExamplesStayApart(node: Value, inputs: readonly Carried[], batch: Dim): void {
  const { operation } = node;
  const first = inputs.find((input) => input.kind === 'native')?.value;
  if (!carriesBatch(node, batch)) refuse(node, 'mixes the examples of a batch');
  switch (operation.kind) {
    case 'transpose':
      if (operation.permutation[0] !== 0) refuse(node, 'moves the batch axis');
      return;
    case 'concat':
    case 'slice':
    case 'pad':
      if (operation.axis === 0) refuse(node, 'cuts or joins the batch axis');
      return;
    case 'softmax':
      if (node.shape.length === 1) refuse(node, 'normalises across the batch');
      return;
    case 'layerNorm':
      if (node.shape.length === 1) refuse(node, 'normalises across the batch');
      return;
    case 'reduceSum':
    case 'reduceMax':
      if (operation.axes.includes(0)) refuse(node, 'reduces over the batch');
      return;
    case 'gemm':
      if (operation.transposeA || inputs[1]?.kind === 'native' || inputs[2]?.kind === 'native')
        refuse(node, 'multiplies across the batch');
      return;
    case 'matmul': {
      const [a, b] = inputs;
      const leading = (input: Carried | undefined): boolean => input?.kind !== 'native' || input.value.shape.length > 2;
      const sameRank = a?.kind !== 'native' || b?.kind !== 'native' || a.value.shape.length === b.value.shape.length;
      const rowsOnly = a?.kind === 'native' && a.value.shape.length === 2 && b?.kind !== 'native';
      if (!rowsOnly && !(leading(a) && leading(b) && sameRank)) refuse(node, 'multiplies across the batch');
      return;
    }
    case 'gather':
      if (inputs[0]?.kind === 'native') refuse(node, 'looks up rows of other examples');
      return;
    case 'scatterAdd':
      refuse(node, 'adds the rows of several examples together');
      return;
    case 'broadcast':
      if (first !== undefined && (first.shape.length !== node.shape.length || first.shape[0] !== node.shape[0])) {
        refuse(node, 'moves the batch axis');
      }
      return;
    default: {
      const elementwise = inputs.every(
        (input) => input.kind !== 'native' || input.value.shape[0] === node.shape[0] || operation.kind === 'reshape',
      );
      const ranks = inputs.every(
        (input) =>
          input.kind !== 'native' || operation.kind === 'reshape' || input.value.shape.length === node.shape.length,
      );
      if (!elementwise || (!ranks && isPairwise(operation))) refuse(node, 'combines different examples');
    }
  }
}

/** A value of each example alone, without a batch axis in the graph as written: the same operation with one more leading axis. */
export function applyTiled(node: Value, inputs: readonly Carried[], batch: Dim): Value {
  const { operation } = node;
  const rank = node.shape.length;
  const tiledAt = (index: number): Value => {
    const input = inputs[index];
    if (input === undefined) throw new Error(`${operation.kind} has no input ${index}`);
    return input.kind === 'tiled' ? input.value : broadcast(input.value, [batch, ...input.value.shape]);
  };
  const aligned = (index: number): Value => {
    const input = inputs[index];
    if (input === undefined) throw new Error(`${operation.kind} has no input ${index}`);
    return input.kind === 'tiled' ? alignTiled(input.value, rank) : input.value;
  };
  if (isUnary(operation)) return unaryOperations[operation.kind](tiledAt(0));
  if (isPairwise(operation)) return binaryOperations[operation.kind](aligned(0), aligned(1));
  switch (operation.kind) {
    case 'where':
      return where(aligned(0), aligned(1), aligned(2));
    case 'cast':
      return cast(tiledAt(0), node.dtype);
    case 'matmul':
      return matmul(aligned(0), aligned(1));
    case 'gemm': {
      const factor = (index: number, transposed: boolean): Value => {
        const input = inputs[index];
        const value = input?.kind === 'tiled' ? input.value : inputAt(node, index);
        return transposed ? swapLastAxes(value) : value;
      };
      const product = matmul(factor(0, operation.transposeA), factor(1, operation.transposeB));
      const scaled = operation.scale === 1 ? product : multiply(product, operation.scale);
      return inputs.length > 2 ? add(scaled, aligned(2)) : scaled;
    }
    case 'reshape':
      return reshape(tiledAt(0), [batch, ...node.shape]);
    case 'transpose':
      return transpose(tiledAt(0), [0, ...operation.permutation.map((axis) => axis + 1)]);
    case 'broadcast':
      return broadcast(aligned(0), [batch, ...node.shape]);
    case 'slice':
      return slice(tiledAt(0), operation.axis + 1, operation.start, operation.end);
    case 'pad':
      return pad(tiledAt(0), operation.axis + 1, operation.before, operation.after);
    case 'concat':
      return concat(
        inputs.map((_, index) => tiledAt(index)),
        operation.axis + 1,
      );
    case 'reduceSum':
    case 'reduceMax': {
      const reduce = operation.kind === 'reduceSum' ? reduceSum : reduceMax;
      return reduce(
        tiledAt(0),
        operation.axes.map((axis) => axis + 1),
        { keepAxes: true },
      );
    }
    case 'gather': {
      // Rows of each example's own table, at the same indices: the examples stand aside as a part of the rows.
      const [table, indices] = [inputs[0], inputs[1]];
      if (table?.kind !== 'tiled' || indices?.kind !== 'fixed')
        return refuse(node, 'takes a value computed from shared parameters');
      const rowsFirst = (x: Value, axis: number): Value => {
        const axes = x.shape.map((_, index) => index).filter((index) => index !== axis);
        return transpose(x, [axis, ...axes]);
      };
      return rowsFirst(gather(rowsFirst(table.value, 1), indices.value), indices.value.shape.length);
    }
    case 'softmax':
      return softmax(tiledAt(0));
    case 'layerNorm':
      return scaleAndShift(tiledAt(0), operation.epsilon, aligned(1), aligned(2));
    default:
      return refuse(node, 'takes a value computed from shared parameters');
  }
}

function scaleAndShift(x: Value, epsilon: number, scale: Value, shift: Value): Value {
  const width = dimAt(x, -1);
  if (typeof width !== 'number') throw new GraphError('layerNorm', 'needs a fixed width', [x]);
  const normal = layerNorm(
    x,
    constant(ones(width), [width]),
    constant(
      ones(width).map(() => 0),
      [width],
    ),
    epsilon,
  );
  return add(multiply(normal, scale), shift);
}

/** An operation in which native values meet tiled ones: computed on a view `[batch, k, ...]`, then viewed as it was. */
export function applyMixed(node: Value, inputs: readonly Carried[], batch: Dim): Value {
  const { operation, shape } = node;
  const rank = shape.length;
  /** Broadcasts against the split view of the output, of rank + 1. */
  const onSplit = (index: number): Value => {
    const input = inputs[index];
    if (input === undefined) throw new Error(`${operation.kind} has no input ${index}`);
    if (input.kind === 'native') {
      if (input.value.shape.length !== rank) return refuse(node, 'combines different examples');
      return splitRows(input.value, batch);
    }
    if (input.kind === 'fixed') return input.value;
    if (input.value.shape.length === rank + 1 && input.value.shape[1] !== 1)
      return refuse(node, 'lays a shared value along the batch');
    return alignTiled(input.value, rank);
  };
  if (isPairwise(operation)) return reshape(binaryOperations[operation.kind](onSplit(0), onSplit(1)), shape);
  switch (operation.kind) {
    case 'where':
      return reshape(where(onSplit(0), onSplit(1), onSplit(2)), shape);
    case 'layerNorm':
      return reshape(
        scaleAndShift(splitRows(nativeAt(node, inputs, 0), batch), operation.epsilon, onSplit(1), onSplit(2)),
        shape,
      );
    case 'matmul': {
      const [a, b] = [inputs[0], inputs[1]];
      const factor = (input: Carried | undefined): Value => {
        if (input === undefined) throw new Error('matmul has two inputs');
        if (input.kind !== 'tiled') return input.value;
        const [first = 1, ...own] = input.value.shape;
        const inner = own.length === rank && own[0] === 1 ? own.slice(1) : own;
        return reshape(input.value, [first, ...ones(rank - 1 - inner.length), ...inner]);
      };
      if (a?.kind === 'native' && a.value.shape.length === 2 && b?.kind === 'tiled') {
        return reshape(matmul(splitRows(a.value, batch), b.value), shape);
      }
      return matmul(factor(a), factor(b));
    }
    case 'gemm': {
      if (operation.transposeA || inputs[0]?.kind !== 'native') return refuse(node, 'multiplies across the batch');
      const b = inputs[1];
      const rows = inputs[0].value;
      const bias = inputs[2];
      const product = ((): Value => {
        if (b?.kind === 'native') return refuse(node, 'multiplies across the batch');
        if (b?.kind === 'tiled') {
          const factor = operation.transposeB ? swapLastAxes(b.value) : b.value;
          const raw = matmul(splitRows(rows, batch), factor);
          return operation.scale === 1 ? raw : multiply(raw, operation.scale);
        }
        return splitRows(gemm(rows, b?.value ?? inputAt(node, 1), { ...operation, bias: undefined }), batch);
      })();
      return reshape(bias === undefined ? product : add(product, onSplit(2)), shape);
    }
    case 'gather': {
      // A table of each example's own, looked up by the example: its rows at positions, as takeRows has them.
      const [table, indices] = [inputs[0], inputs[1]];
      if (table?.kind !== 'tiled' || indices?.kind !== 'native' || table.value.shape.length !== 3) {
        return refuse(node, 'takes a value computed from shared parameters');
      }
      const each = divideDims(sizeOf(indices.value.shape), batch);
      if (each === undefined) return refuse(node, 'looks up rows of other examples');
      return reshape(takeRows(table.value, reshape(indices.value, [batch, each])), shape);
    }
    default:
      return refuse(node, 'takes a value computed from shared parameters');
  }
}

function nativeAt(node: Value, inputs: readonly Carried[], index: number): Value {
  const input = inputs[index];
  return input?.kind === 'native' ? input.value : refuse(node, 'takes a value computed from shared parameters');
}

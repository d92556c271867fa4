import { differentiate } from './differentiate.ts';
import { standardised } from './gradients.ts';
import {
  addDims,
  divideDims,
  formatShape,
  multiplyDims,
  sameShape,
  sizeOf,
  symbolsOf,
  type Dim,
  type Shape,
} from './dims.ts';
import {
  add,
  broadcast,
  cast,
  concat,
  constant,
  dimAt,
  dimension,
  divide,
  equal,
  gather,
  gemm,
  inputAt,
  layerNorm,
  less,
  matmul,
  multiply,
  pad,
  reduceMax,
  reduceSum,
  reshape,
  scatterAdd,
  slice,
  softmax,
  splitRows,
  sqrt,
  swapLastAxes,
  takeRows,
  transpose,
  where,
} from './operations.ts';
import { binaryOperations, rebuild, unaryOperations } from './rebuild.ts';
import {
  describeValue,
  GraphError,
  isPairwise,
  isUnary,
  topologicalOrder,
  type Operation,
  type Value,
} from './value.ts';

/**
 * The gradient of every example's own loss with respect to one parameter, in the form that costs least:
 * - `materialised`: value `[batch, ...shape]`;
 * - `pair`: for a matrix used in products, gradient of example b = Σ_t left[b,t]ᵀ right[b,t]; left `[batch, rows, p]`, right `[batch, rows, q]`;
 * - `rows`: for an embedding table, the rows `errors` `[batch, n, width]` added at `indices` `[batch, n]`.
 */
export type PerExampleGradient =
  | { readonly form: 'materialised'; readonly value: Value }
  | { readonly form: 'pair'; readonly left: Value; readonly right: Value }
  | { readonly form: 'rows'; readonly indices: Value; readonly errors: Value; readonly rows: number };

/** How a value of the rewritten graph carries the examples. */
type Carried =
  /** Its first axis counts examples (or examples × rows), as the graph was written. */
  | { readonly kind: 'native'; readonly value: Value }
  /** Had no batch axis; now `[batch, ...its shape]`, one copy an example. */
  | { readonly kind: 'tiled'; readonly value: Value }
  /** Depends on no parameter and no example. */
  | { readonly kind: 'fixed'; readonly value: Value };

/** A product, look-up or norm that takes a parameter as it is, so that its gradient needs no copy per example. */
interface DirectUse {
  readonly parameter: Value;
  readonly node: Value;
  /** Which of the node's inputs it is. */
  readonly index: number;
}

interface Rewriting {
  readonly batch: Dim;
  /** By the id of the value in the graph as written. */
  readonly carried: Map<number, Carried>;
  readonly parameters: ReadonlySet<number>;
  /** By the id of the parameter. */
  readonly tiles: Map<number, Value>;
  readonly direct: DirectUse[];
}

function carriesBatch(value: Value, batch: Dim): boolean {
  const first = value.shape[0];
  return first !== undefined && divideDims(first, batch) !== undefined && first !== 0;
}

function ones(count: number): readonly number[] {
  return Array.from({ length: count }, () => 1);
}

/** A tiled value of native shape `shape`, viewed so that it broadcasts against `[batch, ...]` of rank `rank + 1`. */
function alignTiled(tiled: Value, rank: number): Value {
  const [batch = 1, ...shape] = tiled.shape;
  return reshape(tiled, [batch, ...ones(rank - shape.length), ...shape]);
}

/** A native value `[batch·k, ...]` viewed as `[batch, k, ...]`. */
function splitNative(value: Value, batch: Dim): Value {
  return splitRows(value, batch);
}

function refuse(node: Value, problem: string): never {
  throw new GraphError(node.operation.kind, `${problem}, so it has no gradient per example`, node.inputs);
}

/** Refuses an operation between native values that could mix examples: normalising, summing or multiplying across the batch. */
function checkExamplesStayApart(node: Value, inputs: readonly Carried[], batch: Dim): void {
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
function applyTiled(node: Value, inputs: readonly Carried[], batch: Dim): Value {
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
function applyMixed(node: Value, inputs: readonly Carried[], batch: Dim): Value {
  const { operation, shape } = node;
  const rank = shape.length;
  /** Broadcasts against the split view of the output, of rank + 1. */
  const onSplit = (index: number): Value => {
    const input = inputs[index];
    if (input === undefined) throw new Error(`${operation.kind} has no input ${index}`);
    if (input.kind === 'native') {
      if (input.value.shape.length !== rank) return refuse(node, 'combines different examples');
      return splitNative(input.value, batch);
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
        scaleAndShift(splitNative(nativeAt(node, inputs, 0), batch), operation.epsilon, onSplit(1), onSplit(2)),
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
        return reshape(matmul(splitNative(a.value, batch), b.value), shape);
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
          const raw = matmul(splitNative(rows, batch), factor);
          return operation.scale === 1 ? raw : multiply(raw, operation.scale);
        }
        return splitNative(gemm(rows, b?.value ?? inputAt(node, 1), { ...operation, bias: undefined }), batch);
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

/** Whether a value is copied for each example wherever the operation that takes it does not take it directly. */
function isCopied(value: Value | undefined, state: Rewriting): boolean {
  return value !== undefined && (state.parameters.has(value.id) || state.carried.get(value.id)?.kind === 'tiled');
}

/**
 * Whether this input is a parameter that the operation can take as it is: a matrix or table with a gradient in pair or rows form, or a bias
 * or a norm's scale or shift, whose gradients are sums over an example's rows of what the ordinary rules compute anyway.
 */
function isDirectUse(node: Value, index: number, state: Rewriting): boolean {
  const leaf = node.inputs[index];
  if (
    leaf === undefined ||
    !state.parameters.has(leaf.id) ||
    node.inputs.filter((input) => input.id === leaf.id).length > 1
  )
    return false;
  const { operation } = node;
  switch (operation.kind) {
    case 'gemm': {
      if (index === 0 || operation.transposeA || !carriesBatch(inputAt(node, 0), state.batch)) return false;
      if (index === 1) return true;
      const ofWidth = leaf.shape.length === 1 && leaf.shape[0] === dimAt(node, -1);
      return ofWidth && (!isCopied(node.inputs[1], state) || isDirectUse(node, 1, state));
    }
    case 'layerNorm': {
      if (index === 0 || !carriesBatch(inputAt(node, 0), state.batch) || node.shape.length < 2) return false;
      const other = node.inputs[3 - index];
      return !isCopied(other, state) || (other !== undefined && state.parameters.has(other.id));
    }
    case 'gather':
      return index === 0 && carriesBatch(inputAt(node, 1), state.batch);
    default:
      return false;
  }
}

function tileOf(leaf: Value, state: Rewriting): Value {
  const known = state.tiles.get(leaf.id);
  if (known !== undefined) return known;
  const tile = broadcast(leaf, [state.batch, ...leaf.shape]);
  state.tiles.set(leaf.id, tile);
  return tile;
}

/** Refuses a value that lays examples along another axis than the first: along it they could meet. */
function checkAxes(value: Value, batch: Dim): void {
  const names = symbolsOf(batch);
  if (value.shape.slice(1).some((dim) => symbolsOf(dim).some((name) => names.includes(name)))) {
    refuse(value, 'lays the examples along another axis than the first');
  }
}

/**
 * Refuses an operation that mixes examples before any parameter is met: a frozen centring by the batch's mean lets one example change
 * the gradients of all the others just as a trained one does.
 */
function checkFrozenPart(value: Value, batch: Dim): void {
  const inputs = value.inputs.map((part): Carried => ({
    kind: carriesBatch(part, batch) ? 'native' : 'fixed',
    value: part,
  }));
  if (inputs.some((part) => part.kind === 'native')) checkExamplesStayApart(value, inputs, batch);
}

function rewrite(node: Value, state: Rewriting): Carried {
  const { batch } = state;
  const direct = node.inputs.map((_, index) => isDirectUse(node, index, state));
  const inputs = node.inputs.map((value, index): Carried => {
    if (direct[index] === true) return { kind: 'fixed', value };
    if (state.parameters.has(value.id)) return { kind: 'tiled', value: tileOf(value, state) };
    const known = state.carried.get(value.id);
    if (known !== undefined) return known;
    return { kind: carriesBatch(value, batch) ? 'native' : 'fixed', value };
  });
  const tiled = inputs.some((input) => input.kind === 'tiled');
  const native = inputs.some((input) => input.kind === 'native');
  const result = ((): Carried => {
    if (tiled && native) return { kind: 'native', value: applyMixed(node, inputs, batch) };
    if (tiled && node.operation.kind === 'broadcast' && carriesBatch(node, batch)) {
      const input = inputs[0]?.value ?? node;
      if (divideDims(dimAt(node, 0), batch) !== 1) refuse(node, 'lays a shared value along the batch');
      const own = input.shape.slice(1);
      const inner = own.length === node.shape.length ? own.slice(1) : own;
      const view = reshape(input, [batch, ...ones(node.shape.length - 1 - inner.length), ...inner]);
      return { kind: 'native', value: broadcast(view, node.shape) };
    }
    if (tiled) return { kind: 'tiled', value: applyTiled(node, inputs, batch) };
    checkExamplesStayApart(node, inputs, batch);
    return {
      kind: 'native',
      value: rebuild(
        node,
        inputs.map((input) => input.value),
      ),
    };
  })();
  node.inputs.forEach((parameter, index) => {
    if (direct[index] === true) state.direct.push({ parameter, node: directNode(result.value, parameter), index });
  });
  return result;
}

/** The operation itself, under the additions and views that the rewriting laid over it. */
function directNode(result: Value, leaf: Value): Value {
  const found = topologicalOrder([result]).findLast((value) => value.inputs.some((input) => input.id === leaf.id));
  if (found === undefined) throw new Error(`${describeValue(leaf)} was lost`);
  return found;
}

/** Σ over each example's rows of `x`, a vector an example: `[batch, width]`. */
function sumRows(x: Value, batch: Dim): Value {
  const width = dimAt(x, -1);
  const rows = divideDims(sizeOf(x.shape), multiplyDims(batch, width)) ?? 1;
  return reduceSum(reshape(x, [batch, rows, width]), [1]);
}

/** @param use the operation that takes the parameter, or its copy in the backward half */
function directGradient(use: Value, index: number, cotangent: Value, batch: Dim): PerExampleGradient {
  const operation: Operation = use.operation;
  if (operation.kind === 'layerNorm') {
    const value = index === 1 ? multiply(cotangent, standardised(use)) : cotangent;
    return { form: 'materialised', value: sumRows(value, batch) };
  }
  if (operation.kind === 'gemm') {
    if (index === 2) return { form: 'materialised', value: sumRows(cotangent, batch) };
    const activations = splitRows(inputAt(use, 0), batch);
    const scaled = operation.scale === 1 ? cotangent : multiply(cotangent, operation.scale);
    const errors = splitRows(scaled, batch);
    return operation.transposeB
      ? { form: 'pair', left: errors, right: activations }
      : { form: 'pair', left: activations, right: errors };
  }
  const table = inputAt(use, 0);
  const indices = inputAt(use, 1);
  const rows = dimAt(table, 0);
  if (typeof rows !== 'number') throw new GraphError('gather', 'needs a table of fixed size', [table]);
  const count = divideDims(sizeOf(indices.shape), batch) ?? 1;
  const width = divideDims(sizeOf(cotangent.shape), multiplyDims(batch, count)) ?? 1;
  return {
    form: 'rows',
    indices: reshape(indices, [batch, count]),
    errors: reshape(cotangent, [batch, count, width]),
    rows,
  };
}

/**
 * Refuses losses that read how long the batch is padded, which is as long as its longest example: one example would change the gradients
 * of those beside it. (What is computed on padding and not masked is not seen here.)
 * @throws GraphError that names the operation
 */
export function refusePaddedLength(losses: Value, batch: Dim): void {
  const names = symbolsOf(batch);
  for (const value of topologicalOrder([losses])) {
    const { operation } = value;
    if (operation.kind === 'dimension' && symbolsOf(operation.dim).some((name) => !names.includes(name)))
      throw new GraphError('dimension', `the padded length ${formatShape([operation.dim])} reaches the losses`, []);
  }
}

export interface PerExampleGradients {
  /** The losses as the gradients' own graph computes them: asked for in their place, the given ones would be a forward pass more. */
  readonly losses: Value;
  /** One for each parameter, in order. */
  readonly gradients: readonly PerExampleGradient[];
}

/**
 * The gradient of each example's loss with respect to each parameter, without mixing examples: what differential privacy clips.
 *
 * A parameter, or anything computed from parameters alone (SLaSh's z W_l, Compacter's shared factors, a prefix's network), has no
 * batch axis, and the ordinary rules would sum its cotangents over the batch. So such values are copied, one copy an example, up to
 * where they meet the examples; a shared parameter's uses are thereby summed within each example before any norm is taken. Matrices
 * and embedding tables used directly are not copied: their gradients stay in pair or rows form.
 *
 * @param losses each example's loss, `[batch]`
 * @param batch the symbolic batch dimension
 * @param boundaries values on the way to the losses between which the backward half computes everything again; small gradients are
 *   then multiplied out where they arise, so that nothing of a layer outlives it
 * @throws GraphError where an operation mixes the examples of a batch, naming it; Error where a parameter reaches no loss
 */
export function perExampleGradients(
  losses: Value,
  parameters: readonly Value[],
  batch: Dim,
  boundaries: readonly Value[] = [],
): PerExampleGradients {
  if (!sameShape(losses.shape, [batch]))
    throw new GraphError(losses.operation.kind, 'losses must have one element an example', [losses]);
  const state: Rewriting = {
    batch,
    carried: new Map(),
    parameters: new Set(parameters.map((leaf) => leaf.id)),
    tiles: new Map(),
    direct: [],
  };
  for (const value of topologicalOrder([losses])) {
    const onPath = value.inputs.some((input) => state.parameters.has(input.id) || state.carried.has(input.id));
    checkAxes(value, batch);
    if (onPath) state.carried.set(value.id, rewrite(value, state));
    else checkFrozenPart(value, batch);
  }
  const rewritten = state.carried.get(losses.id);
  if (rewritten?.kind !== 'native') throw new Error('no parameter reaches the losses');
  const reached = new Set(topologicalOrder([rewritten.value]).map((value) => value.id));
  const targets = [...[...state.tiles.values()], ...state.direct.map((use) => use.node)].filter((value) =>
    reached.has(value.id),
  );
  const formed = new Map<DirectUse | Value, PerExampleGradient>();
  differentiate(rewritten.value, targets, {
    boundaries: boundaries.map((boundary) => state.carried.get(boundary.id)?.value ?? boundary),
    whenComplete(target, cotangent, node) {
      const uses = state.direct.filter((use) => use.node.id === target.id);
      for (const use of uses) {
        const gradient = directGradient(node, use.index, cotangent, batch);
        formed.set(use, boundaries.length === 0 ? gradient : multipliedOut(gradient, use.parameter.shape));
      }
      return uses.flatMap((use) => {
        const gradient = formed.get(use);
        return gradient?.form === 'materialised' ? [gradient.value] : [];
      });
    },
  }).forEach((cotangent, index) => {
    const target = targets[index];
    if (target !== undefined) formed.set(target, { form: 'materialised', value: cotangent });
  });
  const gradients = parameters.map((leaf): PerExampleGradient => {
    const sources = [state.tiles.get(leaf.id), ...state.direct.filter((use) => use.parameter.id === leaf.id)];
    const forms = sources.flatMap((source) => (source === undefined ? [] : (formed.get(source) ?? [])));
    const [only, ...more] = forms;
    if (only === undefined) throw new Error(`${describeValue(leaf)} does not reach the losses`);
    if (more.length === 0) return only;
    const sum = forms.map((form) => materialise(form, leaf.shape)).reduce((a, b) => add(a, b));
    return { form: 'materialised', value: sum };
  });
  return { losses: rewritten.value, gradients };
}

/** The gradient as one tensor `[batch, ...shape]`. */
export function materialise(gradient: PerExampleGradient, shape: Shape): Value {
  switch (gradient.form) {
    case 'materialised':
      return gradient.value;
    case 'pair':
      return reshape(matmul(swapLastAxes(gradient.left), gradient.right), [dimAt(gradient.left, 0), ...shape]);
    case 'rows': {
      const { indices, errors, rows } = gradient;
      const [batch, count] = [dimAt(indices, 0), dimAt(indices, 1)];
      const numbers = reshape(iotaOf(rows, indices), [1, rows, 1]);
      const hits = cast(equal(numbers, reshape(indices, [batch, 1, count])), 'float32');
      return reshape(matmul(hits, errors), [batch, ...shape]);
    }
  }
}

function iotaOf(length: number, like: Value): Value {
  return constant(
    Array.from({ length }, (_, i) => i),
    [length],
    like.dtype,
  );
}

/** Up to this many numbers an example, a pair is multiplied out rather than measured through its Gram matrices. */
const MULTIPLY_OUT = 1 << 16;

/**
 * The gradient multiplied out where that takes little memory: the norm and the sum then share one product, which costs what an ordinary
 * gradient's does.
 */
function multipliedOut(gradient: PerExampleGradient, shape: Shape): PerExampleGradient {
  const size = sizeOf(shape);
  return gradient.form === 'pair' && typeof size === 'number' && size <= MULTIPLY_OUT
    ? { form: 'materialised', value: materialise(gradient, shape) }
    : gradient;
}

/** The largest relative error of one operation in float32, rounded to nearest. */
const UNIT_ROUNDOFF = 2 ** -24;

/** A squared norm of each example as computed, and by how much more the true one may be; each `[batch]`. */
export interface SquaredNorm {
  readonly value: Value;
  /** Undefined where a sum of squares is measured directly: it loses nothing to cancellation. */
  readonly slack: Value | undefined;
}

/**
 * The squared norm of each example's gradient. A pair is measured without forming it (Goodfellow 2015; Li et al. 2022):
 * ‖Σ_t l_tᵀ r_t‖² = Σ_{t,t'} (l_t · l_t') (r_t · r_t'), and the rows of a table likewise. Where the tokens' parts of a gradient cancel, so
 * do these terms, but their rounding does not: of inner products over p and q numbers and sums over n tokens twice it is at most
 * (p + q + 2n + 3) u (Σ_t ‖l_t‖ ‖r_t‖)² (Higham 2002, section 3.1), whatever the order of summation.
 */
export function squaredNorm(gradient: PerExampleGradient): SquaredNorm {
  switch (gradient.form) {
    case 'materialised':
      return { value: sumPerExample(multiply(gradient.value, gradient.value)), slack: undefined };
    case 'pair': {
      const { left, right } = gradient;
      const [p, q] = [dimAt(left, -1), dimAt(right, -1)];
      const size = multiplyDims(p, q);
      if (typeof size === 'number' && size <= MULTIPLY_OUT) {
        const value = matmul(swapLastAxes(left), right);
        return { value: sumPerExample(multiply(value, value)), slack: undefined };
      }
      const products = multiply(matmul(left, swapLastAxes(left)), matmul(right, swapLastAxes(right)));
      const sizes = sqrt(multiply(squares(left), squares(right)));
      const all = reduceSum(sizes, [1]);
      return { value: sumPerExample(products), slack: rounding(multiply(all, all), addDims(p, q), sizes) };
    }
    case 'rows': {
      const { indices, errors } = gradient;
      const [batch, count] = [dimAt(indices, 0), dimAt(indices, 1)];
      const together = equal(reshape(indices, [batch, count, 1]), reshape(indices, [batch, 1, count]));
      const sizes = sqrt(squares(errors));
      const outer = multiply(reshape(sizes, [batch, count, 1]), reshape(sizes, [batch, 1, count]));
      return {
        value: sumPerExample(where(together, matmul(errors, swapLastAxes(errors)), 0)),
        slack: rounding(sumPerExample(where(together, outer, 0)), dimAt(errors, -1), sizes),
      };
    }
  }
}

/** The squared length of every row of `[batch, rows, width]`: `[batch, rows]`. */
function squares(x: Value): Value {
  return reduceSum(multiply(x, x), [2]);
}

/**
 * Bounds the rounding of a double sum over an example's tokens of products over `inner` numbers.
 * @param magnitudes the sum of the terms' magnitudes, `[batch]`
 * @param sizes of each token's part, `[batch, rows]`; padding has none, so that an example's bound does not depend on those beside it
 */
function rounding(magnitudes: Value, inner: Dim, sizes: Value): Value {
  const tokens = reduceSum(cast(less(0, sizes), 'float32'), [1]);
  const operations = add(multiply(tokens, 2), add(dimension(inner), 3));
  // The magnitudes are rounded themselves, and terms of second order are left out of the count: a hundredth covers both.
  return multiply(magnitudes, multiply(operations, 1.01 * UNIT_ROUNDOFF));
}

/** Σ over all but the first axis, one axis after another: the errors of the single sums add up, not those of all terms. */
function sumPerExample(x: Value): Value {
  return x.shape.slice(1).reduce<Value>((sum) => reduceSum(sum, [sum.shape.length - 1]), x);
}

/** Σ_b weights[b] · gradient of example b, of the parameter's shape; weights `[batch]`. */
export function weightedSum(gradient: PerExampleGradient, weights: Value, shape: Shape): Value {
  const batch = dimAt(weights, 0);
  switch (gradient.form) {
    case 'materialised': {
      const flat = reshape(gradient.value, [batch, sizeOf(shape)]);
      return reshape(gemm(reshape(weights, [1, batch]), flat), shape);
    }
    case 'pair': {
      const left = multiply(gradient.left, reshape(weights, [batch, 1, 1]));
      const rows = multiplyDims(batch, dimAt(left, 1));
      const flat = (x: Value): Value => reshape(x, [rows, dimAt(x, 2)]);
      return reshape(gemm(flat(left), flat(gradient.right), { transposeA: true }), shape);
    }
    case 'rows': {
      const errors = multiply(gradient.errors, reshape(weights, [batch, 1, 1]));
      return reshape(scatterAdd(errors, gradient.indices, gradient.rows), shape);
    }
  }
}

/** Rounding may leave less than nothing of a sum that is zero; a NaN stays one. */
function notNegative(x: Value): Value {
  return where(less(x, 0), 0, x);
}

export interface ClippedSums {
  /** Norm of each example's gradient over all parameters together, before clipping; `[batch]`. */
  readonly norms: Value;
  /** Σ_b factor_b · gradient of example b, one a parameter. */
  readonly sums: readonly Value[];
}

/**
 * What each example's gradient g is multiplied with, such that its norm stays within C:
 * - `flat`: min(1, C/(‖g‖ + 1e-6)) (Abadi et al. 2016; the small number is that of Opacus and of torch's own clipping);
 * - `automatic`: C/(‖g‖ + γ) with γ = 0.01 (Bu, Wang, Zha, Karypis 2023, AUTO-S): all directions count alike, and C only scales the sum.
 */
export type ClippingFunction = 'flat' | 'automatic';

/** What is added to a norm that a clipping divides by: as Opacus has it, and γ of automatic clipping, its authors' own. */
const STABILITY: Readonly<Record<ClippingFunction, number>> = { flat: 1e-6, automatic: 0.01 };

export interface ClippingOptions {
  /** `[batch]`: multiplies each example's clipped gradient; 0 leaves out an example that only fills the batch. */
  readonly weights?: Value;
  readonly clipping?: ClippingFunction;
}

/**
 * Clipping by one norm over all parameters jointly (Abadi et al. 2016, algorithm 1): each example is scaled to at most `maxNorm`
 * (a scalar) and summed over the batch. Only the sums and the norms leave the graph.
 */
export function clippedSums(
  gradients: readonly PerExampleGradient[],
  parameters: readonly Value[],
  maxNorm: Value,
  { weights, clipping = 'flat' }: ClippingOptions = {},
): ClippedSums {
  const formed = gradients.map((gradient, index) => {
    const leaf = parameters[index];
    if (leaf === undefined) throw new Error('one gradient a parameter');
    return { leaf, gradient: multipliedOut(gradient, leaf.shape) };
  });
  const squared = formed.map(({ gradient }) => squaredNorm(gradient));
  const total = squared.map(({ value }) => value).reduce(add);
  const slacks = squared.flatMap(({ slack }) => slack ?? []);
  const norms = sqrt(notNegative(total));
  // What an example is clipped by is no less than its norm, however its parts cancel.
  const bound = slacks.length === 0 ? norms : sqrt(notNegative(slacks.reduce(add, total)));
  const divisor = add(bound, STABILITY[clipping]);
  const ratio = divide(maxNorm, divisor);
  const scale = clipping === 'automatic' ? ratio : where(less(maxNorm, divisor), ratio, 1);
  const factors = weights === undefined ? scale : multiply(scale, weights);
  return { norms, sums: formed.map(({ gradient, leaf }) => weightedSum(gradient, factors, leaf.shape)) };
}

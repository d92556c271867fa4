import { differentiate } from './differentiate.ts';
import { divideDims, formatShape, multiplyDims, sameShape, sizeOf, symbolsOf, type Dim } from './dims.ts';
import {
  applyMixed,
  applyTiled,
  carriesBatch,
  checkExamplesStayApart,
  ones,
  refuse,
  type Carried,
} from './example-rules.ts';
import { standardised } from './gradients.ts';
import { add, broadcast, dimAt, inputAt, multiply, reduceSum, reshape, splitRows } from './operations.ts';
import { materialise, multipliedOut, type PerExampleGradient } from './per-example-gradient.ts';
import { rebuild } from './rebuild.ts';
import { describeValue, GraphError, topologicalOrder, type Operation, type Value } from './value.ts';

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

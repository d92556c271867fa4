import { addDims, sameShape, subtractDims, type Dim, type Shape } from './dims.ts';
import {
  add,
  broadcast,
  dimAt,
  cast,
  divide,
  equal,
  erf,
  exp,
  gather,
  gemm,
  inputAt,
  layerNormStatistic,
  less,
  matmul,
  multiply,
  negate,
  pad,
  putRows,
  reduceMean,
  reduceSum,
  reshape,
  scatterAdd,
  slice,
  subtract,
  swapLastAxes,
  takeRows,
  transpose,
  where,
} from './operations.ts';
import { GraphError, type Operation, type Value } from './value.ts';

/** The cotangent of each input, made only if it is asked for; undefined where an input has no gradient (indices, conditions). */
export type InputCotangents = readonly ((() => Value) | undefined)[];

/** Sums a cotangent over the axes along which its value was broadcast. */
function sumTo(cotangent: Value, shape: Shape): Value {
  if (sameShape(cotangent.shape, shape)) return cotangent;
  const extra = cotangent.shape.length - shape.length;
  const axes = cotangent.shape.flatMap((dim, axis) =>
    axis < extra || (shape[axis - extra] === 1 && dim !== 1) ? [axis] : [],
  );
  return reshape(reduceSum(cotangent, axes, { keepAxes: true }), shape);
}

const SQRT_HALF = Math.SQRT1_2;
const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

/** d gelu(x) / dx = Φ(x) + x φ(x), written in a = x / √2: ½ (1 + erf a) + a · exp(-a²) / √π. */
function geluSlope(x: Value): Value {
  const a = multiply(x, SQRT_HALF);
  const density = exp(subtract(-0.5 * Math.log(Math.PI), multiply(a, a)));
  return add(multiply(add(erf(a), 1), 0.5), multiply(a, density));
}

function gemmCotangents(node: Value, g: Value, operation: Operation & { kind: 'gemm' }): InputCotangents {
  const [a, b] = [inputAt(node, 0), inputAt(node, 1)];
  const bias = node.inputs[2];
  const { transposeA, transposeB, scale } = operation;
  return [
    () =>
      transposeA
        ? gemm(b, g, { transposeA: transposeB, transposeB: true, scale })
        : gemm(g, b, { transposeB: !transposeB, scale }),
    () =>
      transposeB
        ? gemm(g, a, { transposeA: true, transposeB: transposeA, scale })
        : gemm(a, g, { transposeA: !transposeA, scale }),
    ...(bias === undefined ? [] : [() => sumTo(g, bias.shape)]),
  ];
}

/** The input of a layer norm, centred and divided by its deviation. */
export function standardised(norm: Value): Value {
  const centred = subtract(inputAt(norm, 0), layerNormStatistic(norm, 'mean'));
  return multiply(centred, layerNormStatistic(norm, 'inverseDeviation'));
}

function layerNormCotangents(node: Value, g: Value): InputCotangents {
  const scale = inputAt(node, 1);
  return [
    () => {
      const scaled = multiply(g, scale);
      const normal = standardised(node);
      const alongNormal = multiply(normal, reduceMean(multiply(scaled, normal), [-1], { keepAxes: true }));
      const centred = subtract(scaled, reduceMean(scaled, [-1], { keepAxes: true }));
      return multiply(subtract(centred, alongNormal), layerNormStatistic(node, 'inverseDeviation'));
    },
    () => sumTo(multiply(g, standardised(node)), scale.shape),
    () => sumTo(g, scale.shape),
  ];
}

function concatCotangents(node: Value, g: Value, axis: number): InputCotangents {
  return node.inputs.map((part, index) => () => {
    const start = node.inputs.slice(0, index).reduce<Dim>((sum, earlier) => addDims(sum, dimAt(earlier, axis)), 0);
    return slice(g, axis, start, addDims(start, dimAt(part, axis)));
  });
}

function reduceMaxCotangent(node: Value, g: Value): Value {
  const x = inputAt(node, 0);
  const axes = x.shape.flatMap((dim, axis) => (dim !== node.shape[axis] ? [axis] : []));
  const hit = cast(equal(x, node), 'float32');
  return multiply(hit, divide(g, reduceSum(hit, axes, { keepAxes: true })));
}

/**
 * The reverse-mode rule of one node: from the cotangent `g` of its output, the cotangents of its inputs.
 * @throws GraphError where an operation has no rule (statistics of a layer norm: gradients of gradients are not needed)
 */
export function inputCotangents(node: Value, g: Value): InputCotangents {
  const { operation } = node;
  const x = node.inputs[0] ?? node;
  const y = node.inputs[1] ?? node;
  const from = (value: Value): Value => sumTo(g, value.shape);
  switch (operation.kind) {
    case 'input':
    case 'parameter':
    case 'weight':
    case 'constant':
    case 'iota':
    case 'dimension':
      return [];
    case 'negate':
      return [() => negate(g)];
    case 'exp':
      return [() => multiply(g, node)];
    case 'log':
      return [() => divide(g, x)];
    case 'sqrt':
      return [() => divide(multiply(g, 0.5), node)];
    case 'reciprocal':
      return [() => negate(multiply(g, multiply(node, node)))];
    case 'erf':
      return [() => multiply(g, multiply(exp(negate(multiply(x, x))), TWO_OVER_SQRT_PI))];
    case 'tanh':
      return [() => multiply(g, subtract(1, multiply(node, node)))];
    case 'sigmoid':
      return [() => multiply(g, multiply(node, subtract(1, node)))];
    case 'relu':
      return [() => where(less(0, x), g, 0)];
    case 'gelu':
      return [() => multiply(g, geluSlope(x))];
    case 'add':
      return [() => from(x), () => from(y)];
    case 'subtract':
      return [() => from(x), () => negate(from(y))];
    case 'multiply':
      return [() => sumTo(multiply(g, y), x.shape), () => sumTo(multiply(g, x), y.shape)];
    case 'divide':
      return [() => sumTo(divide(g, y), x.shape), () => negate(sumTo(divide(multiply(g, node), y), y.shape))];
    case 'less':
    case 'equal':
      return [undefined, undefined];
    case 'where': {
      const no = inputAt(node, 2);
      return [undefined, () => sumTo(where(x, g, 0), y.shape), () => sumTo(where(x, 0, g), no.shape)];
    }
    case 'cast':
      return [undefined];
    case 'matmul':
      return [() => sumTo(matmul(g, swapLastAxes(y)), x.shape), () => sumTo(matmul(swapLastAxes(x), g), y.shape)];
    case 'gemm':
      return gemmCotangents(node, g, operation);
    case 'reshape':
      return [() => reshape(g, x.shape)];
    case 'transpose': {
      const inverse = operation.permutation.map((_, axis) => operation.permutation.indexOf(axis));
      return [() => transpose(g, inverse)];
    }
    case 'broadcast':
      return [() => from(x)];
    case 'slice':
      return [() => pad(g, operation.axis, operation.start, subtractDims(dimAt(x, operation.axis), operation.end))];
    case 'concat':
      return concatCotangents(node, g, operation.axis);
    case 'pad': {
      const { axis, before } = operation;
      return [() => slice(g, axis, before, addDims(before, dimAt(x, axis)))];
    }
    case 'reduceSum':
      return [() => broadcast(g, x.shape)];
    case 'reduceMax':
      return [() => reduceMaxCotangent(node, g)];
    case 'softmax':
      return [
        () => {
          const weighted = multiply(g, node);
          return subtract(weighted, multiply(node, reduceSum(weighted, [-1], { keepAxes: true })));
        },
      ];
    case 'layerNorm':
      return layerNormCotangents(node, g);
    case 'layerNormStatistic':
      throw new GraphError(operation.kind, 'has no gradient', node.inputs);
    case 'gather':
      return [() => scatterAdd(g, y, dimAt(x, 0)), undefined];
    case 'scatterAdd':
      return [() => gather(g, y), undefined];
    case 'takeRows':
      return [() => putRows(g, y, dimAt(x, 1)), undefined];
    case 'putRows':
      return [() => takeRows(g, y), undefined];
  }
}

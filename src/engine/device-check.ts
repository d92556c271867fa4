import type { Backend, CompileOptions, TensorData } from './backends/backend.ts';
import { differentiate } from './graph/differentiate.ts';
import { multiplyDims, symbol } from './graph/dims.ts';
import {
  add,
  gather,
  gelu,
  gemm,
  input,
  layerNorm,
  matmul,
  multiply,
  parameter,
  reduceSum,
  reshape,
  softmax,
  tanh,
  weight,
} from './graph/operations.ts';
import type { Value } from './graph/value.ts';

/** A tiny graph with the operations of a training step, whose numbers are known: what a device must get right before it is trusted. */

const rows = 5;
const width = 4;
/** A row at each token of each example, as in a step: such products are those that a step's precision changes. */
const tokens = [symbol('batch'), symbol('sequence')] as const;
const tokenRows = [multiplyDims(...tokens), width] as const;

/** Numbers between -1 and 1 that follow no pattern which an error could hide in; row-major. */
function spread(count: number, from: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(1.7 * (i + from) ** 2)));
}

const [table, scale, shift, map] = [
  parameter('table', [rows, width]),
  parameter('scale', [width]),
  parameter('shift', [width]),
  parameter('map', [width, width]),
];
const leaves = { table, scale, shift, map };

/** The loss and the gradient of each leaf. */
export function checkedOutputs(): Readonly<Record<string, Value>> {
  const read = reshape(gather(table, input('ids', 'int32', tokens)), tokenRows);
  const inner = gelu(gemm(layerNorm(read, scale, shift, 1e-5), map, { transposeB: true }));
  const mixed = softmax(add(inner, gemm(read, weight('frozen', [width, width]))));
  const loss = reduceSum(multiply(mixed, input('cost', 'float32', tokenRows)), [0, 1]);
  const gradients = differentiate(loss, Object.values(leaves));
  const named = Object.keys(leaves).flatMap((name, index): readonly (readonly [string, Value])[] => {
    const gradient = gradients[index];
    return gradient === undefined ? [] : [[name, gradient]];
  });
  return { loss, ...Object.fromEntries(named) };
}

const floats = (shape: readonly number[], from: number): TensorData & { readonly data: Float32Array } => ({
  dtype: 'float32',
  shape,
  data: spread(
    shape.reduce((product, dim) => product * dim, 1),
    from,
  ),
});

/** What the graph is fed; rows 1 and 4 are read twice and row 2 never. */
export const checkFeeds: Readonly<Record<string, TensorData>> = {
  ids: { dtype: 'int32', shape: [2, 3], data: Int32Array.of(1, 4, 0, 1, 3, 4) },
  cost: floats([6, width], 1),
  table: floats([rows, width], 50),
  scale: floats([width], 90),
  shift: floats([width], 120),
  map: floats([width, width], 150),
};

export const checkWeight = { kind: 'data', shape: [width, width], data: spread(width * width, 200) } as const;

/** The loss and its gradients, row-major, computed in float64 by code that shares nothing with the backends. */
export const knownNumbers: Readonly<Record<string, readonly number[]>> = {
  loss: [-1.036734],
  // prettier-ignore
  table: [
    0.03999545, 0.1845156, 0.1233876, 0.1589884, -0.1066546, 0.4761831, -0.04960107, 0.1399774, 0, 0, 0, 0, -0.03651031, -0.1273151,
    -0.01951827, 0.0391098, -0.2486312, -0.2386068, -0.6296288, -1.279065,
  ],
  scale: [-1.1771, 0.3082161, -0.006951355, -0.0509448],
  shift: [0.5683838, -0.3366716, -0.07946364, -0.2013943],
  // prettier-ignore
  map: [
    0.04416948, 0.09487692, 0.04609119, 0.09024653, -0.6305911, -0.6264097, -0.4150376, -0.8586991, 0.3649976, 0.273681, 0.2422503,
    0.4457159, 0.008926856, 0.009405695, 0.00350316, 0.01323926,
  ],
};

/**
 * Shares of an output's largest number. That of float32 is coarser than float32 everywhere and finer than half precision, so that a device
 * that computes in the latter unasked is told; that of float16 is a few of its last digits.
 */
const tolerances = { float32: 1e-4, float16: 5e-3 } as const;

/**
 * Computes the graph forward and backward and holds it against the known numbers.
 * @returns what is wrong, or nothing
 * @throws what the backend throws
 */
export async function findWrongNumber(backend: Backend, options: CompileOptions): Promise<string | undefined> {
  const tolerance = tolerances[options.precision ?? 'float32'];
  const executable = await backend.compile(checkedOutputs(), new Map([['frozen', checkWeight]]), options);
  try {
    const results = await executable.run(checkFeeds);
    for (const [name, known] of Object.entries(knownNumbers)) {
      const got = Array.from(results[name]?.data ?? [], Number);
      const allowed = tolerance * Math.max(...known.map(Math.abs));
      const at = known.findIndex((number, i) => !(Math.abs(number - (got[i] ?? NaN)) < allowed));
      if (at >= 0 || got.length !== known.length)
        return `number ${at + 1} of ${name === 'loss' ? 'the loss' : `the gradient of ${name}`} is ${got[at]} in place of ${known[at]}`;
    }
    return undefined;
  } finally {
    await executable.dispose();
  }
}

/**
 * Whether a number beyond float16's range comes back as none that is finite. Training waits for that to compute a step again; shaders
 * need not keep to it.
 */
export async function tellsOverflow(backend: Backend, options: CompileOptions): Promise<boolean> {
  const x = input('x', 'float32', [...tokens, width]);
  const product = gemm(reshape(x, tokenRows), weight('w', [width, width]));
  const large = new Float32Array(width * width).fill(300);
  const w = { kind: 'data', shape: [width, width], data: large } as const;
  const executable = await backend.compile({ sum: reduceSum(product, [0, 1]) }, new Map([['w', w]]), options);
  try {
    const { sum } = await executable.run({ x: { dtype: 'float32', shape: [1, width, width], data: large } });
    return !Number.isFinite(Number(sum?.data[0]));
  } finally {
    await executable.dispose();
  }
}

/** A product of two square matrices of this width keeps any device busy for longer than it takes to hand it over. */
const productWidth = 1024;
const productRuns = 4;

/**
 * Floating-point operations a second in a large matrix product: the best of a few runs after one that warms up.
 * @param now milliseconds of a steady clock
 */
export async function measureProductRate(
  backend: Backend,
  options: CompileOptions,
  now: () => number = () => performance.now(),
): Promise<number> {
  const shape = [productWidth, productWidth];
  const x = input('x', 'float32', [...tokens, productWidth]);
  const first = gemm(reshape(x, [multiplyDims(...tokens), productWidth]), weight('w', shape));
  // A sum comes back in place of the product, so that what is timed is no transport.
  const outputs = { sum: reduceSum(gemm(first, weight('w', shape)), [0, 1]) };
  const w = { kind: 'data', shape, data: spread(productWidth ** 2, 3) } as const;
  const executable = await backend.compile(outputs, new Map([['w', w]]), options);
  try {
    const feeds = { x: floats([1, ...shape], 7) };
    let least = Infinity;
    for (let run = 0; run <= productRuns; run++) {
      const began = now();
      await executable.run(feeds);
      if (run > 0) least = Math.min(least, now() - began);
    }
    return (2 * 2 * productWidth ** 3) / (least / 1000);
  } finally {
    await executable.dispose();
  }
}

const chainLength = 100;

/**
 * Seconds that a graph's smallest operation takes: a chain of many, divided by their number.
 * @param now milliseconds of a steady clock
 */
export async function measureOperationTime(
  backend: Backend,
  options: CompileOptions,
  now: () => number = () => performance.now(),
): Promise<number> {
  const x = input('x', 'float32', [width, width]);
  // Two kinds in turn, so that no neighbours are fused into one.
  const chain = Array.from({ length: chainLength }).reduce<Value>(
    (value, _, i) => (i % 2 === 0 ? tanh(value) : matmul(value, x)),
    x,
  );
  const executable = await backend.compile({ chain }, new Map(), options);
  try {
    const feeds = { x: floats([width, width], 11) };
    let least = Infinity;
    for (let run = 0; run <= productRuns; run++) {
      const began = now();
      await executable.run(feeds);
      if (run > 0) least = Math.min(least, now() - began);
    }
    return least / 1000 / chainLength;
  } finally {
    await executable.dispose();
  }
}

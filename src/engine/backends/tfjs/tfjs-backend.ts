import { setImmediate } from 'node:timers/promises';
import type { Tensor } from '@tensorflow/tfjs-core';
import { messageOf, UserError } from '../../../base/errors.ts';
import type { Bindings } from '../../graph/dims.ts';
import { describeValue, type Value } from '../../graph/value.ts';
import {
  noEightBitProducts,
  noHalfPrecision,
  OutOfMemoryError,
  type Backend,
  type Executable,
  type TensorData,
  type WeightSource,
} from '../backend.ts';
import { bindFeeds, type Feeds } from '../feeds.ts';
import { isOutOfMemory, modelTooLarge } from '../out-of-memory.ts';
import { checkWeight, locateWeights, weightNames } from '../weight-checks.ts';
import { readWeight, realFiles } from '../weight-files.ts';
import { execute } from './execute.ts';
import { findTfjs, type TfjsLibrary } from './library.ts';
import { isResident, planGraph, type Plan } from './plan.ts';
import { tfjsDTypes, type Tfjs } from './rules.ts';

/** The provider that this backend is. */
export const TFJS = 'tfjs';

/** How long a step may keep the process from everything else: signs of life, signals. */
const LONGEST_MS = 100;

/** @throws Error if an integer needs more than the 32 bits that the library has */
function narrowed(value: Value, integers: BigInt64Array): Int32Array {
  return Int32Array.from(integers, (integer) => {
    if (BigInt.asIntN(32, integer) !== integer) {
      throw new Error(`${describeValue(value)} holds ${integer}, and TensorFlow.js has integers of 32 bits only`);
    }
    return Number(integer);
  });
}

/** A tensor of data that may change after the run: the library keeps what it is given, not a copy. */
function toTensor(tf: Tfjs, value: Value, { data, shape }: TensorData): Tensor {
  const held = data instanceof BigInt64Array ? narrowed(value, data) : data;
  return tf.tensor(held, [...shape], tfjsDTypes[value.dtype]);
}

async function fromTensor(tensor: Tensor, { dtype }: Value): Promise<TensorData> {
  const { shape } = tensor;
  // Copies, for what is read may be what a feed or another result holds.
  const data = await tensor.data();
  switch (dtype) {
    case 'float32':
      return { dtype, shape, data: Float32Array.from(data) };
    case 'int32':
      return { dtype, shape, data: Int32Array.from(data) };
    case 'int64':
      return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
    case 'bool':
      return { dtype, shape, data: Uint8Array.from(data) };
  }
}

function constantTensor(tf: Tfjs, value: Value, data: readonly number[]): Tensor {
  if (value.dtype === 'int64') narrowed(value, BigInt64Array.from(data, BigInt));
  return tf.tensor([...data], value.shape as number[], tfjsDTypes[value.dtype]);
}

/** The tensors of a plan that stay, by the steps' values. @throws Error, FileError where a weight is missing, ill-shaped or cannot be read */
async function makeResident(tf: Tfjs, plan: Plan, source: WeightSource): Promise<ReadonlyMap<Value, Tensor>> {
  const values = plan.steps.flatMap(({ value }) => (isResident(value) ? [value] : []));
  const locations = locateWeights(weightNames(values), source);
  await realFiles([...locations.values()].filter((location) => location.kind === 'file'));
  const resident = new Map<Value, Tensor>();
  try {
    for (const value of values) {
      const { operation } = value;
      if (operation.kind === 'constant') resident.set(value, constantTensor(tf, value, operation.data));
      if (operation.kind !== 'weight') continue;
      const location = locations.get(operation.name);
      if (location === undefined) throw new Error(`weight ${operation.name} was not given`);
      const { shape } = location;
      const dtype = location.kind === 'file' ? location.dtype : location.data instanceof Int32Array ? 'I32' : 'F32';
      checkWeight(value, operation.name, { shape, dtype });
      resident.set(value, tf.tensor(await readWeight(location), [...shape], tfjsDTypes[value.dtype]));
    }
    return resident;
  } catch (error) {
    tf.dispose([...resident.values()]);
    throw error;
  }
}

/** Runs a computation to its end, with pauses in which others have their turn. */
async function finish<T>(steps: Generator<undefined, T>): Promise<T> {
  let began = performance.now();
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    if (performance.now() - began < LONGEST_MS) continue;
    await setImmediate();
    began = performance.now();
  }
}

function makeExecutable(
  library: TfjsLibrary,
  outputs: Readonly<Record<string, Value>>,
  plan: Plan,
  resident: ReadonlyMap<Value, Tensor>,
): Executable {
  const { tf } = library;
  let live = true;
  const compute = (feeds: Feeds, sizes: Bindings): Promise<ReadonlyMap<string, Tensor>> => {
    const leaf = (value: Value): Tensor => {
      const kept = resident.get(value);
      if (kept !== undefined) return kept;
      const feed = 'name' in value.operation ? feeds[value.operation.name] : undefined;
      if (feed === undefined) throw new Error(`${describeValue(value)} is not fed`);
      return toTensor(tf, value, feed);
    };
    return finish(execute(library, plan, leaf, sizes));
  };
  return {
    async run(feeds: Feeds) {
      if (!live) throw new Error('this executable was disposed of');
      const results = await compute(feeds, bindFeeds(plan.inputs, feeds)).catch((error: unknown) => {
        throw isOutOfMemory(error) ? new OutOfMemoryError(messageOf(error), { cause: error }) : error;
      });
      try {
        const named: Record<string, TensorData> = {};
        for (const [name, value] of Object.entries(outputs)) {
          const tensor = results.get(name);
          if (tensor === undefined) throw new Error(`the library returned no ${name}`);
          named[name] = await fromTensor(tensor, value);
        }
        return named;
      } finally {
        tf.dispose([...results.values()]);
      }
    },
    dispose() {
      if (live) tf.dispose([...resident.values()]);
      live = false;
      return Promise.resolve();
    },
  };
}

/** Runs graphs with a TensorFlow.js that was found. Its executables are not to be run and disposed of at the same time. */
export function backendOn(library: TfjsLibrary): Backend {
  return {
    name: TFJS,
    async compile(outputs, weights, { eightBit, precision }) {
      if (eightBit !== undefined) throw noEightBitProducts(TFJS);
      if (precision === 'float16') throw noHalfPrecision('TensorFlow.js');
      const plan = planGraph(outputs);
      const resident = await makeResident(library.tf, plan, weights).catch((error: unknown) => {
        throw isOutOfMemory(error) && !(error instanceof UserError) ? modelTooLarge(TFJS, error) : error;
      });
      return makeExecutable(library, outputs, plan, resident);
    },
  };
}

/**
 * Runs graphs with the fastest TensorFlow.js that is installed, found when the first graph is compiled.
 * `compile` throws a UserError where there is none.
 */
export const tfjsBackend: Backend = {
  name: TFJS,
  compile: async (outputs, weights, options) =>
    backendOn(await findTfjs(options.threads)).compile(outputs, weights, options),
};

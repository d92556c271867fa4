import { open } from 'node:fs/promises';
import type { Backend, TensorData, WeightLocation } from '../../src/engine/backends/backend.ts';
import type { Value } from '../../src/engine/graph/value.ts';
import { interpret, type Feed } from '../support/interpreter.ts';

async function read(location: WeightLocation): Promise<Feed> {
  if (location.kind === 'data') return location;
  if (location.dtype !== 'F32') throw new Error(`${location.dtype} is not read here`);
  const handle = await open(location.file);
  try {
    const bytes = new Uint8Array(location.byteLength);
    await handle.read(bytes, 0, bytes.length, location.offset);
    return { shape: location.shape, data: new Float32Array(bytes.buffer) };
  } finally {
    await handle.close();
  }
}

function plain({ shape, data }: TensorData): Feed {
  return { shape, data: data instanceof BigInt64Array ? Array.from(data, Number) : data };
}

/** Computes graphs in float64 and rounds only what leaves them: the witness that tells a wrong graph from a coarse backend. */
export const interpreterBackend: Backend = {
  name: 'interpreter',
  async compile(outputs, source) {
    const weights: Record<string, Feed> = {};
    for (const [name, location] of source) weights[name] = await read(location);
    const named: readonly [string, Value][] = Object.entries(outputs);
    return {
      run(feeds) {
        const fed = Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, plain(feed)]));
        const results = interpret(outputs, fed, weights);
        return Promise.resolve(
          Object.fromEntries(
            named.map(([name, { dtype }]) => {
              const { shape, data } = results[name] ?? { shape: [], data: new Float64Array() };
              if (dtype !== 'float32') throw new Error(`${name} is ${dtype}`);
              return [name, { dtype, shape, data: Float32Array.from(data) }];
            }),
          ),
        );
      },
      dispose: () => Promise.resolve(),
    };
  },
};

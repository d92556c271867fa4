// Usage: node webgpu-witness.ts [recompute:][private:][float16:]METHOD...
// Computes one training step of each method on a tiny encoder, on WebGPU and on the CPU, and prints a line of JSON for each: how far loss
// and gradients are apart, and what of the graph the CPU computed in WebGPU's place. A process of its own, because a driver may crash.
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TensorData } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { assembleBatch } from '../../src/engine/data/batches.ts';
import { frozenWeights, openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { batchFeeds, dropoutWords } from '../../src/engine/feeds.ts';
import { input, multiply } from '../../src/engine/graph/operations.ts';
import { buildModel, gradientsOf, LOSS_SCALE } from '../../src/engine/model-graph.ts';
import { privateOutputs } from '../../src/engine/private-step.ts';
import { trainedFeeds } from '../../src/engine/training-step.ts';
import { makeSequences, noisyValues, planOf, smallOptions } from './method-model.ts';
import { makeTinyEncoder } from './tiny-encoder.ts';

/** What is known of an operation once it has run. */
interface Placed {
  readonly operation: string;
  readonly provider: string;
  /** Of each result, `int64[1]`. */
  readonly results: readonly string[];
}

export interface Testimony {
  readonly method: string;
  /** The largest difference in any output, relative to that output's largest number, with the output's name. */
  readonly worst: number;
  readonly where: string;
  readonly outputs: number;
  readonly onGpu: number;
  /** What the CPU computed, sizes of dimensions left out. */
  readonly onCpu: readonly string[];
  /** Tensors that a node carried between CPU and GPU in the middle of the graph, sizes of dimensions left out. */
  readonly carried: readonly string[];
}

interface ProfiledEvent {
  readonly cat: string;
  readonly name: string;
  readonly args: {
    readonly op_name: string;
    readonly provider: string;
    readonly output_type_shape: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/** Reads the runtime's profile, a JSON array of trace events, of which each node that ran left one. */
function readProfile(file: string): readonly Placed[] {
  const events = JSON.parse(readFileSync(file, 'utf8')) as readonly ProfiledEvent[];
  return events
    .filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
    .map(({ args }) => ({
      operation: args.op_name,
      provider: args.provider,
      results: args.output_type_shape.flatMap((result) =>
        Object.entries(result).map(([type, shape]) => `${type}[${shape.join()}]`),
      ),
    }));
}

/** The size of a dimension, or the few of a shape: the runtime keeps these on the CPU on purpose, for the CPU needs them to plan. */
function isSize(result: string): boolean {
  return /^int64\[\d?\]$/.test(result) || result === 'int32[]';
}

function disagreement(a: TensorData | undefined, b: TensorData | undefined): number {
  const [x, y] = [Array.from(a?.data ?? [], Number), Array.from(b?.data ?? [], Number)];
  if (x.length !== y.length || y.length === 0) return Infinity;
  const scale = Math.max(1e-3, ...y.map(Math.abs));
  return Math.max(...x.map((value, i) => Math.abs(value - (y[i] ?? NaN)) / scale));
}

async function testify(checkpoint: EncoderCheckpoint, folder: string, asked: string): Promise<Testimony> {
  const method = asked.replace(/^.*:/, '');
  const mode = { recompute: asked.includes('recompute:') };
  const model = buildModel(planOf(checkpoint, method, smallOptions[method] ?? {}), { dropout: 'model' });
  const outputs = asked.includes('private:')
    ? privateOutputs(model, 'flat', mode)
    : { loss: model.loss, ...gradientsOf(model, mode) };
  const data = makeSequences(3, 1);
  const batch = assembleBatch(data, Uint32Array.of(0, 1, 2), { padId: checkpoint.config.padTokenId });
  const sizes = { batch: batch.shape[0], sequence: batch.shape[1] };
  const feeds = {
    ...trainedFeeds(model, await noisyValues(model, checkpoint, 0.02)),
    ...batchFeeds(batch, checkpoint.config, model.readsMask ? 4 : undefined, model.specialTokens),
    ...dropoutWords(model.dropoutSites, sizes, { seed: 1, step: 1, microBatch: 0 }),
    [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1 / 3) },
    max_grad_norm: { dtype: 'float32', shape: [], data: Float32Array.of(0.1) },
    example_weights: { dtype: 'float32', shape: [3], data: Float32Array.of(1, 0, 1) },
  } satisfies Record<string, TensorData>;
  const weights = frozenWeights(model, checkpoint, 1);
  const profile = join(folder, asked.replaceAll(':', '-'));
  const compute = async (provider: string) => {
    const precision = asked.includes('float16:') ? ('float16' as const) : ('float32' as const);
    const more = provider === 'webgpu' ? { profile, precision, wide: model.wide } : {};
    const executable = await onnxBackend.compile(outputs, weights, { provider, threads: 1, ...more });
    try {
      return await executable.run(feeds);
    } finally {
      await executable.dispose();
    }
  };
  const [got, want] = [await compute('webgpu'), await compute('cpu')];
  const apart = Object.keys(outputs).map((name) => ({ name, by: disagreement(got[name], want[name]) }));
  const worst = apart.reduce((most, each) => (each.by > most.by || Number.isNaN(each.by) ? each : most));
  const file = readdirSync(folder).find((name) => name.startsWith(`${asked.replaceAll(':', '-')}_`));
  const placed = readProfile(join(folder, file ?? ''));
  const told = (nodes: readonly Placed[]): readonly string[] =>
    nodes
      .filter(({ results }) => !results.every(isSize))
      .map(({ operation, results }) => `${operation} ${results.join()}`);
  const carried = placed.filter(({ operation }) => operation.startsWith('Memcpy'));
  return {
    method: asked,
    worst: worst.by,
    where: worst.name,
    outputs: apart.length,
    onGpu: placed.filter(({ provider }) => provider === 'WebGpuExecutionProvider').length - carried.length,
    onCpu: told(placed.filter(({ provider }) => provider === 'CPUExecutionProvider')),
    carried: told(carried),
  };
}

const encoder = await makeTinyEncoder({ num_hidden_layers: 3 });
const folder = await mkdtemp(join(tmpdir(), 'webgpu-witness-'));
// While it lives, what was compiled for one graph serves the next.
const x = input('x', 'float32', [2]);
const keeper = await onnxBackend.compile({ y: multiply(x, x) }, new Map(), { provider: 'webgpu', threads: 1 });
try {
  const checkpoint = await openEncoder(encoder.folder);
  for (const asked of process.argv.slice(2))
    process.stdout.write(`${JSON.stringify(await testify(checkpoint, folder, asked))}\n`);
} finally {
  await keeper.dispose();
  await encoder.remove();
  await rm(folder, { recursive: true, force: true });
}

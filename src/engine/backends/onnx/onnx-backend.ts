import type * as onnxruntime from 'onnxruntime-node';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { messageOf, UserError } from '../../../base/errors.ts';
import { suggestion } from '../../../base/suggest.ts';
import type { Value } from '../../graph/value.ts';
import {
  eightBitProducts,
  noEightBitProducts,
  noHalfPrecision,
  OutOfMemoryError,
  type Backend,
  type CompileOptions,
  type Executable,
  type TensorData,
  type WeightSource,
} from '../backend.ts';
import { bindFeeds, type Feeds } from '../feeds.ts';
import { isOutOfMemory, modelTooLarge } from '../out-of-memory.ts';
import { weightNames } from '../weight-checks.ts';
import { EIGHT_BITS, SEVEN_BITS, type EightBitMatrices } from './eight-bit.ts';
import { graphKey, isSmall, keepGraph, readGraph } from './graph-cache.ts';
import { lower, type LoweredGraph } from './lower.ts';
import { loaderProblem } from './loader-problem.ts';
import { createModelWriter } from './model-writer.ts';
import { runtimeRequire } from './runtime-location.ts';
import { addedProviders, installAdvice, startAdvice } from './providers.ts';
import { serialiseModel } from './serialise.ts';
import { commonFolder, placeWeights, roundWeights, type FindFolder, type PlacedWeights } from './weights.ts';

type Runtime = typeof onnxruntime;

/**
 * Loaded when something is to be computed: it is a large native library. It would keep an identifier of the machine and send reports of
 * its use to its maker; nobody who trains here has agreed to that, so it is told not to unless the user says otherwise. On CUDA it would
 * compute float32 products with 10 bits of each factor (TF32, which PyTorch leaves off, too); so few are asked for with float16.
 */
function loadRuntime(): Promise<Runtime> {
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  return Promise.resolve(runtimeRequire()('onnxruntime-node') as Runtime);
}

/**
 * The execution providers that the runtime has on this machine, `cpu` among them. Whether a device is there for one shows when a
 * graph is compiled.
 */
export async function availableProviders(): Promise<readonly string[]> {
  const { listSupportedBackends } = await loadRuntime();
  const libraries = addedProviders();
  return listSupportedBackends().flatMap(({ name, bundled }) => (bundled || libraries.includes(name) ? [name] : []));
}

/** @throws UserError where the runtime cannot compute with this provider here, with what would bring it */
export async function requireProvider(provider: string): Promise<void> {
  const providers = await availableProviders();
  if (providers.includes(provider)) return;
  const advice = installAdvice(provider, process.platform, process.arch);
  throw new UserError(`there is no execution provider ${provider} here`, advice ?? suggestion(provider, providers));
}

/** Rewritings of the runtime that a provider is better off without. */
const harmfulFusions: Readonly<Record<string, string>> = {
  // A sum and its norm fused take five times as long as one after the other.
  cpu: 'SkipLayerNormFusion',
  // Two rows taken out of a matrix of integers would become a Split, which WebGPU has for floats alone: the CPU would make it, and the rows
  // would travel back.
  webgpu: 'GatherSliceToSplitFusion',
};

/** A provider as the runtime wants it named, with what it falls back to before the CPU: TensorRT takes part of a graph, and CUDA the rest. */
function executionProviders({ provider, index }: CompileOptions): InferenceSession.ExecutionProviderConfig[] {
  const device = index === undefined ? {} : { deviceId: index };
  switch (provider) {
    case 'cuda':
      return [{ name: 'cuda', ...device }];
    case 'tensorrt':
      return [
        { name: 'tensorrt', ...device },
        { name: 'cuda', ...device },
      ];
    case 'dml':
      return [{ name: 'dml', ...device }];
    default:
      return [provider];
  }
}

/** A model, and whether the runtime is to rewrite it, and where it then writes what came of that. */
interface ModelToOpen {
  readonly bytes: Uint8Array;
  readonly isRewritten?: boolean;
  readonly writeTo?: string | undefined;
}

async function createSession(
  runtime: Runtime,
  { bytes, isRewritten = false, writeTo }: ModelToOpen,
  weights: PlacedWeights,
  options: CompileOptions,
): Promise<InferenceSession> {
  return runtime.InferenceSession.create(bytes, {
    executionProviders: executionProviders(options),
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: isRewritten ? 'disabled' : 'all',
    ...(writeTo === undefined ? {} : { optimizedModelFilePath: writeTo }),
    enableMemPattern: options.memoryPattern ?? false,
    logSeverityLevel: 3,
    ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile }),
    ...(weights.bytes.length > 0 ? { externalData: weights.bytes } : {}),
    extra: {
      session: {
        // Threads that never spin while they wait cost an eighth of the speed alone; those that spin for long slow two programs on the
        // same cores down threefold.
        intra_op: { allow_spinning: '1', spin_duration_us: '100' },
        ...(weights.folder === undefined ? {} : { model_external_initializers_file_folder_path: weights.folder }),
      },
      ...(harmfulFusions[options.provider] === undefined
        ? {}
        : { optimization: { disable_specified_optimizers: harmfulFusions[options.provider] } }),
    },
  });
}

/**
 * Where a rewritten graph may be kept. Other providers compile parts of a graph into what no file holds, and weights that are widened or
 * handed over in memory would be written into it.
 */
function cacheFor(
  { weights, bytes }: PlacedWeights,
  { provider, profile, graphs }: CompileOptions,
): CompileOptions['graphs'] {
  const isWidened = [...weights.values()].some(({ dtype }) => dtype === 'F16' || dtype === 'BF16');
  return provider !== 'cpu' || profile !== undefined || isWidened || bytes.length > 0 ? undefined : graphs;
}

/** A session for a graph: of what another run has kept of the same one, where there is that. */
async function openSession(
  runtime: Runtime,
  graph: LoweredGraph,
  weights: PlacedWeights,
  options: CompileOptions,
): Promise<InferenceSession> {
  const bytes = serialiseModel(graph.model);
  const cache = cacheFor(weights, options);
  if (cache === undefined || !isSmall(bytes)) return createSession(runtime, { bytes }, weights, options);
  const key = graphKey(bytes, cache, runtime.env.versions.node ?? '');
  const kept = await readGraph(cache, key);
  const known =
    kept === undefined
      ? undefined
      : await createSession(runtime, { bytes: kept, isRewritten: true }, weights, options).catch(() => undefined);
  return known ?? keepGraph(cache, key, (writeTo) => createSession(runtime, { bytes, writeTo }, weights, options));
}

function toTensor(runtime: Runtime, feed: TensorData): Tensor {
  switch (feed.dtype) {
    case 'float32':
      return new runtime.Tensor('float32', feed.data, feed.shape);
    case 'int32':
      return new runtime.Tensor('int32', feed.data, feed.shape);
    case 'int64':
      return new runtime.Tensor('int64', feed.data, feed.shape);
    case 'bool':
      return new runtime.Tensor('bool', feed.data, feed.shape);
  }
}

function fromTensor({ type, dims: shape, data }: Tensor): TensorData {
  if (type === 'float32' && data instanceof Float32Array) return { dtype: type, shape, data };
  if (type === 'int32' && data instanceof Int32Array) return { dtype: type, shape, data };
  if (type === 'int64' && data instanceof BigInt64Array) return { dtype: type, shape, data };
  if (type === 'bool' && data instanceof Uint8Array) return { dtype: type, shape, data };
  throw new Error(`the runtime returned a tensor of ${type}`);
}

/** WebGPU's words where a GPU lacks arithmetic in 16 bits. */
function lacksHalfPrecision(error: unknown): boolean {
  return /requires f16 but the device does not support it/.test(messageOf(error));
}

function makeExecutable(
  runtime: Runtime,
  session: InferenceSession,
  graph: LoweredGraph,
  profiled: boolean,
): Executable {
  let live = true;
  return {
    async run(feeds: Feeds) {
      if (!live) throw new Error('this executable was disposed of');
      bindFeeds(graph.inputs, feeds);
      const tensors: Record<string, Tensor> = {};
      for (const name of session.inputNames) {
        const feed = feeds[name];
        if (feed !== undefined) tensors[name] = toTensor(runtime, feed);
      }
      const results = await session.run(tensors).catch((error: unknown) => {
        if (isOutOfMemory(error)) throw new OutOfMemoryError(messageOf(error), { cause: error });
        if (lacksHalfPrecision(error)) throw noHalfPrecision("this machine's GPU, or its driver,");
        throw error;
      });
      const named: Record<string, TensorData> = {};
      for (const [name, inModel] of graph.outputNames) {
        const tensor = results[inModel];
        if (tensor === undefined) throw new Error(`the runtime returned no ${inModel}`);
        named[name] = fromTensor(tensor);
      }
      return named;
    },
    async dispose() {
      if (!live) return;
      live = false;
      if (profiled) session.endProfiling();
      await session.release();
    },
  };
}

/** Columns and terms of the product that is tried: enough for the kernel that large products use. */
const [TRIED_COLUMNS, TRIED_TERMS] = [16, 64];

/** Whether the processor's products of bytes are exact with the greatest of them: where two are added in 16 bits they are not. */
async function multipliesBytesExactly(runtime: Runtime): Promise<boolean> {
  const writer = createModelWriter();
  const bytes = (name: string, dtype: 'int8' | 'uint8', shape: readonly number[], value: number): string =>
    writer.initialiser(name, dtype, shape, {
      kind: 'inline',
      bytes: new Uint8Array(shape.reduce((a, b) => a * b)).fill(value),
    });
  const [most, mostWeight] = [255, EIGHT_BITS];
  const product = writer.node('MatMulInteger', [
    bytes('rows', 'uint8', [TRIED_COLUMNS, TRIED_TERMS], most),
    bytes('matrix', 'int8', [TRIED_TERMS, TRIED_COLUMNS], mostWeight),
  ]);
  const name = writer.output('product', product, 'int32', [TRIED_COLUMNS, TRIED_COLUMNS]);
  const session = await runtime.InferenceSession.create(serialiseModel(writer.finish()), { intraOpNumThreads: 1 });
  try {
    const sums = (await session.run({}))[name]?.data;
    return sums instanceof Int32Array && sums.every((sum) => sum === TRIED_TERMS * most * mostWeight);
  } finally {
    await session.release();
  }
}

let greatestWeight: Promise<number> | undefined;

/** The frozen matrices in 8 bits that a compilation asks for. @throws UserError on a provider that has no such products */
async function eightBitMatrices(
  runtime: Runtime,
  outputs: Readonly<Record<string, Value>>,
  source: WeightSource,
  { provider, eightBit, precision }: CompileOptions,
): Promise<EightBitMatrices> {
  if (eightBit === undefined) return new Map();
  if (precision === 'float16') throw new Error('products in 8 bits and in float16 were asked for at once');
  if (provider !== 'cpu') throw noEightBitProducts(provider);
  greatestWeight ??= multipliesBytesExactly(runtime).then((exactly) => (exactly ? EIGHT_BITS : SEVEN_BITS));
  return roundWeights(eightBitProducts(Object.values(outputs), eightBit), source, eightBit, await greatestWeight);
}

/** What the runtime says, without the place and the condition in its own source that it begins with. */
function withoutSource(said: string): string {
  return said.replace(/^\S+\.(?:cc|cpp|h):\d+ .*? was false\. /s, '').trim();
}

/** Why a provider did not take a model, as the user should see it. */
function startProblem(provider: string, cause: unknown): unknown {
  if (lacksHalfPrecision(cause)) return noHalfPrecision("this machine's GPU, or its driver,");
  if (provider === 'cpu' || isOutOfMemory(cause)) return cause;
  const words = withoutSource(messageOf(cause));
  const said = (/failed to load shared library/i.test(words) ? loaderProblem(provider) : undefined) ?? words;
  return new UserError(
    `the execution provider ${provider} could not take the model: ${said}`,
    startAdvice(provider, said),
    { cause },
  );
}

/**
 * See {@link Backend}.
 * @param findFolder where the runtime may read the weights' files from
 * @throws UserError if the provider is unknown or cannot start, or the model is too large for it; FileError if a weight's file cannot be read
 */
export async function compileGraph(
  outputs: Readonly<Record<string, Value>>,
  source: WeightSource,
  options: CompileOptions,
  findFolder: FindFolder = commonFolder,
): Promise<Executable> {
  const runtime = await loadRuntime();
  const { provider } = options;
  await requireProvider(provider);
  try {
    const weights = await placeWeights(weightNames(Object.values(outputs)), source, findFolder);
    const eightBit = await eightBitMatrices(runtime, outputs, source, options);
    const graph = lower(outputs, weights.weights, { ...options, eightBit });
    const session = await openSession(runtime, graph, weights, options).catch((cause: unknown) => {
      throw startProblem(provider, cause);
    });
    return makeExecutable(runtime, session, graph, options.profile !== undefined);
  } catch (error) {
    throw isOutOfMemory(error) && !(error instanceof UserError) ? modelTooLarge(provider, error) : error;
  }
}

/** Runs graphs as ONNX models with onnxruntime-node. */
export const onnxBackend: Backend = {
  name: 'onnx',
  compile: (outputs, weights, options) => compileGraph(outputs, weights, options),
};

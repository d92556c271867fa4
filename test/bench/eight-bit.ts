// How near the gradient of a step in 8 bits is to that in float32, on a real encoder and real sentences. It measures no time.
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { eightBitProducts, type CompileOptions } from '../../src/engine/backends/backend.ts';
import { frozenWeights, startValues } from '../../src/engine/encoder-checkpoint.ts';
import { eightBitPlan } from '../../src/engine/frozen-precision.ts';
import { buildModel, gradientsOf } from '../../src/engine/model-graph.ts';
import { prepareTraining } from '../../src/engine/prepare.ts';
import { modelPlanOf, type TrainingSetup } from '../../src/engine/training-setup.ts';
import { computeGradient, trainedFeeds, type StepGradient } from '../../src/engine/training-step.ts';
import { defaultAdamW } from '../../src/engine/optimisers/adamw.ts';
import type { Comparison } from './comparison.ts';
import { methodCases, type MethodCase } from './methods.ts';
import type { BenchOptions } from './options.ts';

export const eightBitCases: readonly MethodCase[] = methodCases.map((each) => ({
  ...each,
  name: each.name.replace('methods/', 'eight-bit/'),
}));

const EXAMPLES = 64;

/** A method's gradient at the start of its training, in 8 bits beside float32. */
export interface EightBitAgreement {
  readonly name: string;
  readonly method: string;
  /** Of the angle between the two gradients over all trained tensors together. */
  readonly cosine: number;
  /** The same over the method's own tensors, without the head's. */
  readonly methodCosine: number;
  readonly loss: number;
  readonly float32Loss: number;
}

export const eightBitHeader =
  'method                                  cosine   method alone   loss in 8 bits   in float32   (64 sentences of SST-2, at the start)';

export function formatAgreement({ method, cosine, methodCosine, loss, float32Loss }: EightBitAgreement): string {
  const numbers = [cosine.toFixed(4), methodCosine.toFixed(4).padStart(14), loss.toFixed(4).padStart(16)];
  return `${method.padEnd(40)}${[...numbers, float32Loss.toFixed(4).padStart(12)].join(' ')}`;
}

/** The cosines beside that of float32 with itself: over all trained tensors, and without the head's. */
export function compareAgreement({ name, cosine, methodCosine, ...details }: EightBitAgreement): readonly Comparison[] {
  const beside = (of: string, ours: number): Comparison => {
    const [peerName, peer] = ['float32', 1];
    const peers = [{ name: peerName, value: peer, ratio: ours / peer }];
    return { name: of, unit: 'cosine', ours, peer, ratio: ours / peer, peerName, peers, ...details };
  };
  return [beside(name, cosine), beside(`${name}/method-alone`, methodCosine)];
}

function cosine(a: StepGradient, b: StepGradient, names: readonly string[]): number {
  let [dot, left, right] = [0, 0, 0];
  for (const name of names) {
    const [x, y] = [a.gradients.get(name), b.gradients.get(name)];
    x?.forEach((number, index) => {
      const other = y?.[index] ?? NaN;
      dot += number * other;
      left += number * number;
      right += other * other;
    });
  }
  return dot / Math.sqrt(left * right);
}

async function setupOf(
  { method, options }: MethodCase,
  sources: { readonly sst2: string; readonly encoder: string },
  threads: number,
): Promise<TrainingSetup> {
  const { setup } = await prepareTraining({
    model: { id: sources.encoder },
    task: { id: 'sst2', data: sources.sst2, maxLength: 128 },
    method: { id: method, options },
    settings: {
      length: { kind: 'steps', steps: 1 },
      ...{ batchSize: EXAMPLES, accumulation: 1, learningRate: 1e-4, schedule: 'constant', warmup: 0, weightDecay: 0 },
      ...{ maxGradNorm: null, adam: defaultAdamW, dropout: undefined, seed: 0, evaluateEvery: 'epoch' },
      ...{ checkpointEvery: 'epoch', earlyStopping: undefined },
    },
    examples: EXAMPLES,
    device: { provider: 'cpu', threads },
  });
  return setup;
}

/** Computes a method's gradient twice; nothing for a method that leaves no matrix frozen. */
export async function measureEightBit(
  each: MethodCase,
  sources: { readonly sst2: string; readonly encoder: string },
  { threads }: Pick<BenchOptions, 'threads'>,
): Promise<EightBitAgreement | undefined> {
  const setup = await setupOf(each, sources, threads);
  const model = buildModel(modelPlanOf(setup), { dropout: 'model' });
  const outputs = { loss: model.loss, ...gradientsOf(model) };
  const eightBit = await eightBitPlan(model, setup.checkpoint);
  if (eightBitProducts(Object.values(outputs), eightBit).size === 0) return undefined;
  const weights = frozenWeights(model, setup.checkpoint, 0);
  const feeds = trainedFeeds(model, await startValues(model, setup.checkpoint, 0, setup.maskToken));
  const batch = Uint32Array.from({ length: EXAMPLES }, (_, index) => index);
  const gradient = async (options: CompileOptions): Promise<StepGradient> => {
    const executable = await onnxBackend.compile(outputs, weights, options);
    try {
      return await computeGradient({ setup, model, executable, feeds }, [batch], 1);
    } finally {
      await executable.dispose();
    }
  };
  const exact = await gradient(setup.device);
  const rounded = await gradient({ ...setup.device, eightBit });
  const own = model.trained.filter(({ part }) => part === 'method').map(({ name }) => name);
  return {
    name: each.name,
    method: each.name.replace('eight-bit/', ''),
    cosine: cosine(
      rounded,
      exact,
      model.trained.map(({ name }) => name),
    ),
    methodCosine: cosine(rounded, exact, own),
    ...{ loss: rounded.loss, float32Loss: exact.loss },
  };
}

import type { TensorData } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { runInParts, sliceExamples, sumParts, unlimitedRoom } from '../../src/engine/batch-parts.ts';
import { frozenWeights, openEncoder, startValues } from '../../src/engine/encoder-checkpoint.ts';
import { encoderFeeds, specialPositions, type NamedTensors } from '../../src/engine/feeds.ts';
import { eightBitPlan } from '../../src/engine/frozen-precision.ts';
import { gradientsOf, LOSS_SCALE } from '../../src/engine/model-graph.ts';
import { createAdamW, defaultAdamW, stepAdamW, type Trained } from '../../src/engine/optimisers/adamw.ts';
import { weightDecayOf } from '../../src/engine/optimisers/weight-decay.ts';
import { comfortableTokens } from '../../src/engine/pass-size.ts';
import { readTensors } from '../../src/engine/safetensors.ts';
import { dropoutFeeds } from '../../src/engine/training-step.ts';
import type { Stepped } from './inference.ts';
import { modelOf, SEED, type StepPlan } from './step-plan.ts';

/** A compiled training step with its optimiser and one batch. */
export interface OpenedStep extends Stepped {
  readonly compileSeconds: number;
  readonly trainedNumbers: number;
  /** Takes a step. @returns its loss */
  readonly step: () => Promise<number>;
  /** Passes through the graph that the last step took. */
  readonly passes: () => number;
  readonly dispose: () => Promise<void>;
}

/** @param profile where the file begins that says what each operation took; none is written without it */
export async function openStep(plan: StepPlan, profile?: string): Promise<OpenedStep> {
  const checkpoint = await openEncoder(plan.checkpoint);
  const began = performance.now();
  const model = modelOf(plan, checkpoint);
  const outputs = { loss: model.loss, ...gradientsOf(model, { recompute: plan.recompute ?? false }) };
  const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, SEED), {
    provider: 'cpu',
    threads: plan.threads,
    ...(plan.frozenPrecision === 'int8' ? { eightBit: await eightBitPlan(model, checkpoint) } : {}),
    ...(profile === undefined ? {} : { profile }),
  });
  const compileSeconds = (performance.now() - began) / 1000;

  const values = await startValues(model, checkpoint, SEED);
  const fed: NamedTensors = {};
  const trained = model.trained.map(({ name, shape }): Trained => {
    const value = values.get(name);
    if (value === undefined) throw new Error(`${name} has no start value`);
    fed[name] = { dtype: 'float32', shape, data: value };
    return { name, value, weightDecay: weightDecayOf(name, plan.weightDecay) };
  });
  const optimiser = createAdamW(trained);
  const batch = await readTensors(plan.start, ['batch.input_ids', 'batch.mask_positions', 'batch.labels']);
  const integers = (name: string): TensorData & { readonly dtype: 'int32' } => {
    const tensor = batch.get(name);
    if (!(tensor?.data instanceof Int32Array)) throw new Error(`${name} is missing`);
    return { dtype: 'int32', shape: tensor.shape, data: tensor.data };
  };
  const ids = integers('batch.input_ids').data;
  /** The first and the last token of each row. */
  const special = Uint8Array.from(ids, (_, at) =>
    at % plan.tokens === 0 || at % plan.tokens === plan.tokens - 1 ? 1 : 0,
  );
  const shared: NamedTensors = {
    ...fed,
    [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1 / plan.batch) },
  };
  const ofExamples: NamedTensors = {
    ...encoderFeeds(
      { inputIds: ids, attentionMask: new Int32Array(ids.length).fill(1), typeIds: new Int32Array(ids.length) },
      [plan.batch, plan.tokens],
      checkpoint.config,
    ),
    labels: integers('batch.labels'),
    mask_positions: integers('batch.mask_positions'),
    special_positions: specialPositions(special, [plan.batch, plan.tokens], Math.max(1, model.specialTokens)),
  };
  const feeds: NamedTensors = { ...shared, ...ofExamples };
  const comfortable =
    plan.tokensOfPass ?? comfortableTokens(model, checkpoint.config, { provider: 'cpu', threads: plan.threads });
  const room = unlimitedRoom({ comfortable });
  const sizes = { batch: plan.batch, sequence: plan.tokens };
  let passes = 0;
  return {
    ...{ plan, checkpoint, model, values, feeds, compileSeconds },
    trainedNumbers: trained.reduce((sum, { value }) => sum + value.length, 0),
    async step() {
      const words = dropoutFeeds(model.dropoutSites, sizes, { seed: SEED, step: optimiser.step, microBatch: 0 });
      const parts = await runInParts([plan.batch, plan.tokens], room, (from, to) =>
        executable.run({
          ...shared,
          ...words.shared,
          ...sliceExamples({ ...ofExamples, ...words.ofExamples }, plan.batch, from, to),
        }),
      );
      passes = parts.length;
      const gradients = new Map(trained.map(({ name }) => [name, sumParts(parts, name)] as const));
      stepAdamW(optimiser, trained, gradients, plan.learningRate, defaultAdamW);
      return sumParts(parts, 'loss')[0] ?? NaN;
    },
    passes: () => passes,
    dispose: () => executable.dispose(),
  };
}

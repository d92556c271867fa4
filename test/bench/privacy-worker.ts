// A side of the privacy comparison: a process that takes the trainer's own steps, private ones or not.
import { z } from 'zod';
import { randomStream } from '../../src/base/random.ts';
import { unlimitedRoom } from '../../src/engine/batch-parts.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { encodeDataset } from '../../src/engine/data/dataset.ts';
import { frozenWeights, openEncoder, startValues } from '../../src/engine/encoder-checkpoint.ts';
import { buildModel, gradientsOf } from '../../src/engine/model-graph.ts';
import { clipFactor } from '../../src/engine/optimisers/clip.ts';
import { createAdamW, defaultAdamW, stepAdamW } from '../../src/engine/optimisers/adamw.ts';
import { comfortableTokens } from '../../src/engine/pass-size.ts';
import { computePrivateGradient, privateOutputs, type PrivateMechanism } from '../../src/engine/private-step.ts';
import { modelPlanOf, type TrainingSetup } from '../../src/engine/training-setup.ts';
import { computeGradient, trainedFeeds, type StepGradient } from '../../src/engine/training-step.ts';
import { privateStreams } from '../../src/privacy/streams.ts';
import { findTask } from '../../src/tasks/registry.ts';
import { answerQuestions, cpuSecondsSince, peakResidentBytes } from './answer.ts';
import { drawn, privacyPlan } from './privacy-plan.ts';

const plan = privacyPlan.parse(JSON.parse(process.argv[2] ?? ''));
const checkpoint = await openEncoder(plan.checkpoint);
const { batch, tokens } = plan;

/** What a position holds in the made-up examples; any ids would do. */
const [CLASS, SEPARATOR, MASK, FIRST_WORD, WORDS] = [101, 102, 103, 1000, 20_000] as const;
const random = randomStream(0, 'bench.privacy');
const examples = Array.from({ length: 2 * batch }, () => ({ text: '', label: random.below(2) }));
const train = encodeDataset(
  examples,
  'classification',
  () => {
    const words = Array.from({ length: tokens - 3 }, () => FIRST_WORD + random.below(WORDS));
    const ids = [CLASS, ...words, MASK, SEPARATOR];
    return { ids, typeIds: ids.map(() => 0), special: ids.map((id) => (id === CLASS || id === SEPARATOR ? 1 : 0)) };
  },
  tokens,
);

const setup: TrainingSetup = {
  checkpoint,
  method: { id: plan.method, options: plan.options },
  task: findTask('sst2'),
  train,
  evaluations: [],
  settings: {
    length: { kind: 'epochs', epochs: 1 },
    batchSize: batch,
    accumulation: 1,
    learningRate: 1e-4,
    schedule: 'constant',
    warmup: 0,
    weightDecay: 0,
    maxGradNorm: 1,
    adam: defaultAdamW,
    dropout: 0, // Some methods turn it off; without it steps differ by the methods alone.
    seed: 0,
    evaluateEvery: 'epoch',
    checkpointEvery: 'epoch',
    earlyStopping: undefined,
  },
  backend: onnxBackend,
  device: { provider: 'cpu', threads: plan.threads, reason: 'bench' },
  maskToken: MASK,
};

const streams = privateStreams(new Uint8Array(32).fill(7));
const noise = 0.1;
const mechanism: PrivateMechanism = {
  samplingRate: 0.5,
  noiseMultiplier: 1,
  maxGradNorm: noise,
  clipping: 'flat',
  publicEvaluation: false,
  expectedBatchSize: batch,
  draw: (step) => {
    const size = batch + Math.round((drawn[step % drawn.length] ?? 0) * Math.sqrt(batch));
    return Uint32Array.from({ length: size }, (_, index) => index);
  },
  addNoise: (sum, step, tensor) => streams.addNoise(sum, step, tensor, noise),
  spent: () => ({ epsilon: 1, delta: 1e-5, accountant: 'bench' }),
};

const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
const outputs = plan.private ? privateOutputs(model, 'flat') : { loss: model.loss, ...gradientsOf(model) };
const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, 0), setup.device);
const values = await startValues(model, checkpoint, 0);
const feeds = trainedFeeds(model, values);
const trained = model.trained.map(({ name }) => {
  const value = values.get(name);
  if (value === undefined) throw new Error(`${name} has no start value`);
  return { name, value, weightDecay: 0 };
});
const optimiser = createAdamW(trained);
const indices = Uint32Array.from({ length: batch }, (_, index) => index);
// As the trainer has it.
const room = unlimitedRoom({ comfortable: comfortableTokens(model, checkpoint.config, setup.device) });

async function step(): Promise<void> {
  const number = optimiser.step + 1;
  const gradient: StepGradient = plan.private
    ? await computePrivateGradient({ setup, mechanism, model, executable, feeds, room }, number)
    : await computeGradient({ setup, model, executable, feeds, room }, [indices], number);
  const scale = plan.private ? 1 : clipFactor(gradient.norm, setup.settings.maxGradNorm);
  stepAdamW(optimiser, trained, gradient.gradients, setup.settings.learningRate, defaultAdamW, scale);
}

const question = z.discriminatedUnion('do', [
  z.object({ do: z.literal('describe') }),
  z.object({ do: z.literal('round') }),
  z.object({ do: z.literal('memory') }),
]);

await answerQuestions(async (asked) => {
  switch (question.parse(asked).do) {
    case 'describe':
      return { trained: trained.reduce((sum, { value }) => sum + value.length, 0) };
    case 'memory':
      return { bytes: peakResidentBytes() };
    case 'round': {
      const [start, used] = [performance.now(), process.cpuUsage()];
      for (let i = 0; i < drawn.length; i++) await step();
      const seconds = (performance.now() - start) / 1000 / drawn.length;
      return { seconds, cpuSeconds: cpuSecondsSince(used) / drawn.length };
    }
  }
});
await executable.dispose();

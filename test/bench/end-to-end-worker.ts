// Our side of the end-to-end comparison: from nothing to the metrics in one process.
import { z } from 'zod';
import { prepareTraining } from '../../src/engine/prepare.ts';
import { train } from '../../src/engine/trainer.ts';
import { endToEndPlan } from './end-to-end-plan.ts';

const plan = endToEndPlan.parse(JSON.parse(process.argv[2] ?? ''));
const { setup } = await prepareTraining({
  model: { id: plan.encoder },
  task: { id: 'sst2', data: plan.data, maxLength: plan.maxLength },
  method: { id: 'lora', options: { rank: plan.rank, alpha: plan.alpha, targets: ['query', 'value'] } },
  settings: {
    length: { kind: 'epochs', epochs: plan.epochs },
    batchSize: plan.batchSize,
    accumulation: 1,
    learningRate: plan.learningRate,
    schedule: 'linear',
    warmup: plan.warmup,
    weightDecay: plan.weightDecay,
    maxGradNorm: plan.maxGradNorm,
    adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    dropout: undefined,
    seed: plan.seed,
    evaluateEvery: 'epoch',
    checkpointEvery: 'epoch',
    earlyStopping: undefined,
  },
  examples: undefined,
  device: { provider: 'cpu', threads: plan.threads },
});
const prepared = performance.now() / 1000;
let trained = 0;
let evaluate = 0;
const result = await train(setup, {
  emit: (event) => {
    if (event.type === 'started') trained = event.parameters.total;
    if (event.type === 'evaluation') evaluate = event.seconds;
  },
  wish: () => 'continue',
  save: () => Promise.resolve(''),
  now: () => performance.now(),
});
const accuracy = z.number().parse(result.last['accuracy']);
process.stdout.write(
  `${JSON.stringify({ accuracy, trained, seconds: { prepare: prepared, train: result.trainSeconds, evaluate } })}\n`,
);

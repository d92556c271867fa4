import type { TrainingSettings } from '../../src/engine/training-setup.ts';

/** AdamW at a constant rate and nothing else: a batch a step, no decay, no clipping, no dropout. */
export const plainSettings: Omit<TrainingSettings, 'length' | 'batchSize' | 'learningRate'> = {
  accumulation: 1,
  schedule: 'constant',
  warmup: 0,
  weightDecay: 0,
  maxGradNorm: null,
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  dropout: 0,
  seed: 0,
  evaluateEvery: 'epoch',
  checkpointEvery: 'epoch',
  earlyStopping: undefined,
};

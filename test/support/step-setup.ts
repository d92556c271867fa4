import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import type { Dataset } from '../../src/engine/data/dataset.ts';
import type { EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import type { PrivateMechanism } from '../../src/engine/private-step.ts';
import type { TrainingSetup } from '../../src/engine/training-setup.ts';
import type { Task } from '../../src/tasks/task.ts';
import { smallOptions } from './method-model.ts';
import { plainSettings } from './training-settings.ts';

/** A training of one step on the CPU, to compute single gradients with. */
export function stepSetup(
  checkpoint: EncoderCheckpoint,
  method: string,
  task: Task,
  train: Dataset,
  maskToken?: number,
): TrainingSetup {
  return {
    checkpoint,
    method: { id: method, options: smallOptions[method] ?? {} },
    task,
    train,
    evaluations: [{ split: 'dev', dataset: train }],
    settings: {
      ...plainSettings,
      length: { kind: 'steps', steps: 1 },
      batchSize: train.count,
      learningRate: 1e-3,
      dropout: undefined,
    },
    backend: onnxBackend,
    device: { provider: 'cpu', threads: 1, reason: 'test' },
    maskToken,
  };
}

/** A private mechanism that draws the same six examples each time and adds no noise. */
export const noiselessMechanism: PrivateMechanism = {
  samplingRate: 0.5,
  noiseMultiplier: 1,
  clipping: 'flat',
  maxGradNorm: 0.5,
  expectedBatchSize: 4,
  draw: () => Uint32Array.of(0, 2, 3, 5, 6, 7),
  addNoise: (sum) => Float64Array.from(sum),
  spent: () => ({ epsilon: 1, delta: 1e-5, accountant: 'test' }),
  publicEvaluation: true,
};

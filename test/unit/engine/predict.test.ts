import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { OutOfMemoryError, type Backend } from '../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { buildModel } from '../../../src/engine/model-graph.ts';
import { predict, type PredictionSetup } from '../../../src/engine/predict.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';
import { modelPlanOf } from '../../../src/engine/training-setup.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const checkpoint = await openTinyEncoder();
const cpu = { backend: onnxBackend, device: { provider: 'cpu', threads: 1, reason: 'automatic' } };
const examples = ['a fine film', 'dull and long'].map((text) => ({ text, label: -1 }));

async function setupOf(notices: string[] = []): Promise<PredictionSetup> {
  const plan = { checkpoint, method: { id: 'lora', options: { rank: 2 } }, task: findTask('sst2') };
  return {
    ...plan,
    ...cpu,
    values: await startValues(buildModel(modelPlanOf(plan), { dropout: 'off' }), checkpoint, 0),
    tokenizer: await loadTokenizer(checkpoint.folder),
    maxLength: 32,
    settings: { batchSize: 8, seed: 0 },
    onNotice: (message) => notices.push(message),
  };
}

/** A backend whose executables, or whose compiler, end in an error. */
function failing(at: 'compile' | 'run', error: Error): Backend {
  return {
    ...onnxBackend,
    compile: async (outputs, weights) => {
      if (at === 'compile') throw error;
      return { ...(await onnxBackend.compile(outputs, weights, cpu.device)), run: () => Promise.reject(error) };
    },
  };
}

describe('predicting', () => {
  const gpu = { provider: 'webgpu', threads: 1, reason: 'automatic: best' };

  it.each([
    ['cannot be compiled for', failing('compile', new Error('buffer of 3 GiB'))],
    ['fails', failing('run', new Error('buffer of 3 GiB'))],
    ['has no room for one example', failing('run', new OutOfMemoryError('buffer of 3 GiB'))],
  ])('goes on with the CPU where the model %s on a device that was chosen automatically', async (_, backend) => {
    const notices: string[] = [];
    const setup = await setupOf(notices);
    const found = await predict({ ...setup, backend, device: gpu, fallback: cpu }, examples);
    expect(notices.at(-1)).toMatch(/^webgpu does not take this model: .*; cpu predicts$/s);
    expect(found).toEqual(await predict(setup, examples));
  });

  it('fails with a device that was asked for, and with what the user has to mend', async () => {
    const setup = { ...(await setupOf()), device: gpu };
    const lost = failing('run', new Error('lost'));
    await expect(predict({ ...setup, backend: lost }, examples)).rejects.toThrow('lost');
    const wrong = failing('compile', new UserError('not so'));
    await expect(predict({ ...setup, backend: wrong, fallback: cpu }, examples)).rejects.toThrow('not so');
  });

  it('is refused where a task has no labels', async () => {
    const setup = { ...(await setupOf()), task: findTask('mlm') };
    await expect(predict(setup, examples)).rejects.toThrow('has no head that predicts labels');
  });
});

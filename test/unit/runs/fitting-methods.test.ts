import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileError } from '../../../src/base/errors.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { parseConfiguration } from '../../../src/runs/configuration.ts';
import { planRuns } from '../../../src/runs/plan-runs.ts';
import { makeTinyEncoder } from '../../support/tiny-encoder.ts';

const rows = 'sentence\tlabel\na\t1\n';

describe('planning runs', () => {
  let encoder: Awaited<ReturnType<typeof makeTinyEncoder>>;

  beforeAll(async () => {
    encoder = await makeTinyEncoder();
    for (const split of ['train', 'dev']) writeFileSync(join(encoder.folder, `${split}.tsv`), rows);
  });

  afterAll(() => encoder.remove());

  const planned = (settings: Readonly<Record<string, unknown>>): ReturnType<typeof planRuns> =>
    planRuns(
      parseConfiguration(
        JSON.stringify({
          model: encoder.folder,
          task: { id: 'sst2', data: encoder.folder, maxLength: 16 },
          ...settings,
        }),
        join(encoder.folder, 'a.peft.json'),
        installedCatalogue,
      ),
    );

  it.each([
    [{ id: 'compacter', n: 5, bottleneck: 4 }, 'compacter: n = 5 must divide the hidden size 16 and the bottleneck 4'],
    [{ id: 'union', parts: [{ id: 'lora', layers: [2] }] }, 'lora: layers names 2, but the encoder has 2 layers'],
    [{ id: 'prompt-tuning', length: 30, enter: 'before-embedding' }, 'Set task.maxLength to 10 or less.'],
    [{ id: 'adapter-parallel', reductionFactor: 1e-4 }, 'a bottleneck of 160000, more than 65536'],
    [{ id: 'slash', dimension: 5, projectionInit: 'identity' }, 'slash: projectionInit "identity" needs dimension 16'],
  ])('refuses a method that does not fit the model which lies here: %j', async (method, problem) => {
    const refused = planned({ method });
    await expect(refused).rejects.toBeInstanceOf(FileError);
    await expect(refused).rejects.toThrow('a.peft.json: ');
    await expect(refused).rejects.toThrow(problem);
  });

  it('names the run of a sweep that does not fit, and takes the sweep where all do', async () => {
    const sweep = (values: readonly number[]): Readonly<Record<string, unknown>> => ({
      method: { id: 'compacter', bottleneck: 4 },
      matrix: { 'method.n': values, 'training.seed': [0, 1] },
    });
    await expect(planned(sweep([2, 3]))).rejects.toThrow('method.n=3 training.seed=0: compacter: n = 3 must divide');
    expect(await planned(sweep([1, 2]))).toHaveLength(4);
  });

  it('leaves a model that it would have to ask for, or that it cannot read, to the run', async () => {
    const method = { id: 'compacter', n: 5 };
    expect(await planned({ model: 'some/model-on-the-hub', method })).toHaveLength(1);
    expect(await planned({ model: join(import.meta.dirname, '..'), method })).toHaveLength(1);
  });

  it('refuses data without a split that training needs, and a file in the place of a folder', async () => {
    const half = join(encoder.folder, 'half');
    mkdirSync(half);
    writeFileSync(join(half, 'train.tsv'), rows);
    const on = (data: unknown): ReturnType<typeof planRuns> => planned({ method: 'head', task: { id: 'sst2', data } });
    await expect(on(half)).rejects.toThrow(`a.peft.json: ${half}: there is no file for the dev split of SST-2`);
    await expect(on(join(half, 'train.tsv'))).rejects.toThrow('train.tsv: this is a file, not a folder');
    const file = join(half, 'train.tsv');
    expect(await on({ train: file, dev: file })).toHaveLength(1);
    const sweep = { method: 'head', task: { id: 'sst2' }, matrix: { 'task.data': [encoder.folder, half] } };
    await expect(planned(sweep)).rejects.toThrow(/task\.data=.*half: .*there is no file for the dev split/);
  });
});

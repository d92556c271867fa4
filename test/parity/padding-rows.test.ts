import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TensorData } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { frozenWeights, openEncoder, startValues } from '../../src/engine/encoder-checkpoint.ts';
import { buildModel, gradientsOf, type ModelPlan } from '../../src/engine/model-graph.ts';
import { readTensors, writeSafetensors, type WritableTensor } from '../../src/engine/safetensors.ts';
import { trainedFeeds } from '../../src/engine/training-step.ts';
import { caseFeeds } from '../../src/engine/verify/case-feeds.ts';
import { readInputs, type CaseInputs } from '../../src/engine/verify/golden-files.ts';
import { verifyGoldenFolder } from '../../src/engine/verify/verify.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'golden');
const name = 'full_roberta_qa';
const base = 'roberta_qa';
const device = { provider: 'cpu', threads: 1 };
const tables = /\.(?:word|position)_embeddings\.weight$/;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peft-padding-'));
  await cp(join(fixtures, '_models', base), join(folder, '_models', base), { recursive: true });
  await cp(join(fixtures, name), join(folder, name), { recursive: true });
  await mkdir(join(folder, '_dp'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** One example of a batch, at the same padded length. */
function exampleOf(inputs: CaseInputs, index: number): CaseInputs {
  const tensors = Object.entries(inputs.tensors).map(
    ([
      key,
      {
        shape: [, ...shape],
        data,
        integers,
      },
    ]) => {
      const size = shape.reduce((product, dim) => product * dim, 1);
      return [key, { integers, shape: [1, ...shape], data: data.slice(index * size, (index + 1) * size) }] as const;
    },
  );
  return { ...inputs, tensors: Object.fromEntries(tensors) };
}

/** Gradients and loss of every example as a batch of its own. */
async function examplesAlone(): Promise<{
  readonly gradients: readonly ReadonlyMap<string, Float32Array>[];
  readonly losses: readonly number[];
  readonly padding: number;
}> {
  const checkpoint = await openEncoder(join(folder, '_models', base));
  const { config } = checkpoint;
  const plan: ModelPlan = {
    encoder: config,
    hasPooler: checkpoint.hasPooler,
    method: { id: 'full', options: {} },
    objective: { kind: 'span' },
  };
  const model = buildModel(plan, { dropout: 'off' });
  const values = await startValues(model, checkpoint, 0);
  const head = await readTensors(join(folder, '_models', base, 'model.safetensors'));
  for (const part of ['weight', 'bias']) {
    const data = head.get(`qa_outputs.${part}`)?.data;
    if (!(data instanceof Float32Array)) throw new Error('the base model has a head');
    values.set(`head.qa_outputs.${part}`, data);
  }
  const inputs = await readInputs({ name, path: join(folder, name), root: folder });
  const floats = (result: TensorData | undefined): Float32Array => {
    if (result?.dtype !== 'float32') throw new Error('no numbers');
    return result.data;
  };
  const outputs = { ...gradientsOf(model), loss: model.loss };
  const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, 0), device);
  try {
    const gradients: ReadonlyMap<string, Float32Array>[] = [];
    const losses: number[] = [];
    for (let index = 0; index < (inputs.tensors['input_ids']?.shape[0] ?? 0); index++) {
      const feeds = caseFeeds(exampleOf(inputs, index), config, plan.objective, model);
      const results = await executable.run({ ...feeds, ...trainedFeeds(model, values) });
      gradients.push(new Map(model.trained.map((tensor) => [tensor.name, floats(results[tensor.name])])));
      losses.push(floats(results['loss'])[0] ?? NaN);
    }
    return { gradients, losses, padding: config.padTokenId };
  } finally {
    await executable.dispose();
  }
}

function squares(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number * number;
  return sum;
}

describe('the rows of padding in a full fine-tuning on questions', () => {
  it('are left out of every example as torch does, and of the norms that clip them', async () => {
    const meta = JSON.parse(await readFile(join(folder, name, 'meta.json'), 'utf8')) as {
      readonly trainable: Readonly<Record<string, readonly number[]>>;
    };
    const { gradients, losses, padding } = await examplesAlone();
    let left = 0;
    for (const [tensor, gradient] of gradients.flatMap((each) => [...each])) {
      if (!tables.test(tensor)) continue;
      const width = meta.trainable[tensor]?.[1] ?? 0;
      const row = gradient.subarray(padding * width, (padding + 1) * width);
      left += squares(row);
      row.fill(0);
    }
    // Otherwise the case would say nothing.
    expect(Math.sqrt(left)).toBeGreaterThan(1e-3);

    const count = gradients.length;
    const norms = gradients.map((each) => Math.sqrt([...each.values()].reduce((sum, data) => sum + squares(data), 0)));
    const maxNorm = [...norms].sort((a, b) => a - b)[1] ?? 0;
    const expected = new Map<string, WritableTensor>(await readTensors(join(folder, name, 'expected.safetensors')));
    const clipped = new Map<string, WritableTensor>([['norms', { shape: [count], data: Float32Array.from(norms) }]]);
    expected.set('per_example_loss', { shape: [count], data: Float32Array.from(losses) });
    for (const [tensor, shape] of Object.entries(meta.trainable)) {
      const each = gradients.map((gradient) => gradient.get(tensor) ?? new Float32Array());
      const sum = new Float32Array(each[0]?.length ?? 0);
      for (const [index, gradient] of each.entries()) {
        const factor = Math.min(1, maxNorm / (norms[index] ?? 1));
        for (const [at, number] of gradient.entries()) sum[at] = (sum[at] ?? 0) + factor * number;
      }
      expected.set(`per_example_grad/${tensor}`, {
        shape: [count, ...shape],
        data: Float32Array.from(each.flatMap((gradient) => [...gradient])),
      });
      clipped.set(`run/clipped_sum/${tensor}`, { shape, data: sum });
      clipped.set(`run/noiseless_mean/${tensor}`, { shape, data: sum.map((number) => number / 6) });
    }
    await writeSafetensors(join(folder, name, 'expected.safetensors'), expected);
    await writeSafetensors(join(folder, '_dp', `${name}.safetensors`), clipped);
    const clip = { run: { C: maxNorm, expected_batch_size: 6 } };
    await writeFile(join(folder, '_dp', `${name}.json`), JSON.stringify({ clip }));
    await writeFile(join(folder, name, 'meta.json'), JSON.stringify({ ...meta, per_example: true }));

    const { cases } = await verifyGoldenFolder(folder, { backend: onnxBackend, device });
    const [report] = cases;
    expect(report).toMatchObject({ status: 'passed' });
    const groups = report?.status === 'passed' ? report.groups.map(({ group }) => group) : [];
    expect(groups).toEqual(
      expect.arrayContaining(['per_example_grad', 'clipping/run/norms', 'clipping/run/clipped_sum']),
    );
  });
});

import { cp, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileError, UserError } from '../../src/base/errors.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { readTensors, writeSafetensors } from '../../src/engine/safetensors.ts';
import { verifyGoldenFolder, type CaseReport, type VerifyReport } from '../../src/engine/verify/verify.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'golden');
const clean = 'head_only_roberta';

let folder: string;

/** Puts a case into the folder, under another name than its own. */
async function place(name: string, as: string): Promise<string> {
  const target = join(folder, as);
  await cp(join(fixtures, name), target, { recursive: true });
  return target;
}

function verify(options: { readonly only?: string } = {}): Promise<VerifyReport> {
  return verifyGoldenFolder(folder, { backend: onnxBackend, device: { provider: 'cpu', threads: 1 }, ...options });
}

async function reportOf(name: string): Promise<CaseReport> {
  const { cases } = await verify();
  const found = cases.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no report of ${name}`);
  return found;
}

async function editJson(file: string, edit: (json: Record<string, unknown>) => Record<string, unknown>): Promise<void> {
  const json = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify(edit(json)));
}

/** Changes one tensor of a file, or drops it. */
async function editTensor(file: string, name: string, edit: ((data: Float32Array) => void) | 'drop'): Promise<void> {
  const tensors = await readTensors(file);
  const tensor = tensors.get(name);
  if (!(tensor?.data instanceof Float32Array)) throw new Error(`${file} has no ${name}`);
  if (edit === 'drop') tensors.delete(name);
  else edit(tensor.data);
  await writeSafetensors(file, tensors);
}

/** The files of layers hold float64. */
async function writeAsFloats(file: string): Promise<void> {
  const tensors = await readTensors(file);
  for (const [name, { shape, data }] of tensors)
    tensors.set(name, { shape, dtype: 'F32', data: Float32Array.from(data, Number) });
  await writeSafetensors(file, tensors);
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peft-golden-'));
  await mkdir(join(folder, '_models'));
  for (const base of ['roberta_seqcls_k2', 'bert_seqcls_k3']) {
    await cp(join(fixtures, '_models', base), join(folder, '_models', base), { recursive: true });
  }
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('a golden folder never seen before', () => {
  it('is read from its own files: names of cases say nothing', async () => {
    await place('slash_roberta_mask', 'a');
    await place('lora_roberta', 'b.c');
    await mkdir(join(folder, 'deeper'));
    await place('bitfit_roberta', 'deeper/full');
    await mkdir(join(folder, 'empty'));
    const { cases, counts } = await verify();
    expect(cases.map(({ name, status }) => [name, status])).toEqual([
      ['a', 'passed'],
      ['b.c', 'passed'],
      ['deeper/full', 'passed'],
    ]);
    expect(counts).toEqual({ passed: 3, failed: 0, unsupported: 0, error: 0 });
  });

  it('may be narrowed to a pattern', async () => {
    await place(clean, 'one');
    await place(clean, 'two');
    expect((await verify({ only: 't*' })).cases.map(({ name }) => name)).toEqual(['two']);
    await expect(verify({ only: 'three' })).rejects.toThrow(UserError);
  });

  it('may be one case', async () => {
    const target = await place(clean, 'one');
    const report = await verifyGoldenFolder(target, {
      backend: onnxBackend,
      device: { provider: 'cpu', threads: 1 },
    });
    expect(report.counts).toEqual({ passed: 1, failed: 0, unsupported: 0, error: 0 });
  });

  it('must hold cases', async () => {
    await expect(verify()).rejects.toThrow(UserError);
    await rm(folder, { recursive: true });
    await expect(verify()).rejects.toThrow(FileError);
    await mkdir(folder);
  });
});

describe('a case that disagrees fails', () => {
  async function failure(name: string): Promise<Extract<CaseReport, { readonly groups: unknown }>> {
    const report = await reportOf(name);
    if (report.status !== 'failed') throw new Error(JSON.stringify(report));
    return report;
  }

  it.each([
    ['logits', 'logits', ['logits', 'training/logits']],
    ['layer_output/1', 'layer_output/1', ['layer_output']],
    ['grad/method.z', 'method.z', ['grad', 'training/grad']],
    ['per_example_loss', 'per_example_loss', ['per_example_loss']],
    ['per_example_grad/head.classifier.bias', 'head.classifier.bias', ['per_example_grad']],
    ['adamw_wd0/method.z', 'method.z', ['adamw_wd0']],
    ['adamw_wd0.01/method.z', 'method.z', ['adamw_wd0.01']],
  ])('when %s differs by a thousandth', async (stored, worst, groups) => {
    const target = await place('slash_roberta_mask', 'case');
    await editTensor(join(target, 'expected.safetensors'), stored, (data) => {
      const greatest = Math.max(...data.map(Math.abs));
      data[0] = (data[0] ?? 0) + greatest / 1000;
    });
    const report = await failure('case');
    const failed = report.groups.filter((group) => !group.passed);
    expect(failed.map(({ group }) => group)).toEqual(groups);
    expect(failed.map((group) => group.worst)).toEqual(groups.map(() => worst));
  });

  it('when it starts from other values', async () => {
    const target = await place('lora_roberta', 'case');
    await editTensor(join(target, 'params.safetensors'), 'method.layer.1.value.lora_B.weight', (data) =>
      data.reverse(),
    );
    const { greatestRelativeError } = await failure('case');
    expect(greatestRelativeError).toBeGreaterThan(0.01);
  });

  it('when a number is none', async () => {
    const target = await place(clean, 'case');
    await editTensor(join(target, 'expected.safetensors'), 'loss', (data) => data.fill(NaN));
    const report = await failure('case');
    expect(report.greatestRelativeError).toBe(Infinity);
  });

  it('when clipping differs', async () => {
    await place('slash_roberta_mask', 'case');
    await mkdir(join(folder, '_dp'));
    for (const ending of ['json', 'safetensors']) {
      await cp(join(fixtures, '_dp', `slash_roberta_mask.${ending}`), join(folder, '_dp', `case.${ending}`));
    }
    await editTensor(join(folder, '_dp', 'case.safetensors'), 'all_clipped/clipped_sum/method.z', (data) =>
      data.reverse(),
    );
    const { groups } = await failure('case');
    expect(groups.filter((group) => !group.passed).map(({ group }) => group)).toEqual([
      'clipping/all_clipped/clipped_sum',
    ]);
  });

  it('when our method trains other tensors or counts others', async () => {
    const target = await place('bitfit_roberta', 'case');
    await editJson(join(target, 'meta.json'), (meta) => {
      const trainable = { ...(meta['trainable'] as object), 'head.classifier.third.weight': [32, 32] };
      return { ...meta, trainable: Object.fromEntries(Object.entries(trainable).slice(1)) };
    });
    const { problems, groups } = await failure('case');
    expect(groups).toEqual([]);
    expect(problems).toEqual([
      'only the case trains head.classifier.third.weight',
      'only our method trains base.roberta.embeddings.LayerNorm.bias',
    ]);
  });

  it('when it counts other numbers', async () => {
    const target = await place(clean, 'case');
    await editJson(join(target, 'meta.json'), (meta) => ({
      ...meta,
      trainable_parameters: { method: 0, head: 1000, total: 1000 },
    }));
    const { problems } = await failure('case');
    expect(problems).toHaveLength(2);
  });
});

describe('a broken case is an error of its own, with the file', () => {
  async function expectError(damage: (target: string) => Promise<string>, name = clean): Promise<void> {
    const target = await place(name, 'broken');
    await place(clean, 'sound');
    const file = await damage(target);
    const { cases, counts } = await verify();
    expect(counts).toEqual({ passed: 1, failed: 0, unsupported: 0, error: 1 });
    expect(cases[0]).toMatchObject({ name: 'broken', status: 'error', file });
  }

  it.each(['meta.json', 'inputs.json', 'params.safetensors', 'expected.safetensors'])('%s is missing', async (name) => {
    await expectError(async (target) => {
      await rm(join(target, name));
      return join(target, name);
    });
  });

  it.each(['meta.json', 'inputs.json', 'params.safetensors', 'expected.safetensors'])('%s is cut off', async (name) => {
    await expectError(async (target) => {
      await truncate(join(target, name), 100);
      return join(target, name);
    });
  });

  it.each([
    ['an id outside the vocabulary', 'input_ids', 5000],
    ['a label outside the range', 'labels', 2],
    ['an attention mask of other numbers', 'attention_mask', -1],
    ['a fraction for an id', 'input_ids', 0.5],
  ])('inputs.json has %s', async (_, tensor, number) => {
    await expectError(async (target) => {
      const file = join(target, 'inputs.json');
      await editJson(file, (inputs) => {
        const { data } = (inputs['tensors'] as Record<string, { data: number[] }>)[tensor] ?? { data: [] };
        data[0] = number;
        return inputs;
      });
      return file;
    });
  });

  it('a row has no mask token though the head reads it', async () => {
    await expectError(async (target) => {
      const file = join(target, 'inputs.json');
      await editJson(file, (inputs) => ({ ...inputs, special_token_ids: { mask: 98 } }));
      return file;
    }, 'slash_roberta_mask');
  });

  it.each(['loss', 'layer_output/0', 'grad/head.classifier.dense.bias', 'adamw_wd0/head.classifier.out_proj.weight'])(
    'expected.safetensors lacks %s',
    async (name) => {
      await expectError(async (target) => {
        const file = join(target, 'expected.safetensors');
        await editTensor(file, name, 'drop');
        return file;
      });
    },
  );

  it('params.safetensors lacks a frozen matrix', async () => {
    await expectError(async (target) => {
      const file = join(target, 'params.safetensors');
      await editTensor(file, 'frozen.W.1', 'drop');
      return file;
    }, 'slash_roberta_mask');
  });

  it('the base model is missing', async () => {
    await expectError(async (target) => {
      await editJson(join(target, 'meta.json'), (meta) => ({ ...meta, base_model: 'absent' }));
      return join(folder, '_models', 'absent', 'config.json');
    });
  });

  it("the base model's weights are cut off", async () => {
    const weights = join(folder, '_models', 'bert_seqcls_k3', 'model.safetensors');
    await truncate(weights, 50_000);
    await expectError(() => Promise.resolve(weights), 'head_only_bert');
  });

  it('half of the clipping files is missing', async () => {
    await mkdir(join(folder, '_dp'));
    await expectError(async () => {
      await cp(join(fixtures, '_dp', 'head_only_bert.json'), join(folder, '_dp', 'broken.json'));
      return join(folder, '_dp', 'broken.safetensors');
    }, 'head_only_bert');
  });
});

describe('a layer on its own', () => {
  const layer = 'compacter_modules/compacter_adapter';

  it.each(['y', 'loss', 'grad/x', 'grad/adapters.t.up_sampler.W_right'])(
    'fails when %s differs by a thousandth',
    async (stored) => {
      const target = await place(layer, 'layer');
      await writeAsFloats(join(target, 'expected.safetensors'));
      await editTensor(join(target, 'expected.safetensors'), stored, (data) => {
        data[0] = (data[0] ?? 0) + Math.max(...data.map(Math.abs)) / 1000;
      });
      const report = await reportOf('layer');
      if (report.status !== 'failed') throw new Error(JSON.stringify(report));
      expect(report.groups.filter((group) => !group.passed).map(({ group }) => group)).toEqual([
        stored.startsWith('grad') ? 'grad' : stored,
      ]);
    },
  );

  it('fails when it has other tensors than ours', async () => {
    const target = await place(layer, 'layer');
    await editJson(join(target, 'meta.json'), (meta) => {
      const { 'adapters.t.up_sampler.b': _bias, ...parameters } = meta['parameters'] as Record<string, number[]>;
      return { ...meta, parameters };
    });
    const report = await reportOf('layer');
    expect(report).toMatchObject({ status: 'failed', groups: [] });
  });

  it('is unsupported when it is none of ours', async () => {
    const target = await place(layer, 'layer');
    await editJson(join(target, 'meta.json'), (meta) => ({ ...meta, parameters: { other: [1] } }));
    const report = await reportOf('layer');
    expect(report.status).toBe('unsupported');
  });

  it('is an error of its own, with the file, when one is cut off', async () => {
    const target = await place(layer, 'layer');
    const file = join(target, 'inputs.safetensors');
    await truncate(file, 100);
    expect(await reportOf('layer')).toMatchObject({ status: 'error', file });
  });
});

describe('what is not supported yet is counted apart', () => {
  it('by base model, method and head', async () => {
    const base = await place(clean, 'base');
    await rename(join(folder, '_models', 'bert_seqcls_k3'), join(folder, '_models', 'other'));
    await editJson(join(folder, '_models', 'other', 'config.json'), (config) => ({ ...config, model_type: 't5' }));
    await editJson(join(base, 'meta.json'), (meta) => ({ ...meta, base_model: 'other' }));
    const method = await place(clean, 'method');
    await editJson(join(method, 'meta.json'), (meta) => ({ ...meta, method: 'PASTA' }));
    const head = await place('full_roberta_seqcls', 'head');
    await editJson(join(head, 'meta.json'), (meta) => ({
      ...meta,
      trainable: Object.fromEntries(
        Object.entries(meta['trainable'] as object).filter(([name]) => !name.startsWith('head.')),
      ),
    }));
    const { cases, counts } = await verify();
    expect(counts).toEqual({ passed: 0, failed: 0, unsupported: 3, error: 0 });
    expect(cases.map((each) => ('reason' in each ? `${each.name}: ${each.reason.split(':')[0] ?? ''}` : ''))).toEqual([
      'base: base',
      'head: head',
      'method: method',
    ]);
  });
});

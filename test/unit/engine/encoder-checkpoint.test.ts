import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileError } from '../../../src/base/errors.ts';
import { frozenWeights, openEncoder, startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { parseEncoderConfig, usablePositions } from '../../../src/engine/encoders/config.ts';
import { buildModel, type ModelGraph } from '../../../src/engine/model-graph.ts';
import { exportEncoder } from '../../../src/engine/export-encoder.ts';
import {
  openCheckpoint,
  readTensors,
  writeSafetensors,
  type Tensor,
  type WritableTensor,
} from '../../../src/engine/safetensors.ts';
import { makeTinyEncoder, tinyConfigJson } from '../../support/tiny-encoder.ts';

let source: string;
let removeSource: () => Promise<void>;
let scratch: string;
let original: ReadonlyMap<string, Tensor>;

beforeAll(async () => {
  const made = await makeTinyEncoder();
  source = made.folder;
  removeSource = made.remove;
  original = await readTensors(join(source, 'model.safetensors'));
  scratch = await mkdtemp(join(tmpdir(), 'encoder-checkpoint-'));
});

afterAll(async () => {
  await removeSource();
  await rm(scratch, { recursive: true, force: true });
});

let made = 0;

/** A copy of the tiny encoder whose tensors `change` maps; undefined leaves one out. */
async function variant(
  change: (name: string, tensor: WritableTensor) => readonly [string, WritableTensor] | undefined,
  config: object = tinyConfigJson,
): Promise<string> {
  const folder = await mkdtemp(join(scratch, `variant-${++made}-`));
  const changed = [...original].flatMap(([name, tensor]) => {
    const kept = change(name, tensor);
    return kept === undefined ? [] : [kept];
  });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeSafetensors(join(folder, 'model.safetensors'), new Map(changed));
  return folder;
}

async function modelOf(folder: string): Promise<ModelGraph> {
  const { config, hasPooler } = await openEncoder(folder);
  const objective = { kind: 'classification', labels: 2 } as const;
  return buildModel({ encoder: config, hasPooler, method: { id: 'full', options: {} }, objective }, { dropout: 'off' });
}

async function valuesOf(folder: string): Promise<ReadonlyMap<string, Float32Array>> {
  return startValues(await modelOf(folder), await openEncoder(folder), 0);
}

describe('checkpoints of encoders', () => {
  it('give the same tensors with the family prefix, without it, and under the old names of norms', async () => {
    const prefixed = await valuesOf(source);
    const bare = await variant((name, tensor) => [name.replace(/^bert\./, ''), tensor]);
    expect(await valuesOf(bare)).toEqual(prefixed);
    const old = await variant((name, tensor) => [
      name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'),
      tensor,
    ]);
    expect(await valuesOf(old)).toEqual(prefixed);
  });

  it('without a pooler get one linear map on the first token', async () => {
    const folder = await variant((name, tensor) => (name.includes('pooler') ? undefined : [name, tensor]));
    expect((await openEncoder(folder)).hasPooler).toBe(false);
    expect((await modelOf(folder)).head).toBe('linear');
    expect((await modelOf(source)).head).toBe('bert');
  });

  it.each([
    [
      'a tensor is missing',
      /has no tensor encoder\.layer\.1\.output\.dense\.weight/,
      (name: string, tensor: WritableTensor) =>
        name.includes('layer.1.output.dense.weight') ? undefined : ([name, tensor] as const),
    ],
    [
      'a tensor has another shape',
      /query\.bias has shape \[15\] where config\.json implies \[16\]/,
      (name: string, tensor: WritableTensor) =>
        name.includes('layer.0.attention.self.query.bias')
          ? ([name, { shape: [15], data: new Float32Array(15) }] as const)
          : ([name, tensor] as const),
    ],
    [
      'a weight is of integers',
      /word_embeddings\.weight is I32; weights must be F32, F16 or BF16/,
      (name: string, tensor: WritableTensor) =>
        name.includes('word_embeddings')
          ? ([name, { shape: tensor.shape, data: new Int32Array(tensor.data.length) }] as const)
          : ([name, tensor] as const),
    ],
  ])('are refused with the file when %s', async (_, message, change) => {
    const folder = await variant(change);
    const failure = valuesOf(folder);
    await expect(failure).rejects.toBeInstanceOf(FileError);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toThrow(folder);
  });

  it('frozen tensors are located, not read; a random projection depends on seed and name alone', async () => {
    const checkpoint = await openEncoder(source);
    const objective = { kind: 'regression' } as const;
    const plan = {
      encoder: checkpoint.config,
      hasPooler: true,
      method: { id: 'slash', options: { dimension: 8 } },
      objective,
    };
    const model = buildModel(plan, { dropout: 'off' });
    const first = frozenWeights(model, checkpoint, 3);
    expect(first.get('embeddings.word_embeddings.weight')).toMatchObject({
      kind: 'file',
      shape: [60, 16],
      dtype: 'F32',
    });
    expect(frozenWeights(model, checkpoint, 3)).toEqual(first);
    expect(frozenWeights(model, checkpoint, 4).get('frozen.W.0')).not.toEqual(first.get('frozen.W.0'));
    expect(first.get('frozen.W.1')).not.toEqual(first.get('frozen.W.0'));
  });
});

describe('config.json', () => {
  it.each([
    [{ ...tinyConfigJson, model_type: 'gpt2' }, /model_type "gpt2" is not supported/],
    [{ ...tinyConfigJson, model_type: 'constructor' }, /model_type "constructor" is not supported/],
    [{ ...tinyConfigJson, hidden_size: -4 }, /hidden_size/],
    [{ ...tinyConfigJson, num_attention_heads: 3 }, /16 is not a multiple of 3/],
    [{ ...tinyConfigJson, hidden_act: 'swishy' }, /hidden_act/],
    [{ ...tinyConfigJson, is_decoder: true }, /is_decoder/],
    [{ model_type: 'bert' }, /vocab_size/],
    [[], /config\.json/],
  ])('%j is refused, naming file and key', (raw, message) => {
    expect(() => parseEncoderConfig(raw, 'config.json')).toThrow(message);
    expect(() => parseEncoderConfig(raw, 'config.json')).toThrow(FileError);
  });

  it('malformed JSON names the file', async () => {
    const folder = await variant((name, tensor) => [name, tensor]);
    await writeFile(join(folder, 'config.json'), (await readFile(join(folder, 'config.json'), 'utf8')).slice(0, -5));
    await expect(openEncoder(folder)).rejects.toThrow(join(folder, 'config.json'));
  });

  it.each([
    [undefined, 'gelu'],
    ['gelu_python', 'gelu'],
    ['gelu_pytorch_tanh', 'gelu_new'],
    ['gelu_fast', 'gelu_new'],
    ['relu', 'relu'],
  ])('the activation %s is computed as %s', (hidden_act, activation) => {
    const given = { ...tinyConfigJson, is_decoder: false, ...(hidden_act === undefined ? {} : { hidden_act }) };
    expect(parseEncoderConfig(given, 'x').activation).toBe(activation);
  });

  it("RoBERTa's positions begin after the padding id", () => {
    const roberta = parseEncoderConfig(
      { ...tinyConfigJson, model_type: 'roberta', max_position_embeddings: 514, pad_token_id: 1 },
      'x',
    );
    expect(usablePositions(roberta)).toBe(512);
    expect(usablePositions(parseEncoderConfig(tinyConfigJson, 'x'))).toBe(40);
  });
});

describe('an exported encoder', () => {
  const words = 'bert.embeddings.word_embeddings.weight';
  const kept = ['cls.seq_relationship.bias', 'bert.something.else'];
  const oldHead = ['classifier.weight', 'classifier.bias'];
  const copies = ['cls.predictions.decoder.weight', 'cls.predictions.decoder.bias'];

  /** The tiny encoder with tensors beside it, exported with other word embeddings. */
  async function exported(config: object = tinyConfigJson, bare = false): Promise<ReadonlySet<string>> {
    const tensors = new Map<string, WritableTensor>(
      [...original].map(([name, tensor]) => [bare ? name.replace(/^bert\./, '') : name, tensor]),
    );
    for (const name of [...kept, ...oldHead, ...copies]) tensors.set(name, { shape: [2], data: Float32Array.of(1, 2) });
    const folder = await mkdtemp(join(scratch, `whole-${++made}-`));
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    await writeSafetensors(join(folder, 'model.safetensors'), tensors);
    const trained = new Float32Array(original.get(words)?.data.length ?? 0).fill(0.5);
    const out = join(folder, 'out');
    const values = new Map([[`base.${words}`, trained]]);
    await exportEncoder(out, await openEncoder(folder), values, { precision: 'float32' });
    expect((await readTensors(join(out, 'model.safetensors'), [words])).get(words)?.data).toEqual(trained);
    return new Set((await openCheckpoint(out)).keys());
  }

  it.each([false, true])(
    "keeps the names of what stands beside the encoder but for another task's head, its own without prefix: %s",
    async (bare) => {
      const names = await exported(tinyConfigJson, bare);
      expect(names).toEqual(new Set([...original.keys(), ...kept]));
    },
  );

  it('in half precision is refused where a number would become infinite', async () => {
    const folder = await variant((name, tensor) => [name, tensor]);
    const huge = new Float32Array(original.get(words)?.data.length ?? 0).with(3, -70_000);
    const out = join(folder, 'out');
    const written = exportEncoder(out, await openEncoder(folder), new Map([[`base.${words}`, huge]]), {
      precision: 'float16',
    });
    await expect(written).rejects.toThrow(`${words} holds numbers that float16 has not`);
    await expect(readFile(join(out, 'config.json'))).rejects.toThrow('ENOENT');
  });

  it('leaves out old copies of the word embeddings, unless they are none', async () => {
    const names = await exported({ ...tinyConfigJson, tie_word_embeddings: false });
    expect(names).toEqual(new Set([...original.keys(), ...kept, ...copies]));
  });
});

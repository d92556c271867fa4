import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FileError } from '../../../src/base/errors.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import type { Catalogue } from '../../../src/runs/catalogue.ts';
import { configurationJsonSchema, settingPaths } from '../../../src/runs/configuration-json-schema.ts';
import { configurationReference } from '../../../src/runs/configuration-reference.ts';
import { configurationSchema, providers } from '../../../src/runs/configuration-schema.ts';
import {
  applyOverrides,
  configurationProblems,
  loadConfiguration,
  parseConfiguration,
  resolveConfiguration,
  startProblems,
} from '../../../src/runs/configuration.ts';
import type { PathProbe } from '../../../src/runs/configuration.ts';
import { planSweep } from '../../../src/runs/sweep.ts';
import { temporaryFolder } from '../../support/runs.ts';

const catalogue = installedCatalogue;
const file = resolve('/project/configs/a.peft.json');
const everything: PathProbe = { isFolder: (path) => path.startsWith(resolve('/project')), exists: () => true };
const nothing: PathProbe = { isFolder: () => false, exists: () => false };

const smallest = '{ "model": "bert-base-uncased", "task": "sst2", "method": "lora" }';

function parse(text: string) {
  return parseConfiguration(text, file, catalogue);
}

function thrown(action: () => unknown): FileError {
  try {
    action();
  } catch (error) {
    if (error instanceof FileError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('reading a configuration', () => {
  it.each([
    ['{ "id": "lora", "gated": true, "maskedGateMean": false }', 'method.maskedGateMean'],
    [
      '{ "id": "union", "parts": [{ "id": "bitfit" }, { "id": "lora", "gated": true, "maskedGateMean": false }] }',
      'method.parts[1].maskedGateMean',
    ],
  ])('refuses in private what lets an example feel the padding beside it: %s', (method, place) => {
    const text = (privacy: string): string =>
      `{ "model": "a/b", "task": "sst2", "method": ${method}, "privacy": ${privacy} }`;
    const { message } = thrown(() => parse(text('{ "epsilon": 1 }')));
    expect(message).toContain(place);
    expect(message).toContain('may not count padding');
    expect(() => parse(text('{ "epsilon": null }'))).not.toThrow();
  });

  it('lets a private run stop early only where its evaluation data are declared public', () => {
    const text = (privacy: string): string =>
      `{ "model": "a/b", "task": "sst2", "method": "lora", "training": { "earlyStopping": {} }, "privacy": ${privacy} }`;
    const refused = thrown(() => parse(text('{ "epsilon": 1 }')));
    expect(refused.message).toContain('privacy.publicEvaluation');
    const declared = parse(text('{ "epsilon": 1, "publicEvaluation": true }'));
    expect(resolveConfiguration(declared, catalogue, nothing)).toMatchObject({ privacy: { publicEvaluation: true } });
  });

  it('refuses to stop by a metric that the task does not have, before a run has trained for an epoch', () => {
    const text = (task: string, metric: string): string =>
      `{ "model": "a/b", "task": "${task}", "method": "lora", "training": { "earlyStopping": { "metric": "${metric}" } } }`;
    const { message } = thrown(() => parse(text('sst2', 'acuracy')));
    expect(message).toContain('training.earlyStopping.metric: expected "score" or "accuracy", found "acuracy"');
    expect(message).toContain('Did you mean "accuracy"?');
    for (const [task, metric] of [
      ['cola', 'mcc'],
      ['mnli', 'accuracyMismatched'],
      ['usage-tagging', 'entityRecall'],
      ['mlm', 'maskedAccuracy'],
      ['stsb', 'score'],
    ] as const)
      expect(() => parse(text(task, metric))).not.toThrow();
    expect(() => parse(text('cola', 'accuracyMismatched'))).toThrow('expected');
  });

  it('trains without privacy where epsilon is null, with the rates that the method has then', () => {
    const text = (epsilon: string): string =>
      `{ "model": "a/b", "task": "sst2", "method": "slash", "privacy": { "epsilon": ${epsilon}, "maxGradNorm": 8 } }`;
    const open = resolveConfiguration(parse(text('null')), catalogue, nothing);
    expect(open).not.toHaveProperty('privacy');
    expect(open.training.learningRate).toBe(1e-2);
    const inPrivate = resolveConfiguration(parse(text('2')), catalogue, nothing);
    expect(inPrivate.privacy).toMatchObject({ epsilon: 2, maxGradNorm: 8 });
    expect(inPrivate.training.learningRate).toBe(2e-2);
    const stopping = text('null').replace('"privacy"', '"training": { "earlyStopping": {} }, "privacy"');
    expect(resolveConfiguration(parse(stopping), catalogue, nothing).training.earlyStopping).toBeDefined();
    expect(thrown(() => parse(text('null, "noiseMultiplier": 1'))).message).toContain('exclude one another');
  });

  it('takes 8-bit products where the CPU computes, and refuses them on a device that has none', () => {
    const text = (device: string): string =>
      `{ "model": "a/b", "task": "sst2", "method": "lora", "training": { "frozenPrecision": "int8" }, "device": "${device}" }`;
    for (const device of ['auto', 'cpu'])
      expect(resolveConfiguration(parse(text(device)), catalogue, nothing).training.frozenPrecision).toBe('int8');
    for (const device of ['webgpu', 'tfjs', 'cuda'])
      expect(thrown(() => parse(text(device))).message).toMatch(
        new RegExp(`training\\.frozenPrecision.*on the CPU alone, not on ${device}`),
      );
  });

  it('takes float16 on every device of the runtime, and refuses it where it voids a guarantee or is not there', () => {
    const text = (rest: string): string =>
      `{ "model": "a/b", "task": "sst2", "method": "lora", "training": { "precision": "float16" }, ${rest} }`;
    for (const device of ['auto', 'cpu', 'webgpu', 'cuda']) {
      const { training } = resolveConfiguration(parse(text(`"device": "${device}"`)), catalogue, nothing);
      expect(training.precision).toBe('float16');
    }
    expect(() => parse(text('"privacy": { "epsilon": null }'))).not.toThrow();
    const refused = {
      '"device": "tfjs"': /training\.precision.*TensorFlow\.js computes in float32 alone/,
      '"privacy": { "epsilon": 8 }': /training\.precision.*a private run computes in float32/,
    };
    for (const [rest, reason] of Object.entries(refused))
      expect(thrown(() => parse(text(rest))).message).toMatch(reason);
    const both = text('"device": "cpu"').replace('"float16"', '"float16", "frozenPrecision": "int8"');
    expect(thrown(() => parse(both)).message).toMatch(/training\.precision.*leave one of them/);
  });

  it('refuses a private run on CoreML, which rounds to 16 bits unasked', () => {
    const text = (device: string, epsilon: number | null): string =>
      `{ "model": "a/b", "task": "sst2", "method": "lora", "device": ${device}, "privacy": { "epsilon": ${epsilon} } }`;
    for (const device of ['"coreml"', '{ "provider": "coreml" }']) {
      expect(thrown(() => parse(text(device, 8))).message).toMatch(/device: CoreML rounds to 16 bits/);
      expect(() => parse(text(device, null))).not.toThrow();
    }
    for (const device of ['"webgpu"', '"cuda"', '"auto"']) expect(() => parse(text(device, 8))).not.toThrow();
  });

  it('trains privately as the method wants it then, where nothing else is said', () => {
    const read = (text: string) => resolveConfiguration(parse(text), catalogue, nothing);
    const slash = '{ "model": "a/b", "task": "sst2", "method": "slash"';
    expect(read(`${slash} }`).training.learningRate).toBe(1e-2);
    const inPrivate = read(`${slash}, "privacy": { "epsilon": 8 } }`);
    expect(inPrivate.training).toMatchObject({ learningRate: 2e-2, weightDecay: 0 });
    expect(inPrivate.privacy?.maxGradNorm).toBe(8);
    const own = read(`${slash}, "training": { "learningRate": 1 }, "privacy": { "epsilon": 8, "maxGradNorm": 2 } }`);
    expect([own.training.learningRate, own.privacy?.maxGradNorm]).toEqual([1, 2]);
    expect(resolveConfiguration(parse(JSON.stringify(inPrivate)), catalogue, nothing)).toEqual(inPrivate);
  });

  it('takes settings of adaptive clipping only with it', () => {
    const text = (clipping: string): string =>
      `{ "model": "a/b", "task": "sst2", "method": "lora", "privacy": { "epsilon": 1, "clipping": "${clipping}", "adaptive": { "quantile": 0.7 } } }`;
    expect(thrown(() => parse(text('automatic'))).message).toContain('only for clipping "adaptive"');
    expect(resolveConfiguration(parse(text('adaptive')), catalogue, nothing)).toMatchObject({
      privacy: { adaptive: { quantile: 0.7, rate: 0.2 } },
    });
  });

  it('fills in every default', () => {
    expect(resolveConfiguration(parse(smallest), catalogue, nothing)).toEqual({
      model: { id: 'bert-base-uncased' },
      task: { id: 'sst2', maxLength: 128, malformedRows: 'error' },
      method: {
        id: 'lora',
        rank: 8,
        alpha: 16,
        targets: ['query', 'value'],
        rankStabilised: false,
        dropout: 0,
        gated: false,
        maskedGateMean: true,
        head: 'native',
      },
      training: {
        epochs: 3,
        batchSize: 32,
        accumulation: 1,
        learningRate: 5e-4,
        schedule: 'linear',
        warmup: 0.06,
        weightDecay: 0.01,
        maxGradNorm: 1,
        adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        recompute: false,
        precision: 'float32',
        frozenPrecision: 'float32',
        seed: 0,
        evaluateEvery: 'epoch',
        checkpointEvery: 'epoch',
      },
      device: { provider: 'auto' },
      launcher: 'local',
    });
  });

  it('trains as the method is usually trained, unless the configuration says otherwise', () => {
    const training = (method: unknown, given: object = {}): object =>
      resolveConfiguration(
        parse(JSON.stringify({ model: 'm', task: 'sst2', method, training: given })),
        catalogue,
        nothing,
      ).training;
    expect(training('compacter')).toMatchObject({ learningRate: 3e-3, weightDecay: 0, warmup: 0.1 });
    expect(training('full')).toMatchObject({ learningRate: 5e-5, weightDecay: 0.01, warmup: 0.06 });
    expect(training('compacter', { learningRate: 1e-3, warmup: 0 })).toMatchObject({
      learningRate: 1e-3,
      weightDecay: 0,
      warmup: 0,
    });
  });

  it('knows the parts of a union as it knows methods', () => {
    const union = (...parts: readonly unknown[]): string =>
      JSON.stringify({ model: 'm', task: 'sst2', method: { id: 'union', parts } });
    const { method } = resolveConfiguration(
      parse(union({ id: 'lora', rank: 4, gated: true }, { id: 'pasta' })),
      catalogue,
      nothing,
    );
    expect(method).toMatchObject({
      parts: [
        { id: 'lora', rank: 4, alpha: 16, gated: true },
        { id: 'pasta', vectors: 'per-slot' },
      ],
      head: 'native',
    });
    const problem = (...parts: readonly unknown[]): string =>
      thrown(() => resolveConfiguration(parse(union(...parts)), catalogue, nothing)).message;
    expect(problem({ id: 'lora' }, { id: 'lorra' })).toContain('method.parts[1].id: expected "bitfit", "lora"');
    expect(problem({ id: 'lora' }, { id: 'lorra' })).toContain('Did you mean "lora"?');
    expect(problem({ id: 'lora', rnk: 3 })).toContain('method.parts[0].rnk: unknown key');
    expect(problem({ id: 'lora', rnk: 3 })).toContain('Did you mean "rank"?');
    expect(problem({ id: 'lora', rank: 0 })).toContain('method.parts[0].rank: expected a number above 0, found 0');
    expect(problem({ id: 'lora', head: 'mask' })).toContain('method.parts[0].head: unknown key');
  });

  it('allows comments, trailing commas and a byte order mark', () => {
    const text = `\uFEFF// a sweep\n{ "model": "m", /* here */ "task": "rte", "method": "full", }`;
    expect(parse(text).settings).toEqual({ model: 'm', task: 'rte', method: 'full' });
  });

  it('takes no tag that could not be asked for by name', () => {
    const tagged = (tag: string): string => smallest.replace('}', `, "tags": [" fine ", ${JSON.stringify(tag)}] }`);
    expect(parse(tagged('a b')).settings).toMatchObject({ tags: [' fine ', 'a b'] });
    expect(resolveConfiguration(parse(tagged('a b')), catalogue, nothing).tags).toEqual(['fine', 'a b']);
    for (const tag of ['a,b', 'a\nb', ' ', 'x'.repeat(101)])
      expect(thrown(() => parse(tagged(tag))).message).toContain('tags[1]: ');
    expect(thrown(() => parse(tagged('a,b'))).message).toContain(
      'tags[1]: expected a text on one line without commas, found "a,b"',
    );
  });

  it('takes the spellings of tasks that the literature uses', () => {
    const text = smallest.replace('sst2', 'SST-2');
    expect(resolveConfiguration(parse(text), catalogue, nothing).task.id).toBe('sst2');
  });

  it('leaves epochs out when steps are given', () => {
    const text = smallest.replace('}', ', "training": { "steps": 10 } }');
    const { training } = resolveConfiguration(parse(text), catalogue, nothing);
    expect('epochs' in training).toBe(false);
    expect(training).toMatchObject({ steps: 10 });
  });

  it('makes paths absolute from the folder of the file', () => {
    const written =
      parse(`{ "model": "../model", "task": { "id": "mnli", "data": { "train": "t.tsv", "dev": "/d.tsv", "devMismatched": "./mm.tsv" } },
      "method": "head" }`);
    const resolved = resolveConfiguration(written, catalogue, everything);
    expect(resolved.model.id).toBe(resolve('/project/model'));
    expect(resolved.task.data).toEqual({
      train: resolve('/project/configs/t.tsv'),
      dev: resolve('/d.tsv'),
      devMismatched: resolve('/project/configs/mm.tsv'),
    });
  });

  it('takes a model for a folder when there is one, else for a hub id', () => {
    const written = parse(smallest.replace('bert-base-uncased', 'someone/model'));
    expect(resolveConfiguration(written, catalogue, everything).model.id).toBe(
      resolve('/project/configs/someone/model'),
    );
    expect(resolveConfiguration(written, catalogue, nothing).model.id).toBe('someone/model');
  });

  it.each(['./model', '../model', '/model', 'a/b/c', 'has space'])(
    'refuses the model %s where there is no folder',
    (model) => {
      const written = parse(smallest.replace('bert-base-uncased', model));
      expect(thrown(() => resolveConfiguration(written, catalogue, nothing)).message).toMatch(
        /model: .*(no folder|neither)/,
      );
    },
  );

  it('names data that is not there', () => {
    const written = parse(`{ "model": "m", "task": { "id": "cola", "data": "cola" }, "method": "full" }`);
    expect(thrown(() => resolveConfiguration(written, catalogue, nothing)).message).toContain(
      'task.data: there is no /project/configs/cola',
    );
  });
});

describe('mistakes', () => {
  it.each([
    [
      'a wrong type',
      '"training": {\n"learningRate": "fast" }',
      2,
      'training.learningRate: expected a number, found "fast"',
    ],
    [
      'an unknown key',
      '"training": {\n"batchsize": 3 }',
      2,
      'training.batchsize: unknown key\n  Did you mean "batchSize"?',
    ],
    ['a key of another section', '\n"epochs": 3', 2, 'epochs: unknown key\n  Did you mean "training.epochs"?'],
    ['no epochs', '"training": { "epochs": 0 }', 1, 'training.epochs: expected a number above 0, found 0'],
    [
      'a negative warm-up',
      '"training": { "warmup": -0.1 }',
      1,
      'training.warmup: expected a number of at least 0, found -0.1',
    ],
    [
      'half a step of warm-up',
      '"training": { "warmup": 2.5 }',
      1,
      'training.warmup: expected a fraction below 1 or a whole number',
    ],
    ['no learning rate', '"training": { "learningRate": 0 }', 1, 'training.learningRate: expected a number above 0'],
    [
      'a seed that is too large',
      '"training": { "seed": 4294967296 }',
      1,
      'training.seed: expected a number of at most 4294967295',
    ],
    ['a fractional seed', '"training": { "seed": 0.5 }', 1, 'training.seed: expected a whole number, found 0.5'],
    [
      'both lengths',
      '"training": { "epochs": 1,\n"steps": 2 }',
      2,
      'training.steps: epochs and steps exclude one another',
    ],
    ['a dropout of one', '"training": { "dropout": 1 }', 1, 'training.dropout: expected a number below 1, found 1'],
    [
      'a wrong word in a choice',
      '"training": { "evaluateEvery": "epochs" }',
      1,
      'expected "epoch" or a number, found "epochs"\n  Did you mean "epoch"?',
    ],
    ['a wrong provider', '"device": "cdua"', 1, 'Did you mean "cuda"?'],
    [
      'a GPU as PyTorch calls one of several',
      '"device": "cuda:1"',
      1,
      'write "device": { "provider": "cuda", "index": 1 }.',
    ],
    ['the same below', '"device": { "provider": "cuda:1" }', 1, 'write { "provider": "cuda", "index": 1 }.'],
    [
      'a number where none can be chosen',
      '"device": "webgpu:1"',
      1,
      'Did you mean "webgpu"? It lets no GPU be chosen.',
    ],
    ['a GPU of no name', '"device": "gpu"', 1, 'Did you mean "auto"?'],
    ["a Mac's GPU by PyTorch's name", '"device": "mps"', 1, 'Did you mean "webgpu"?'],
    ['a GPU where none can be chosen', '"device": { "provider": "webgpu", "index": 1 }', 1, 'not for webgpu'],
    ['a wrong item of a list', '"tags": ["a", \n7]', 2, 'tags[1]: expected a text, found 7'],
    ['a null', '"training": { "seed": null }', 1, 'training.seed: expected a number, found null'],
  ])('%s', (_, addition, line, message) => {
    const error = thrown(() => parse(smallest.replace('}', `, ${addition} }`)));
    expect(error.message).toContain(message);
    expect(error.line).toBe(line);
    expect(error.file).toBe(file);
  });

  it.each([
    ['{ "model": "m", "task": "sst3", "method": "lora" }', 'Did you mean "sst2"?'],
    ['{ "model": "m", "task": "sst2", "method": "loar" }', 'Did you mean "lora"?'],
    ['{ "model": "m", "task": "sst2" }', 'method: missing'],
    ['{ "model": "m", "task": "sst2", "method": { "rank": 8 } }', 'method.id: missing'],
    [
      '{ "model": "m", "task": "sst2", "method": { "id": "lora", "rnk": 8 } }',
      'method.rnk: unknown key\n  Did you mean "rank"?',
    ],
    [
      '{ "model": "m", "task": "sst2", "method": { "id": "full", "rank": 8 } }',
      'method.rank: unknown key\n  Known here: id, layers, embeddings, head.',
    ],
    [
      '{ "model": "m", "task": "sst2", "method": { "id": "union", "parts": [{ "id": "bitfit", "gated": true }] } }',
      'method.parts[0].gated: unknown key\n  Known here: id, classifier.',
    ],
    [
      '{ "model": "m", "task": "sst2", "method": { "id": "union", "parts": [{ "id": "bitfit", "head": "mask" }] } }',
      'method.parts[0].head: unknown key\n  Did you mean "method.head"?',
    ],
    [
      '{ "model": "m", "task": "sst2", "method": { "id": "lora", "rank": 0 } }',
      'method.rank: expected a number above 0, found 0',
    ],
    ['{ "model": "m", "model": "n", "task": "sst2", "method": "lora" }', 'model: this key is written twice'],
    ['{ "model": "m", "task": "sst2", "method": "lora", "__proto__": {} }', '__proto__: unknown key'],
    ['[]', 'expected an object'],
    ['', 'the file is empty'],
    ['// nothing else\n', 'the file is empty'],
    ['{ "model": "m" "task": "sst2" }', 'expected a comma'],
    ['{ "model": "m', 'this text does not end'],
  ])('%s', (text, message) => {
    expect(thrown(() => parse(text)).message).toContain(message);
  });

  it('reports all at once, each with its line, and their places to editors', () => {
    const text = `{\n  "model": 1,\n  "task": "sst2",\n  "method": "lora",\n  "traning": {}\n}`;
    expect(thrown(() => parse(text)).message).toBe(
      `${file}:2: model: expected a text or an object, found 1\n${file}:5: traning: unknown key (Did you mean "training"?)`,
    );
    expect(
      configurationProblems(text, catalogue).map(({ offset, length, line, column }) => ({
        text: text.slice(offset, offset + length),
        line,
        column,
      })),
    ).toEqual([
      { text: '1', line: 2, column: 12 },
      { text: '"traning"', line: 5, column: 3 },
    ]);
  });

  it('tells of what is missing at the key or the brace of what lacks it, and leaves the rest to other problems', () => {
    const places = (text: string): readonly string[] =>
      configurationProblems(text, catalogue).map(({ offset, length }) => text.slice(offset, offset + length));
    expect(places('{\n  "model": "m",\n  "method": "lora"\n}')).toEqual(['{']);
    expect(places('{ "model": "m", "task": "sst2", "method": { "rank": 8 } }')).toEqual(['"method"']);
  });

  it.each(['[', '{"a":'])('a text that nests %s without end is refused, by editors too', (opening) => {
    const text = opening.repeat(20_000);
    expect(thrown(() => parse(text)).message).toContain('more than 100 brackets within one another');
    expect(configurationProblems(text, catalogue)).toMatchObject([{ line: 1, column: opening.length * 100 + 1 }]);
  });

  it('tells the first of very many problems, and how many more there are', () => {
    const keys = Array.from({ length: 500 }, (_, index) => `"key${index}": 1`);
    const lines = thrown(() => parse(smallest.replace('}', `, ${keys.join(', ')} }`))).message.split('\n');
    expect(lines).toHaveLength(11);
    expect(lines.at(-1)).toBe('and 490 more');
  });

  it('quotes a key that could pass for a line of ours', () => {
    const error = thrown(() => parse(smallest.replace('}', ', "x\\n20261121 finished\\u001b[0m": 1 }')));
    expect(error.message.split('\n')[0]).toBe(`${file}:1: "x\\n20261121 finished\\u001b[0m": unknown key`);
  });

  it('a file in another encoding than UTF-8 is told as such', () => {
    const path = join(temporaryFolder(), 'a.peft.json');
    writeFileSync(path, `\ufeff${smallest}`, 'utf16le');
    expect(thrown(() => loadConfiguration(path, catalogue)).message).toContain('is not text in UTF-8');
    writeFileSync(path, `\ufeff${smallest}`);
    expect(loadConfiguration(path, catalogue).settings).toEqual(parse(smallest).settings);
  });

  it('refuses unknown options of a method whose own schema lets them pass', () => {
    const loose: Catalogue = {
      ...catalogue,
      methods: { ids: () => ['loose'], options: () => z.object({ size: z.int().default(1) }), title: () => 'Loose' },
    };
    const text = '{ "model": "m", "task": "rte", "method": { "id": "loose", "sise": 2 } }';
    expect(thrown(() => parseConfiguration(text, file, loose)).message).toContain('Did you mean "size"?');
  });
});

describe('overrides', () => {
  const written = parse(
    smallest.replace(
      '}',
      ', "training": { "epochs": 5 }, "matrix": { "training.seed": [0, 1], "method.rank": [1, 2] } }',
    ),
  );

  it('take JSON or a bare text', () => {
    const { settings } = applyOverrides(written, ['training.batchSize=8', 'name=a=b', 'tags=["x"]'], catalogue);
    expect(settings).toMatchObject({ training: { epochs: 5, batchSize: 8 }, name: 'a=b', tags: ['x'] });
  });

  it('write out the short form they reach into', () => {
    const { settings } = applyOverrides(
      written,
      ['method.alpha=1', 'task.maxLength=64', 'device.threads=2'],
      catalogue,
    );
    expect(settings).toMatchObject({
      method: { id: 'lora', alpha: 1 },
      task: { id: 'sst2', maxLength: 64 },
      device: { threads: 2 },
    });
  });

  it('of steps take back epochs', () => {
    expect(applyOverrides(written, ['training.steps=7'], catalogue).settings['training']).toEqual({ steps: 7 });
  });

  it('take the place of matrix axes', () => {
    expect(applyOverrides(written, ['training.seed=9'], catalogue).matrix).toEqual({ 'method.rank': [1, 2] });
    expect(applyOverrides(written, ['method=full', 'training.seed=9'], catalogue).matrix).toBeUndefined();
  });

  it('are set within the values of an axis above them, which may become the same by it', () => {
    const matrix = { method: ['lora', { id: 'lora', rank: 4 }, { id: 'bitfit' }], 'training.seed': [0, 1] };
    const swept = parse(smallest.replace('}', `, "matrix": ${JSON.stringify(matrix)} }`));
    expect(applyOverrides(swept, ['method.head=linear'], catalogue).matrix).toEqual({
      method: [
        { id: 'lora', head: 'linear' },
        { id: 'lora', rank: 4, head: 'linear' },
        { id: 'bitfit', head: 'linear' },
      ],
      'training.seed': [0, 1],
    });
    const cases = [{ method: 'lora' }, { method: { id: 'lora', rank: 4 } }];
    const ofCases = parse(smallest.replace('}', `, "matrix": ${JSON.stringify({ cases })} }`));
    expect(applyOverrides(ofCases, ['method.rank=2'], catalogue).matrix).toEqual({
      cases: [{ method: { id: 'lora', rank: 2 } }],
    });
    // Not every value of the axis has such an option: told when the sweep is planned.
    expect(
      thrown(() => planSweep(applyOverrides(swept, ['method.rank=2'], catalogue), catalogue, nothing)).message,
    ).toContain('bitfit');
  });

  it('have their paths start where they were given, and a name that is no folder there stays one', () => {
    const place = {
      folder: '/elsewhere',
      probe: { ...nothing, isFolder: (path: string) => path === resolve('/elsewhere/own') },
    };
    const settingsOf = (...overrides: readonly string[]) =>
      applyOverrides(written, overrides, catalogue, place).settings;
    expect(settingsOf('model=own')['model']).toBe(resolve('/elsewhere/own'));
    expect(settingsOf('model=./other')['model']).toBe(resolve('/elsewhere/other'));
    expect(settingsOf('model=roberta-base')['model']).toBe('roberta-base');
    expect(settingsOf('model.id=own')['model']).toEqual({ id: resolve('/elsewhere/own') });
    expect(settingsOf('task.data=glue')['task']).toEqual({ id: 'sst2', data: resolve('/elsewhere/glue') });
    expect(settingsOf('task={"id":"rte","data":{"train":"a.tsv","dev":"/b.tsv"}}')['task']).toEqual({
      id: 'rte',
      data: { train: resolve('/elsewhere/a.tsv'), dev: resolve('/b.tsv') },
    });
  });

  it('take the place of what the matrix’s cases set, and of cases that are then alike', () => {
    const cases = [
      { method: 'full', 'training.learningRate': 1e-4 },
      { 'method.rank': 2, 'training.steps': 3 },
      { 'method.rank': 2, 'training.steps': 5 },
    ];
    const swept = parse(smallest.replace('}', `, "matrix": ${JSON.stringify({ cases, sample: 2 })} }`));
    const matrixOf = (...overrides: readonly string[]) => applyOverrides(swept, overrides, catalogue).matrix;
    expect(matrixOf('training.epochs=1')).toEqual({ cases: [cases[0], { 'method.rank': 2 }], sample: 2 });
    expect(matrixOf('method=lora', 'training.learningRate=1e-3')).toEqual({
      cases: [{}, { 'training.steps': 3 }, { 'training.steps': 5 }],
      sample: 2,
    });
    expect(matrixOf('method=lora', 'training.learningRate=1e-3', 'training.steps=1')).toBeUndefined();
  });

  it.each([
    ['training.epohcs=1', 'training.epohcs: there is no such setting\n  Did you mean "training.epochs"?'],
    ['epochs=1', 'Did you mean "training.epochs"?'],
    ['matrix=1', 'matrix: there is no such setting'],
    ['training.epochs', 'is not of the form key=value'],
    ['=1', 'is not of the form key=value'],
    ['training.epochs=-1', 'training.epochs: expected a number above 0, found -1'],
    ['__proto__.polluted=1', 'there is no such setting'],
  ])('%s is refused', (override, message) => {
    expect(thrown(() => applyOverrides(written, [override], catalogue)).message).toContain(message);
  });
});

const anySettings = fc.record(
  {
    name: fc.stringMatching(/^[a-z]{1,9}$/),
    model: fc.oneof(fc.constant('someone/model'), fc.record({ id: fc.constant('m'), revision: fc.constant('main') })),
    task: fc.oneof(
      fc.constantFrom('sst2', 'MNLI', 'STS-B'),
      fc.record({ id: fc.constant('cola'), data: fc.constant('folder'), maxLength: fc.integer({ min: 4, max: 512 }) }),
    ),
    method: fc.oneof(
      fc.constantFrom(...catalogue.methods.ids().filter((id) => catalogue.methods.options(id).safeParse({}).success)),
      fc.record({
        id: fc.constant('lora'),
        rank: fc.integer({ min: 1, max: 64 }),
        alpha: fc.double({ min: 0.1, max: 99, noNaN: true }),
      }),
    ),
    training: fc.record(
      {
        epochs: fc.double({ min: 0.1, max: 99, noNaN: true }),
        batchSize: fc.integer({ min: 1, max: 999 }),
        learningRate: fc.double({ min: 1e-9, max: 1, noNaN: true }),
        warmup: fc.oneof(fc.double({ min: 0, max: 0.99, noNaN: true }), fc.integer({ min: 1, max: 100 })),
        maxGradNorm: fc.option(fc.double({ min: 0.1, max: 9, noNaN: true })),
        seed: fc.integer({ min: 0, max: 0xffffffff }),
        evaluateEvery: fc.oneof(fc.constant('epoch'), fc.integer({ min: 1, max: 99 })),
        earlyStopping: fc.record({ patience: fc.integer({ min: 1, max: 9 }) }),
      },
      { requiredKeys: [] },
    ),
    device: fc.oneof(fc.constantFrom(...providers), fc.record({ threads: fc.integer({ min: 1, max: 64 }) })),
  },
  { requiredKeys: ['model', 'task', 'method'] },
);

describe('laws', () => {
  it('resolving a resolved configuration changes nothing, through JSON and wherever its file lies', () => {
    fc.assert(
      fc.property(anySettings, (settings) => {
        const once = resolveConfiguration(parse(JSON.stringify(settings)), catalogue, everything);
        const text = JSON.stringify(once);
        const again = parseConfiguration(text, '/elsewhere/config.json', catalogue);
        expect(resolveConfiguration(again, catalogue, everything)).toEqual(JSON.parse(text));
      }),
      { numRuns: 200 },
    );
  });

  it('what a person wrote survives into the resolved form', () => {
    fc.assert(
      fc.property(anySettings, (settings) => {
        const resolved = resolveConfiguration(parse(JSON.stringify(settings)), catalogue, everything);
        expect(resolved.training).toMatchObject(settings.training ?? {});
      }),
      { numRuns: 100 },
    );
  });

  it('any JSON is read or refused with a FileError, never anything else', () => {
    const keys = fc.constantFrom('model', 'task', 'method', 'training', 'matrix', 'device', 'id', 'rank', 'x');
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom('sst2', 'lora', 'm', ''),
        fc.jsonValue({ maxDepth: 1 }),
        fc.dictionary(keys, tie('any')),
      ),
    })).any;
    fc.assert(
      fc.property(fc.dictionary(keys, value), (settings) => {
        try {
          parse(JSON.stringify(settings));
        } catch (error) {
          expect(error).toBeInstanceOf(FileError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('any prefix of a file is refused with a line within it', () => {
    const text = `{\n "model": "m", // x\n "task": { "id": "sst2" },\n "method": "lora"\n}`;
    for (let length = 0; length < text.length; length++) {
      const error = thrown(() => parse(text.slice(0, length)));
      expect(error.line).toBeGreaterThanOrEqual(1);
      expect(error.line).toBeLessThanOrEqual(text.slice(0, length).split('\n').length);
    }
  });
});

describe('what is made from the schema', () => {
  it('the JSON schema describes every setting and knows the options of each method', () => {
    const schema = configurationJsonSchema(catalogue);
    const paths = settingPaths(schema);
    expect(paths).toEqual(
      expect.arrayContaining(['model.id', 'task.data.train', 'training.adam.beta1', 'method.rank', 'method.dimension']),
    );
    const undescribed: string[] = [];
    const visit = (node: typeof schema, path: string): void => {
      for (const form of node.anyOf ?? []) visit(form, path);
      for (const [key, child] of Object.entries(node.properties ?? {})) {
        if (child.description === undefined) undescribed.push(`${path}.${key}`);
        visit(child, `${path}.${key}`);
      }
    };
    visit(schema, '');
    expect(undescribed).toEqual([]);
  });

  it('every path that can be set is one that the schema reads', () => {
    const { shape } = configurationSchema(catalogue).in;
    const heads = new Set(settingPaths(configurationJsonSchema(catalogue)).map((path) => path.split('.')[0]));
    expect([...heads].sort()).toEqual(Object.keys(shape).sort());
  });

  it('the committed reference page is current', async () => {
    await expect(configurationReference(catalogue)).toMatchFileSnapshot('../../../docs/reference/configuration.md');
  });
});

describe('what keeps a configuration from being trained here', () => {
  const there = new Set([resolve('/project/model'), resolve('/project/data')]);
  const probe = { isFolder: (path: string) => there.has(path), exists: (path: string) => there.has(path) };
  const problems = (text: string) =>
    startProblems(text, '/project/a.peft.json', installedCatalogue, probe).map(
      ({ line, path, message }) => [line, path.join('.'), message] as const,
    );

  it('is told with its place: nothing, no data, a folder that is not there', () => {
    expect(problems('{ "model": "./model",\n "task": { "id": "sst2", "data": "data" }, "method": "lora" }')).toEqual(
      [],
    );
    expect(problems('{ "model": "./modle",\n "task": "sst2",\n "method": "lora" }')).toEqual([
      [1, 'model', expect.stringContaining('modle')],
      [2, 'task', 'names no data: where the files of sst2 are'],
    ]);
    expect(problems('{ "model": "./model", "method": "lora",\n "task": { "id": "sst2",\n "data": "dta" } }')).toEqual([
      [3, 'task.data', expect.stringContaining('dta')],
    ]);
  });

  it('is looked for in the first combination of a sweep, and only where the text is right', () => {
    const sweep =
      '{ "model": "./model", "task": { "id": "sst2" }, "method": "lora",\n "matrix": { "task.data": ["gone", "data"] } }';
    expect(problems(sweep)).toEqual([[2, 'task.data', expect.stringContaining('gone')]]);
    expect(problems('{ "model": 7 }')).toEqual([]);
    expect(problems('{')).toEqual([]);
  });
});

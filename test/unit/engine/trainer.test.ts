import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { randomStream } from '../../../src/base/random.ts';
import { OutOfMemoryError, type Backend } from '../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../../src/engine/backends/tfjs/tfjs-backend.ts';
import { readCheckpoint, writeCheckpoint } from '../../../src/engine/checkpoint-file.ts';
import { encodeDataset, type Dataset } from '../../../src/engine/data/dataset.ts';
import { topologicalOrder } from '../../../src/engine/graph/value.ts';
import { LOSS_SCALE } from '../../../src/engine/model-graph.ts';
import type { TrainerState } from '../../../src/engine/trainer-state.ts';
import { train, type TrainingHost, type TrainingResult } from '../../../src/engine/trainer.ts';
import type { TrainingSettings, TrainingSetup } from '../../../src/engine/training-setup.ts';
import { DivergedError } from '../../../src/engine/training-step.ts';
import type { TrainingEvent } from '../../../src/engine/training-events.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { encodeIds, MASK } from '../../support/id-texts.ts';
import { noiselessMechanism } from '../../support/step-setup.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const task = findTask('sst2');

const checkpoint = await openTinyEncoder();
const shallow = await openTinyEncoder({ num_hidden_layers: 1 });
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'trainer-'));
});

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

/** Sequences of two kinds of tokens; the label says which kind prevails. */
function makeData(count: number, seed: number): Dataset {
  const random = randomStream(seed, 'test data');
  const examples = Array.from({ length: count }, () => {
    const label = random.below(2);
    const tokens = Array.from(
      { length: 3 + random.below(12) },
      () => 10 + random.below(20) + (random.uniform() < 0.85 ? label : 1 - label) * 25,
    );
    return { text: tokens.join(' '), label };
  });
  return encodeDataset(examples, 'classification', encodeIds, 40);
}

const data = makeData(101, 1);
const dev = makeData(40, 2);

const settings: TrainingSettings = {
  length: { kind: 'epochs', epochs: 3 },
  batchSize: 8,
  accumulation: 2,
  learningRate: 5e-3,
  schedule: 'linear',
  warmup: 0.1,
  weightDecay: 0.01,
  maxGradNorm: 1,
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  dropout: undefined,
  seed: 0,
  evaluateEvery: 'epoch',
  checkpointEvery: 'epoch',
  earlyStopping: undefined,
};

const small: Readonly<{ [method in string]?: Readonly<{ [option in string]: unknown }> }> = {
  lora: { rank: 2 },
  slash: { dimension: 24 },
  'jr-warp': { dimension: 24 },
  warp: { prompts: 3 },
  'prompt-tuning': { length: 3, enter: 'before-embedding', init: 'vocabulary' },
  'prefix-tuning': { length: 3, reparametrise: true, bottleneck: 6, dropout: 0.2 },
};

function makeSetup(method: string, changed: Partial<TrainingSettings> = {}): TrainingSetup {
  return {
    checkpoint,
    method: { id: method, options: small[method] ?? {} },
    task,
    train: data,
    evaluations: [{ split: 'dev', dataset: dev }],
    settings: { ...settings, ...changed },
    backend: onnxBackend,
    device: { provider: 'cpu', threads: 2, reason: 'test' },
    maskToken: ['slash', 'jr-warp', 'warp'].includes(method) ? MASK : undefined,
  };
}

interface Record {
  readonly events: readonly TrainingEvent[];
  readonly result: TrainingResult;
  readonly state: TrainerState | undefined;
}

/** Events without what depends on the clock. */
function timeless(events: readonly TrainingEvent[]): readonly unknown[] {
  return events.flatMap((event): readonly unknown[] => {
    if (event.type === 'step')
      return [{ step: event.step, loss: event.loss, norm: event.gradientNorm, rate: event.learningRate }];
    return event.type === 'evaluation'
      ? [{ step: event.step, loss: event.loss, metrics: event.metrics, best: event.best }]
      : [];
  });
}

async function runTraining(
  setup: TrainingSetup,
  options: {
    readonly stopAfter?: number;
    readonly from?: TrainerState;
    readonly onSave?: (kind: 'last' | 'best', state: TrainerState) => void;
  } = {},
): Promise<Record> {
  const events: TrainingEvent[] = [];
  let saved: TrainerState | undefined;
  const file = join(scratch, `${setup.method.id}-${Math.random()}.safetensors`);
  const host: TrainingHost = {
    emit: (event) => events.push(event),
    wish: () => (events.filter((event) => event.type === 'step').length === options.stopAfter ? 'stop' : 'continue'),
    save: async (kind, state) => {
      options.onSave?.(kind, state);
      if (kind === 'last') {
        await writeCheckpoint(file, state, new Map(), { segment: 0, offset: events.length });
        saved = await readCheckpoint(file);
      }
      return kind;
    },
    now: () => performance.now(),
  };
  const result = await train(setup, host, options.from);
  return { events, result, state: saved };
}

describe('a device that was chosen automatically', () => {
  const cpu = { backend: onnxBackend, device: { provider: 'cpu', threads: 2, reason: 'automatic' } };
  const gpu = { provider: 'webgpu', threads: 2, reason: 'automatic: best' };
  const run = (name: 'compile' | 'run' | 'later', error: Error): Backend => ({
    ...onnxBackend,
    compile: async (outputs, weights, options) => {
      if (name === 'compile') throw error;
      const executable = await onnxBackend.compile(outputs, weights, options);
      let runs = 0;
      return {
        ...executable,
        run: (feeds) => (name === 'later' && ++runs < 5 ? executable.run(feeds) : Promise.reject(error)),
      };
    },
  });
  const withDevice = (backend: Backend): TrainingSetup => ({
    ...makeSetup('lora', { accumulation: 1, maxGradNorm: 1 }),
    backend: { ...backend, compile: (outputs, weights) => backend.compile(outputs, weights, cpu.device) },
    device: gpu,
    fallback: cpu,
  });

  it.each([
    ['cannot be compiled for', run('compile', new Error('buffer of 3 GiB'))],
    ['fails in its first step', run('run', new Error('buffer of 3 GiB'))],
    ['has no room for one example', run('run', new OutOfMemoryError('buffer of 3 GiB'))],
  ])("is replaced by the CPU where the model %s, with the CPU's own numbers and a warning", async (_, backend) => {
    const { events, result } = await runTraining(withDevice(backend));
    const alone = await runTraining(makeSetup('lora', { accumulation: 1, maxGradNorm: 1 }));
    expect(timeless(events)).toEqual(timeless(alone.events));
    expect(result.reason).toBe('completed');
    const warnings = events.flatMap((event) => (event.type === 'log' ? [event.message] : []));
    expect(warnings.at(-1)).toMatch(/^webgpu does not take this model: .*; cpu trains$/s);
    const started = events.findLast((event) => event.type === 'started');
    expect(started?.device.provider).toBe('cpu');
    expect(started?.device.reason).toContain('webgpu does not take this model');
  });

  it('is not quoted on a step of a private training, whose batch its words may describe', async () => {
    const told = async (backend: Backend): Promise<string> => {
      const { events } = await runTraining({ ...withDevice(backend), privacy: noiselessMechanism });
      const started = events.findLast((event) => event.type === 'started');
      expect(started?.device.provider).toBe('cpu');
      return JSON.stringify(events);
    };
    const error = new Error('buffer of 12 x 31 tokens');
    expect(await told(run('run', error))).not.toContain('12 x 31');
    expect(await told(run('run', error))).toContain('webgpu does not take this model in its first step; cpu trains');
    // It was compiled before anything was drawn.
    expect(await told(run('compile', error))).toContain('12 x 31');
  });

  it('warns of half precision where the CPU takes over', async () => {
    const setup = withDevice(run('run', new Error('buffer of 3 GiB')));
    const { events } = await runTraining({ ...setup, settings: { ...setup.settings, precision: 'float16' } });
    const warnings = events.flatMap((event) => (event.type === 'log' ? [event.message] : []));
    expect(warnings.join()).toContain('which the CPU does not compute in');
  });

  it('is not replaced in the middle, nor for what the user has to mend', async () => {
    const later = withDevice(run('later', new Error('lost')));
    await expect(runTraining(later)).rejects.toThrow('lost');
    const asked = withDevice(run('compile', new UserError('not so')));
    await expect(runTraining(asked)).rejects.toThrow('not so');
    const { fallback: _, ...named } = withDevice(run('compile', new Error('buffer of 3 GiB')));
    await expect(runTraining(named)).rejects.toThrow('buffer of 3 GiB');
  });
});

describe('training', () => {
  it.each(['full', 'head', 'bitfit', 'lora', 'slash', 'jr-warp', 'warp', 'pasta', 'prompt-tuning', 'prefix-tuning'])(
    '%s: the same seed gives the same numbers, bit for bit; another seed does not',
    async (method) => {
      const first = await runTraining(makeSetup(method));
      const second = await runTraining(makeSetup(method));
      expect(timeless(second.events)).toEqual(timeless(first.events));
      expect(second.state?.values).toEqual(first.state?.values);
      const other = await runTraining(makeSetup(method, { seed: 1 }));
      expect(timeless(other.events)).not.toEqual(timeless(first.events));
    },
  );

  it.each([
    ['full', 1],
    ['head', 5],
    ['bitfit', 7],
    ['lora', 9],
    ['slash', 16],
    ['jr-warp', 3],
    ['warp', 11],
    ['pasta', 13],
    ['prompt-tuning', 6],
    ['prefix-tuning', 15],
  ])(
    '%s: stopped after step %i and continued from the file equals unbroken, bit for bit',
    async (method, stopAfter) => {
      const unbroken = await runTraining(makeSetup(method));
      const before = await runTraining(makeSetup(method), { stopAfter });
      expect(before.result.reason).toBe('stopped');
      expect(before.state?.progress.step).toBe(stopAfter);
      if (before.state === undefined) throw new Error('nothing was saved');
      const after = await runTraining(makeSetup(method), { from: before.state });
      expect([...timeless(before.events), ...timeless(after.events)]).toEqual(timeless(unbroken.events));
      expect(after.state?.values).toEqual(unbroken.state?.values);
      expect(after.state?.optimiser).toEqual(unbroken.state?.optimiser);
      expect(after.result.best).toEqual(unbroken.result.best);
    },
  );

  it.each([
    ['onnxruntime', 'TensorFlow.js'],
    ['TensorFlow.js', 'onnxruntime'],
  ] as const)('begun on %s and continued on %s goes on as if unbroken, but for rounding', async (first, second) => {
    const engines = { onnxruntime: onnxBackend, 'TensorFlow.js': tfjsBackend };
    const setup = makeSetup('lora', { length: { kind: 'steps', steps: 6 }, evaluateEvery: 6 });
    const before = await runTraining({ ...setup, backend: engines[first] }, { stopAfter: 3 });
    if (before.state === undefined) throw new Error('nothing was saved');
    const after = await runTraining({ ...setup, backend: engines[second] }, { from: before.state });
    const unbroken = await runTraining({ ...setup, backend: engines[first] });
    const lossesOf = ({ events }: Record): readonly number[] =>
      events.flatMap((event) => (event.type === 'step' || event.type === 'evaluation' ? [event.loss] : []));
    const losses = [...lossesOf(before), ...lossesOf(after)];
    expect(losses).toHaveLength(7);
    for (const [at, loss] of lossesOf(unbroken).entries()) expect(losses[at], `loss ${at}`).toBeCloseTo(loss, 4);
    expect(lossesOf(unbroken).slice(3)).not.toEqual(lossesOf(after));
  });

  it('learns what can be learnt, and counts steps, epochs and examples', async () => {
    const { events, result } = await runTraining(
      makeSetup('full', { learningRate: 1e-2, length: { kind: 'epochs', epochs: 6 } }),
    );
    expect(result.reason).toBe('completed');
    expect(result.best?.score).toBeGreaterThan(0.85);
    const started = events.find((event) => event.type === 'started');
    expect(started).toMatchObject({ totalSteps: 42, stepsPerEpoch: 7, trainExamples: 101, fromStep: 1 });
    const steps = events.filter((event) => event.type === 'step');
    expect(steps.map((event) => event.step)).toEqual(Array.from({ length: 42 }, (_, i) => i + 1));
    expect(steps.at(6)?.epoch).toBe(1);
    expect(events.filter((event) => event.type === 'evaluation').map((event) => event.step)).toEqual([
      7, 14, 21, 28, 35, 42,
    ]);
  });

  it('accumulated gradients are those of the examples together', async () => {
    const oneStep: Partial<TrainingSettings> = {
      length: { kind: 'steps', steps: 1 },
      dropout: 0,
      learningRate: 1e-3,
      warmup: 0,
    };
    // All 101 examples in one optimiser step, in one pass or in many: the same set, so the same gradient but for rounding.
    const whole = await runTraining(makeSetup('full', { ...oneStep, batchSize: 101, accumulation: 1 }));
    const parts = await runTraining(makeSetup('full', { ...oneStep, batchSize: 8, accumulation: 13 }));
    const pick = ({ events }: Record): { loss: number; norm: number } => {
      const step = events.find((event) => event.type === 'step');
      if (step?.type !== 'step') throw new Error('no step');
      return { loss: step.loss, norm: step.gradientNorm };
    };
    expect(pick(parts).loss).toBeCloseTo(pick(whole).loss, 5);
    expect(pick(parts).norm / pick(whole).norm).toBeCloseTo(1, 4);
  });

  it('computes layers again where it is asked to, and ends in the same numbers', async () => {
    const attentions: number[] = [];
    const counted: Backend = {
      name: onnxBackend.name,
      compile(outputs, ...rest) {
        const values = topologicalOrder(Object.values(outputs));
        attentions.push(values.filter(({ operation }) => operation.kind === 'softmax').length);
        return onnxBackend.compile(outputs, ...rest);
      },
    };
    const losses = async (changed: Partial<TrainingSettings>): Promise<readonly number[]> => {
      const setup = makeSetup('lora', { length: { kind: 'epochs', epochs: 1 }, ...changed });
      const { events } = await runTraining({ ...setup, backend: counted });
      return events.flatMap((event) => (event.type === 'step' || event.type === 'evaluation' ? [event.loss] : []));
    };
    const kept = await losses({});
    const recomputed = await losses({ recompute: true });
    const { layers } = checkpoint.config;
    // Each training compiles a graph for its steps, and one without gradients for its evaluations.
    expect(attentions).toEqual([layers, layers, 2 * layers - 1, layers]);
    expect(recomputed).toHaveLength(kept.length);
    recomputed.forEach((loss, index) => expect(loss).toBeCloseTo(kept[index] ?? NaN, 5));
  });

  it('trains and evaluates with the frozen matrices in 8 bits where it is asked to', async () => {
    const losses = async (changed: Partial<TrainingSettings>): Promise<readonly number[]> => {
      const setup = makeSetup('lora', { length: { kind: 'epochs', epochs: 1 }, ...changed });
      const { events } = await runTraining(setup);
      return events.flatMap((event) => (event.type === 'step' || event.type === 'evaluation' ? [event.loss] : []));
    };
    const [exact, rounded] = [await losses({}), await losses({ frozenPrecision: 'int8' })];
    expect(rounded).toHaveLength(exact.length);
    rounded.forEach((loss, index) => expect(Math.abs(loss - (exact[index] ?? NaN))).toBeLessThan(0.05));
    // Of steps and evaluation alike: each loss differs from that in float32.
    rounded.forEach((loss, index) => expect(loss).not.toBe(exact[index]));
    expect(await losses({ frozenPrecision: 'int8' })).toEqual(rounded);
  });

  describe('in float16', () => {
    const shortly = { length: { kind: 'steps', steps: 3 }, accumulation: 1, precision: 'float16' } as const;

    /** A backend whose gradients are too large for 16 bits where the loss is multiplied with more than `most`. */
    const overflowing = (most: number): { readonly backend: TrainingSetup['backend']; readonly scales: number[] } => {
      const scales: number[] = [];
      const compile: TrainingSetup['backend']['compile'] = async (outputs, weights, options) => {
        const executable = await onnxBackend.compile(outputs, weights, options);
        const run: typeof executable.run = async (feeds) => {
          const results = await executable.run(feeds);
          const scale = Number(feeds[LOSS_SCALE]?.data[0]);
          const gradient = results['head.classifier.bias'];
          if (gradient?.dtype !== 'float32') return results;
          scales.push(scale);
          if (scale > most) gradient.data.fill(Infinity);
          return results;
        };
        return { ...executable, run };
      };
      return { backend: { name: 'overflowing', compile }, scales };
    };

    it('trains and evaluates, and its losses are those of float32 but for rounding', async () => {
      const losses = async (changed: Partial<TrainingSettings>): Promise<readonly number[]> => {
        const { events } = await runTraining(makeSetup('lora', { ...shortly, ...changed }));
        return events.flatMap((event) => (event.type === 'step' || event.type === 'evaluation' ? [event.loss] : []));
      };
      const [exact, rounded] = [await losses({ precision: 'float32' }), await losses({})];
      expect(rounded).toHaveLength(exact.length);
      rounded.forEach((loss, index) => expect(Math.abs(loss - (exact[index] ?? NaN))).toBeLessThan(1e-3));
      expect(rounded).not.toEqual(exact);
    });

    it('multiplies the loss for the backward half, by less where gradients leave the range of 16 bits', async () => {
      const norms = async (most: number): Promise<{ readonly norms: readonly number[]; readonly scales: number[] }> => {
        const { backend, scales } = overflowing(most);
        const { events } = await runTraining({ ...makeSetup('lora', shortly), backend });
        // Told once, however often it happens.
        const warnings = events.filter((event) => event.type === 'log' && event.message.includes('range of 16 bits'));
        expect(warnings).toHaveLength(most < 256 ? 1 : 0);
        return { scales, norms: events.flatMap((event) => (event.type === 'step' ? [event.gradientNorm] : [])) };
      };
      const [all, less] = [await norms(1000), await norms(20)];
      expect(all.scales).toEqual([256, 256, 256]);
      expect(less.scales).toEqual([256, 16, 256, 16, 256, 16]);
      less.norms.forEach((norm, index) => expect(norm / (all.norms[index] ?? NaN)).toBeCloseTo(1, 2));
    });

    it('is refused in private, whoever asks', async () => {
      const asked = { ...makeSetup('lora', shortly), privacy: noiselessMechanism };
      await expect(runTraining(asked)).rejects.toThrow('a private training computes in float32');
    });

    it('ends with a typed error that names float32 where no scale helps', async () => {
      const { backend, scales } = overflowing(0);
      const failure = runTraining({ ...makeSetup('lora', shortly), backend });
      await expect(failure).rejects.toBeInstanceOf(DivergedError);
      await expect(failure).rejects.toThrow('or set training.precision to "float32"');
      expect(scales).toEqual([256, 16, 1]);
    });
  });

  it('evaluates in 8 bits where the only layer is rounded in its backward half alone', async () => {
    const { events } = await runTraining({
      ...makeSetup('prompt-tuning', { frozenPrecision: 'int8' }),
      checkpoint: shallow,
    });
    expect(events.some((event) => event.type === 'evaluation')).toBe(true);
  });

  it('refuses 8 bits where nothing stays frozen', async () => {
    const refused = runTraining(makeSetup('full', { frozenPrecision: 'int8' }));
    await expect(refused).rejects.toBeInstanceOf(UserError);
    await expect(refused).rejects.toThrow('full leaves no matrix');
  });

  it('ends with a typed error at the step where the loss is no longer finite', async () => {
    const wild = makeSetup('full', { learningRate: 1e30, maxGradNorm: null, warmup: 0 });
    const failure = runTraining(wild);
    await expect(failure).rejects.toBeInstanceOf(DivergedError);
    await expect(failure).rejects.toMatchObject({ step: 2 });
  });

  it('ends so too where the last step leaves what cannot be evaluated, and saves nothing of it', async () => {
    const kinds: string[] = [];
    const wild = makeSetup('full', {
      learningRate: 1e30,
      maxGradNorm: null,
      warmup: 0,
      length: { kind: 'steps', steps: 1 },
    });
    const failure = runTraining(wild, { onSave: (kind) => kinds.push(kind) });
    await expect(failure).rejects.toBeInstanceOf(DivergedError);
    await expect(failure).rejects.toMatchObject({ step: 1 });
    await expect(failure).rejects.toThrow('the loss on dev at step 1 is not finite');
    expect(kinds).toEqual([]);
  });

  it('does not put a state that holds no number in the place of the last good one', async () => {
    const saved: number[] = [];
    const wild = makeSetup('head', {
      learningRate: 1e39,
      maxGradNorm: null,
      warmup: 0,
      schedule: 'constant',
      length: { kind: 'steps', steps: 2 },
      evaluateEvery: 2,
      checkpointEvery: 1,
    });
    const failure = runTraining(wild, { onSave: (_, { progress }) => saved.push(progress.step) });
    await expect(failure).rejects.toBeInstanceOf(DivergedError);
    await expect(failure).rejects.toMatchObject({ step: 1 });
    expect(saved).toEqual([]);
  });

  it('refuses a state of another model, method, length or data, saying what does not fit and where it was read', async () => {
    const { state } = await runTraining(makeSetup('lora'), { stopAfter: 3 });
    if (state === undefined) throw new Error('nothing was saved');
    const without = (name: string, tensors: ReadonlyMap<string, Float32Array>): ReadonlyMap<string, Float32Array> =>
      new Map([...tensors].filter(([key]) => key !== name));
    const [name = ''] = state.values.keys();
    const others: readonly (readonly [TrainingSetup, TrainerState, string])[] = [
      [makeSetup('slash'), state, 'method.z holds no numbers instead of 24'],
      [{ ...makeSetup('lora'), method: { id: 'lora', options: { rank: 3 } } }, state, 'numbers instead of'],
      [makeSetup('lora'), { ...state, values: without(name, state.values) }, `${name} holds no numbers`],
      [makeSetup('lora'), { ...state, values: new Map([...state.values, ['more', new Float32Array(1)]]) }, 'more'],
      [makeSetup('lora'), { ...state, optimiser: new Map() }, 'exp_avg/method.layer.0.query.lora_A holds no numbers'],
      [makeSetup('lora'), { ...state, optimiserStep: 2.5 }, 'it is of step 3 (2.5 of the optimiser)'],
      [makeSetup('lora', { length: { kind: 'steps', steps: 2 } }), state, 'and the run has 2'],
      [{ ...makeSetup('lora'), train: makeData(40, 1) }, state, 'its next batch is 7 of an epoch of 5'],
    ];
    for (const [setup, from, problem] of others) {
      const refused = runTraining(setup, { from });
      await expect(refused, problem).rejects.toBeInstanceOf(UserError);
      await expect(refused).rejects.toThrow(problem);
      await expect(refused).rejects.toThrow(state.file);
    }
  });

  it('refuses to stop by a metric that no evaluation gives, before it computes anything', async () => {
    const refused = runTraining(makeSetup('head', { earlyStopping: { patience: 2, metric: 'acuracy' } }));
    await expect(refused).rejects.toBeInstanceOf(UserError);
    await expect(refused).rejects.toThrow('Did you mean "accuracy"?');
  });

  it('warns of a warm-up that training does not get out of', async () => {
    const warnings = async (warmup: number, steps = 4): Promise<readonly string[]> => {
      const { events } = await runTraining(makeSetup('head', { warmup, length: { kind: 'steps', steps } }));
      return events.flatMap((event) => (event.type === 'log' ? [event.message] : []));
    };
    expect(await warnings(4)).toEqual([
      'training.warmup makes a warm-up of 4 steps, and the run has 4: the learning rate never reaches training.learningRate',
    ]);
    expect(await warnings(3)).toEqual([]);
    expect(await warnings(0.06, 1)).toHaveLength(1);
  });

  it('stops early when the score no longer rises, keeping the best', async () => {
    const { result, events } = await runTraining(
      makeSetup('head', {
        learningRate: 1e-12,
        length: { kind: 'epochs', epochs: 50 },
        earlyStopping: { patience: 2, metric: 'accuracy' },
      }),
    );
    expect(result.reason).toBe('early-stopped');
    expect(result.best?.step).toBe(7);
    expect(result.step).toBe(21);
    expect(events.filter((event) => event.type === 'checkpoint' && event.kind === 'best')).toHaveLength(1);
  });

  it('evaluates and saves every so many steps when asked', async () => {
    const { events } = await runTraining(
      makeSetup('head', { length: { kind: 'steps', steps: 10 }, evaluateEvery: 4, checkpointEvery: 5 }),
    );
    expect(events.filter((event) => event.type === 'evaluation').map((event) => event.step)).toEqual([4, 8, 10]);
    expect(
      events.flatMap((event) => (event.type === 'checkpoint' && event.kind === 'last' ? [event.step] : [])),
    ).toEqual([5, 10]);
  });
});

import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import type { Executable } from '../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { assembleBatch } from '../../../src/engine/data/batches.ts';
import { contentKeys, encodeDataset, type Dataset } from '../../../src/engine/data/dataset.ts';
import { BATCH } from '../../../src/engine/encoders/encoder.ts';
import { frozenWeights, startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { batchFeeds, dropoutWordsByExample } from '../../../src/engine/feeds.ts';
import { buildModel, gradientsOf, LOSS_SCALE } from '../../../src/engine/model-graph.ts';
import {
  computePrivateGradient,
  privateOutputs,
  type PrivateMechanism,
  type PrivateStepRecord,
} from '../../../src/engine/private-step.ts';
import type { TrainerState } from '../../../src/engine/trainer-state.ts';
import { train } from '../../../src/engine/trainer.ts';
import { modelPlanOf, type TrainingSetup } from '../../../src/engine/training-setup.ts';
import type { TrainingEvent } from '../../../src/engine/training-events.ts';
import { trainedFeeds } from '../../../src/engine/training-step.ts';
import { methodIds } from '../../../src/peft/registry.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { encodeIds, MASK } from '../../support/id-texts.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';
import { plainSettings } from '../../support/training-settings.ts';

const checkpoint = await openTinyEncoder();

function makeData(count: number, seed: number, { without }: { readonly without?: number } = {}): Dataset {
  const random = randomStream(seed, 'private data');
  const examples = Array.from({ length: count }, () => {
    const label = random.below(2);
    const tokens = Array.from({ length: 3 + random.below(9) }, () => 10 + random.below(20) + label * 25);
    return { text: tokens.join(' '), label };
  });
  const kept = examples.filter((_, index) => index !== without);
  return encodeDataset(kept, 'classification', encodeIds, 40);
}

const data = makeData(40, 1);
const CLIP = 0.5;

/** A mechanism whose noise is known: `noise` in every coordinate, so that sums can be compared. */
function mechanismOf(draw: (step: number) => readonly number[], noise = 0): PrivateMechanism {
  return {
    samplingRate: 0.2,
    noiseMultiplier: 1,
    maxGradNorm: CLIP,
    clipping: 'flat',
    publicEvaluation: false,
    expectedBatchSize: 8,
    draw: (step) => Uint32Array.from(draw(step)),
    addNoise: (sum) => Float64Array.from(sum, (value) => value + noise),
    spent: (steps) => ({ epsilon: steps, delta: 1e-5, accountant: 'test' }),
  };
}

const small: ReadonlyMap<string, Readonly<Record<string, unknown>>> = new Map([
  ['slash', { dimension: 24 }],
  ['adapter-houlsby', { bottleneck: 4 }],
  ['adapter-pfeiffer', { bottleneck: 4, trainNorms: true }],
  ['adapter-parallel', { bottleneck: 4 }],
  ['adapter-drop', { bottleneck: 4, drop: 1 }],
  ['adapter-low-rank', { bottleneck: 4, rank: 2 }],
  ['adapter-phm', { bottleneck: 4, n: 2 }],
  ['compacter', { bottleneck: 4, n: 2 }],
  ['compacter++', { bottleneck: 4, n: 2, evaluation: 'explicit' }],
  ['intrinsic-said', { dimension: 40 }],
  ['lora', { rank: 2 }],
  ['jr-warp', { dimension: 24 }],
  ['warp', { prompts: 3 }],
  ['pasta', { initScale: 0.5 }],
  ['prompt-tuning', { length: 3, enter: 'before-embedding' }],
  ['prefix-tuning', { length: 3, reparametrise: true, bottleneck: 4 }],
  ['ia3', { gated: true, inputs: ['output', 'attentionOutput'] }],
  ['unipelt', { prefixLength: 2, prefixBottleneck: 3, bottleneck: 4, rank: 2 }],
  ['unipelt-prompt', { promptLength: 2, prefixLength: 2, reparametrise: false, bottleneck: 4, rank: 2 }],
  ['union', { parts: [{ id: 'lora', rank: 2, gated: true }, { id: 'pasta' }, { id: 'bitfit' }] }],
]);

function makeSetup(method: string, batchSize: number, privacy?: PrivateMechanism): TrainingSetup {
  return {
    checkpoint,
    method: { id: method, options: small.get(method) ?? {} },
    task: findTask('sst2'),
    train: data,
    evaluations: [{ split: 'dev', dataset: makeData(20, 2) }],
    settings: {
      ...plainSettings,
      length: { kind: 'epochs', epochs: 3 },
      batchSize,
      learningRate: 5e-3,
      maxGradNorm: 1,
    },
    backend: onnxBackend,
    device: { provider: 'cpu', threads: 2, reason: 'test' },
    maskToken: ['slash', 'jr-warp', 'warp'].includes(method) ? MASK : undefined,
    ...(privacy === undefined ? {} : { privacy }),
  };
}

/** The private gradient of one step, from the start values; values can be changed first. */
async function privateStep(
  setup: TrainingSetup,
  mechanism: PrivateMechanism,
  spoil: (values: Map<string, Float32Array>) => void = () => undefined,
  dropout: 'off' | number = 'off',
): Promise<Awaited<ReturnType<typeof computePrivateGradient>>> {
  const model = buildModel(modelPlanOf(setup), { dropout });
  const values = new Map(await startValues(model, checkpoint, 0));
  spoil(values);
  const weights = frozenWeights(model, checkpoint, 0);
  const outputs = privateOutputs(model, mechanism.clipping);
  const executable = await onnxBackend.compile(outputs, weights, setup.device);
  try {
    return await computePrivateGradient({ setup, mechanism, model, executable, feeds: trainedFeeds(model, values) }, 1);
  } finally {
    await executable.dispose();
  }
}

/** What the step must give: each example alone through the ordinary gradient, clipped in float64, summed. */
async function looped(
  setup: TrainingSetup,
  drawn: readonly number[],
  dropout: 'off' | number,
): Promise<ReadonlyMap<string, Float64Array>> {
  const model = buildModel(modelPlanOf(setup), { dropout });
  const values = await startValues(model, checkpoint, 0);
  const outputs = { loss: model.loss, ...gradientsOf(model) };
  const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, 0), setup.device);
  const sums = new Map<string, Float64Array>();
  try {
    for (const index of drawn) {
      const batch = assembleBatch(data, Uint32Array.of(index), { padId: checkpoint.config.padTokenId });
      const [batchSize, sequence] = batch.shape;
      const words = dropoutWordsByExample(model.dropoutSites, { batch: batchSize, sequence }, BATCH, {
        seed: setup.settings.seed,
        step: 1,
        examples: contentKeys(data, Uint32Array.of(index)),
      });
      const results = await executable.run({
        ...trainedFeeds(model, values),
        ...words.ofExamples,
        ...words.shared,
        ...batchFeeds(batch, checkpoint.config, setup.maskToken, model.specialTokens),
        [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
      });
      const gradients = model.trained.map(({ name }) => {
        const gradient = results[name];
        if (gradient?.dtype !== 'float32') throw new Error(`${name} has no gradient`);
        return { name, data: Float64Array.from(gradient.data) };
      });
      const norm = Math.sqrt(gradients.flatMap(({ data }) => [...data]).reduce((sum, x) => sum + x * x, 0));
      for (const { name, data } of gradients) {
        const sum = sums.get(name) ?? new Float64Array(data.length);
        sums.set(
          name,
          sum.map((value, i) => value + (data[i] ?? 0) * Math.min(1, CLIP / norm)),
        );
      }
    }
  } finally {
    await executable.dispose();
  }
  return sums;
}

function greatestDifference(
  a: ReadonlyMap<string, ArrayLike<number>>,
  b: ReadonlyMap<string, ArrayLike<number>>,
): number {
  return Math.max(
    ...[...a].flatMap(([name, values]) =>
      Array.from(values, (value, i) => Math.abs(value - (b.get(name)?.[i] ?? NaN))),
    ),
  );
}

function scaled(sums: ReadonlyMap<string, Float64Array>, by: number): ReadonlyMap<string, Float64Array> {
  return new Map([...sums].map(([name, sum]) => [name, sum.map((value) => value * by)]));
}

describe('a private step', () => {
  // With dropout, too, an example's gradient is a function of the example alone: the bound on what one more or fewer changes rests on it.
  it.each(methodIds().flatMap((method) => [[method, 'off'] as const, [method, 0.2] as const]))(
    '%s, dropout %s: is the sum of clipped gradients of single examples over the expected batch size, whatever the chunks',
    async (method, dropout) => {
      const drawn = [3, 8, 9, 15, 22, 31, 38];
      const expected = scaled(await looped(makeSetup(method, 1), drawn, dropout), 1 / 8);
      for (const chunk of [3, 4, 16]) {
        const { gradients, record } = await privateStep(
          makeSetup(method, chunk),
          mechanismOf(() => drawn),
          undefined,
          dropout,
        );
        expect(greatestDifference(expected, gradients)).toBeLessThan(2e-6);
        expect(record).toMatchObject({ step: 1, drawn: 7, nonFinite: 0 });
      }
    },
  );

  it('is the same with dropout where an example that was not drawn is removed, so that all behind it move up', async () => {
    const setup = makeSetup('lora', 4);
    const drawn = [3, 8, 9, 15, 22];
    const mechanism = mechanismOf(() => drawn);
    const fewer = makeData(40, 1, { without: 0 });
    const movedUp = mechanismOf(() => drawn.map((index) => index - 1));
    const before = await privateStep(setup, mechanism, undefined, 0.2);
    const after = await privateStep({ ...setup, train: fewer }, movedUp, undefined, 0.2);
    expect(after.gradients).toEqual(before.gradients);
  });

  it('refuses a method that counts the padding beside an example', () => {
    const setup = makeSetup('lora', 4);
    const options = { rank: 2, gated: true, maskedGateMean: false };
    const model = buildModel(modelPlanOf({ ...setup, method: { id: 'lora', options } }), { dropout: 'off' });
    expect(() => privateOutputs(model, 'flat')).toThrow('the padded length [sequence] reaches the losses');
  });

  it('computes a draw of any size in passes of at most the batch size, so that memory does not grow with it', async () => {
    const setup = makeSetup('lora', 4);
    const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
    const feeds = trainedFeeds(model, await startValues(model, checkpoint, 0));
    const weights = frozenWeights(model, checkpoint, 0);
    const compiled = await onnxBackend.compile(privateOutputs(model, 'flat'), weights, setup.device);
    const rows: number[] = [];
    const executable: Executable = {
      ...compiled,
      run: (inputs) => {
        rows.push(inputs['input_ids']?.shape[0] ?? NaN);
        return compiled.run(inputs);
      },
    };
    try {
      for (const size of [0, 3, 17, 40]) {
        rows.length = 0;
        const mechanism = mechanismOf(() => Array.from({ length: size }, (_, index) => index));
        await computePrivateGradient({ setup, mechanism, model, executable, feeds }, 1);
        expect(rows.reduce((sum, count) => sum + count, 0)).toBe(size);
        expect(Math.max(0, ...rows)).toBeLessThanOrEqual(4);
      }
    } finally {
      await compiled.dispose();
    }
  });

  it('clips: no single example moves the sum by more than the bound', async () => {
    const { gradients, record } = await privateStep(
      makeSetup('lora', 4),
      mechanismOf(() => [5]),
    );
    const norm = Math.hypot(...[...gradients.values()].flatMap((values) => [...values])) * 8;
    expect(record.clipped).toBe(1);
    expect(norm).toBeLessThanOrEqual(CLIP);
    expect(norm).toBeGreaterThan(CLIP * 0.9999);
  });

  it('takes a step of pure noise when nobody is drawn', async () => {
    const { gradients, record } = await privateStep(
      makeSetup('slash', 4),
      mechanismOf(() => [], 4),
    );
    for (const values of gradients.values()) expect(new Set(values)).toEqual(new Set([0.5]));
    expect(record).toMatchObject({ drawn: 0, loss: NaN });
  });

  it('replaces the gradient of an example that is not finite by zero, and counts it', async () => {
    // An infinite bias in one type of word row only: examples with that word have no finite gradient.
    const spoiledWord = exampleWord(7);
    const spoil = (values: Map<string, Float32Array>): void => {
      for (const [name, value] of values) {
        if (!name.endsWith('word_embeddings.weight')) continue;
        const width = value.length / 60;
        values.set(name, value.slice().fill(Infinity, spoiledWord * width, (spoiledWord + 1) * width));
      }
    };
    const without = (index: number): boolean => !wordsOf(index).includes(spoiledWord);
    const healthy = Array.from({ length: data.count }, (_, index) => index)
      .filter(without)
      .slice(0, 5);
    const all = await privateStep(
      makeSetup('full', 3),
      mechanismOf(() => [7, ...healthy]),
      spoil,
    );
    const some = await privateStep(
      makeSetup('full', 3),
      mechanismOf(() => healthy),
      spoil,
    );
    expect(all.record).toMatchObject({ drawn: 6, nonFinite: 1 });
    expect(greatestDifference(some.gradients, all.gradients)).toBeLessThan(2e-6);
  });
});

describe('a clipping norm', () => {
  it('is told how many examples were within it and beyond it', async () => {
    const drawn = [3, 8, 9, 15, 22];
    const told: (readonly number[])[] = [];
    const adapt: PrivateMechanism['adapt'] = (norm, count, step) => {
      told.push([norm, count, step]);
      return norm * 2;
    };
    const { norms, nextNorm } = await withNorms(drawn, { ...mechanismOf(() => drawn), adapt });
    const within = norms.filter((norm) => norm <= CLIP).length;
    expect(told).toEqual([[CLIP, within - drawn.length / 2, 1]]);
    expect(nextNorm).toBe(2 * CLIP);
  });

  it('that is automatic lets every example weigh alike, within the bound', async () => {
    const setup = makeSetup('lora', 4);
    const mechanism: PrivateMechanism = { ...mechanismOf(() => [5]), clipping: 'automatic', maxGradNorm: 50 };
    const { gradients, record } = await privateStep(setup, mechanism);
    const norm = Math.hypot(...[...gradients.values()].flatMap((values) => [...values])) * 8;
    expect(record.gradientNorm).toBeLessThan(50);
    expect(norm).toBeCloseTo((50 * record.gradientNorm) / (record.gradientNorm + 0.01), 2);
    expect(norm).toBeLessThan(50);
  });
});

/** The norms of single examples beside a step over all of them. */
async function withNorms(
  drawn: readonly number[],
  mechanism: PrivateMechanism,
): Promise<{ readonly norms: readonly number[]; readonly nextNorm: number }> {
  const norms: number[] = [];
  for (const index of drawn) {
    const { record } = await privateStep(
      makeSetup('lora', 4),
      mechanismOf(() => [index]),
    );
    norms.push(record.gradientNorm);
  }
  return { norms, nextNorm: (await privateStep(makeSetup('lora', 4), mechanism)).nextNorm };
}

function wordsOf(index: number): readonly number[] {
  const batch = assembleBatch(data, Uint32Array.of(index), { padId: 0 });
  return [...batch.inputIds];
}

function exampleWord(index: number): number {
  return wordsOf(index)[1] ?? 0;
}

describe('a private training', () => {
  /** Draws and noise as functions of the step, as a keyed stream gives them. */
  const streams: PrivateMechanism = {
    ...mechanismOf(() => []),
    draw: (step) => {
      const random = randomStream(step, 'draws');
      return Uint32Array.from(
        Array.from({ length: data.count }, (_, index) => index).filter(() => random.uniform() < 0.2),
      );
    },
    addNoise: (sum, step, tensor) => {
      const random = randomStream(step, `noise.${tensor}`);
      return Float64Array.from(sum, (value) => value + CLIP * random.normal());
    },
  };

  async function run(
    stopAfter: number,
    from?: TrainerState,
    mechanism = streams,
  ): Promise<{
    readonly events: readonly TrainingEvent[];
    readonly records: readonly PrivateStepRecord[];
    readonly state: TrainerState;
  }> {
    const events: TrainingEvent[] = [];
    const records: PrivateStepRecord[] = [];
    const states: TrainerState[] = [];
    await train(
      makeSetup('lora', 4, mechanism),
      {
        emit: (event) => events.push(event),
        wish: () => (events.filter((event) => event.type === 'step').length === stopAfter ? 'stop' : 'continue'),
        save: (kind, state) => {
          expect(mechanism.publicEvaluation ? ['last', 'best'] : ['last']).toContain(kind);
          const values = new Map([...state.values].map(([name, value]) => [name, value.slice()]));
          const optimiser = new Map([...state.optimiser].map(([name, value]) => [name, value.slice()]));
          states.push({ ...state, values, optimiser });
          return Promise.resolve(kind);
        },
        recordPrivate: (record) => records.push(record),
        now: () => 0,
      },
      from,
    );
    const state = states.at(-1);
    if (state === undefined) throw new Error('nothing was saved');
    return { events, records, state };
  }

  it('takes epochs / rate steps, tells epsilon at each epoch, and tells nothing else that epsilon does not cover', async () => {
    const { events, records } = await run(-1);
    const steps = events.filter((event) => event.type === 'step');
    expect(steps).toHaveLength(15);
    expect(steps.map(({ epsilon }) => epsilon).filter((epsilon) => epsilon !== undefined)).toEqual([5, 10, 15]);
    expect(steps.every(({ loss }) => Number.isNaN(loss))).toBe(true);
    expect(records.map(({ step }) => step)).toEqual(steps.map(({ step }) => step));
    expect(records.some(({ loss }) => Number.isFinite(loss))).toBe(true);
    expect(events.filter((event) => event.type === 'evaluation').some(({ best }) => best)).toBe(false);
  });

  it('continued after a stop, repeats nothing and ends where an unbroken one does', async () => {
    const whole = await run(-1);
    const half = await run(7);
    const rest = await run(-1, half.state);
    expect([...half.records, ...rest.records]).toEqual(whole.records);
    expect(rest.state.values).toEqual(whole.state.values);
  });

  it('whose norm adapts tells it, and continues with it after a stop', async () => {
    const adapting: PrivateMechanism = {
      ...streams,
      adapt: (norm, count, step) => norm * Math.exp(-0.05 * count + 0.01 * randomStream(step, 'count').normal()),
    };
    const whole = await run(-1, undefined, adapting);
    const half = await run(7, undefined, adapting);
    const rest = await run(-1, half.state, adapting);
    const normsOf = ({ events }: typeof whole): readonly unknown[] =>
      events.filter((event) => event.type === 'step').map(({ clippingNorm }) => clippingNorm);
    expect(normsOf(whole)[0]).toBe(CLIP);
    expect(new Set(normsOf(whole)).size).toBe(15);
    expect([...normsOf(half), ...normsOf(rest)]).toEqual(normsOf(whole));
    expect(rest.state.values).toEqual(whole.state.values);
  });

  it('chooses a checkpoint by its score only where the evaluation data were declared public', async () => {
    const { events } = await run(-1, undefined, { ...streams, publicEvaluation: true });
    expect(events.some((event) => event.type === 'evaluation' && event.best)).toBe(true);
    expect(events.some((event) => event.type === 'checkpoint' && event.kind === 'best')).toBe(true);
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  adamWTensors,
  createAdamW,
  defaultAdamW,
  restoreAdamW,
  stepAdamW,
  type Trained,
} from '../../../../src/engine/optimisers/adamw.ts';
import { clipFactor, globalNorm } from '../../../../src/engine/optimisers/clip.ts';
import { learningRateAt, warmupSteps, type ScheduleKind } from '../../../../src/engine/optimisers/schedule.ts';
import { isDecayed, weightDecayOf } from '../../../../src/engine/optimisers/weight-decay.ts';

interface Golden {
  readonly schedules: readonly {
    readonly kind: string;
    readonly base_lr: number;
    readonly warmup_steps: number;
    readonly total_steps: number;
    readonly lr_used_at_step: readonly number[];
  }[];
  readonly adamw: readonly {
    readonly options: {
      readonly lr: number;
      readonly weight_decay: number;
      readonly betas?: readonly [number, number];
      readonly eps?: number;
    };
    readonly start: readonly number[];
    readonly gradients: readonly (readonly number[])[];
    readonly after_each_step: readonly (readonly number[])[];
  }[];
  readonly clip_grad_norm: readonly {
    readonly max_norm: number;
    readonly gradients: readonly (readonly number[])[];
    readonly total_norm: number;
    readonly clipped: readonly (readonly number[])[];
  }[];
}

const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../fixtures/optim/optim.json'), 'utf8'),
) as Golden;

function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? NaN;
    const y = b[i] ?? NaN;
    worst = Math.max(worst, Math.abs(x - y) / Math.max(Math.abs(y), 1e-3));
  }
  return worst;
}

describe('AdamW against torch in float64', () => {
  for (const [index, { options, start, gradients, after_each_step: after }] of golden.adamw.entries())
    it(`trace ${index}: ${JSON.stringify(options)}`, () => {
      const value = Float64Array.from(start);
      const trained = [{ name: 'p', value, weightDecay: options.weight_decay }];
      const state = createAdamW(trained);
      const [beta1, beta2] = options.betas ?? [0.9, 0.999];
      const settings = { beta1, beta2, epsilon: options.eps ?? 1e-8 };
      for (const [step, gradient] of gradients.entries()) {
        stepAdamW(state, trained, new Map([['p', Float64Array.from(gradient)]]), options.lr, settings);
        expect(relativeError(value, after[step] ?? [])).toBeLessThan(1e-13);
      }
      expect(state.step).toBe(gradients.length);
    });
});

describe('AdamW', () => {
  const make = (): Trained[] => [
    { name: 'w', value: Float32Array.of(0.5, -1, 2), weightDecay: 0.1 },
    { name: 'bias', value: Float32Array.of(0.25), weightDecay: 0 },
  ];
  const gradientAt = (step: number): Map<string, Float32Array> =>
    new Map([
      ['w', Float32Array.of(Math.sin(step), 0, -step)],
      ['bias', Float32Array.of(Math.cos(step))],
    ]);
  const run = (trained: readonly Trained[], state: ReturnType<typeof createAdamW>, from: number, to: number): void => {
    for (let step = from; step < to; step++) stepAdamW(state, trained, gradientAt(step), 0.01);
  };

  it('goes on from saved tensors exactly as without the break', () => {
    const unbroken = make();
    run(unbroken, createAdamW(unbroken), 0, 10);

    const broken = make();
    const state = createAdamW(broken);
    run(broken, state, 0, 6);
    const saved = new Map([...adamWTensors(state)].map(([name, tensor]) => [name, tensor.slice()]));
    expect([...saved.keys()]).toEqual(['exp_avg/w', 'exp_avg_sq/w', 'exp_avg/bias', 'exp_avg_sq/bias']);
    const resumed = broken.map((tensor) => ({ ...tensor, value: tensor.value.slice() }));
    run(resumed, restoreAdamW(resumed, state.step, saved), 6, 10);
    expect(resumed).toEqual(unbroken);
  });

  it('decays by learning rate times decay where asked, and nowhere else', () => {
    const trained = make();
    const zero = new Map(trained.map(({ name, value }) => [name, new Float32Array(value.length)]));
    stepAdamW(createAdamW(trained), trained, zero, 0.5);
    expect([...(trained[0]?.value ?? [])]).toEqual([0.5, -1, 2].map((x) => Math.fround(x * 0.95)));
    expect([...(trained[1]?.value ?? [])]).toEqual([0.25]);
  });

  it('scales gradients as if they had been scaled before', () => {
    const scaled = make();
    stepAdamW(createAdamW(scaled), scaled, gradientAt(1), 0.01, defaultAdamW, 0.25);
    const before = make();
    const quarter = new Map([...gradientAt(1)].map(([name, g]) => [name, g.map((x) => x / 4)]));
    stepAdamW(createAdamW(before), before, quarter, 0.01);
    expect(scaled).toEqual(before);
  });

  it('refuses gradients, moments and checkpoints that do not fit, and changes nothing', () => {
    const trained = make();
    const state = createAdamW(trained);
    const gradients = gradientAt(1);
    gradients.delete('bias');
    expect(() => stepAdamW(state, trained, gradients, 0.01)).toThrow(/bias holds 1 numbers, its gradient none/);
    expect(state.step).toBe(0);
    expect(trained).toEqual(make());
    const tensors = new Map(adamWTensors(state));
    expect(() => restoreAdamW(trained, -1, tensors)).toThrow();
    expect(() => restoreAdamW(trained.slice(1), 1, tensors)).toThrow(/4 optimiser tensors for 1 trained/);
    tensors.set('exp_avg/w', new Float32Array(2));
    expect(() => restoreAdamW(trained, 1, tensors)).toThrow(/exp_avg\/w holds 2 numbers instead of 3/);
    expect(() => createAdamW([...trained, ...trained])).toThrow(/share a name/);
  });
});

describe('gradient clipping against torch', () => {
  for (const { max_norm: maxNorm, gradients, total_norm: norm, clipped } of golden.clip_grad_norm)
    it(`to ${maxNorm}`, () => {
      const arrays = gradients.map((gradient) => Float64Array.from(gradient));
      expect(globalNorm(arrays)).toBeCloseTo(norm, 14);
      const factor = clipFactor(globalNorm(arrays), maxNorm);
      for (const [i, array] of arrays.entries())
        expect(
          relativeError(
            array.map((x) => x * factor),
            clipped[i] ?? [],
          ),
        ).toBeLessThan(1e-14);
    });

  it('never lengthens, and shortens to the bound', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { maxLength: 23 }),
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        (values, maxNorm) => {
          const gradient = Float64Array.from(values);
          const norm = globalNorm([gradient]);
          expect(norm).toBeCloseTo(Math.hypot(...values), 8);
          const after = globalNorm([gradient.map((x) => x * clipFactor(norm, maxNorm))]);
          expect(after).toBeLessThanOrEqual(Math.min(norm, maxNorm) * (1 + 1e-12));
        },
      ),
    );
  });

  it('can be off, and lets what is not finite be seen', () => {
    expect(clipFactor(5, null)).toBe(1);
    expect(globalNorm([Float32Array.of(1, NaN)])).toBeNaN();
    expect(globalNorm([Float32Array.of(1, Infinity)])).toBe(Infinity);
    expect(clipFactor(NaN, 1)).toBeNaN();
  });
});

describe('learning-rate schedules against transformers', () => {
  const kinds: Readonly<Record<string, ScheduleKind>> = {
    linear: 'linear',
    constant_with_warmup: 'constant',
    cosine: 'cosine',
  };
  for (const {
    kind,
    base_lr: learningRate,
    warmup_steps,
    total_steps: totalSteps,
    lr_used_at_step,
  } of golden.schedules) {
    const known = kinds[kind];
    if (known === undefined) continue;
    it(`${known}, ${warmup_steps} of ${totalSteps} steps to warm up`, () => {
      const schedule = { kind: known, learningRate, warmupSteps: warmup_steps, totalSteps };
      expect(lr_used_at_step.length).toBeGreaterThan(totalSteps);
      for (const [step, expected] of lr_used_at_step.entries())
        expect(learningRateAt(schedule, step)).toBeCloseTo(expected, 15);
    });
  }

  it('warm up for a fraction of the steps, rounded up, or for a number of steps', () => {
    expect(warmupSteps(0.06, 1000)).toBe(60);
    expect(warmupSteps(0.06, 1001)).toBe(61);
    expect(warmupSteps(0, 1000)).toBe(0);
    expect(warmupSteps(1, 1000)).toBe(1);
    expect(warmupSteps(500, 1000)).toBe(500);
  });
});

describe('weight decay', () => {
  it.each([
    'bert.encoder.layer.0.output.LayerNorm.weight',
    'bert.encoder.layer.0.output.dense.bias',
    'distilbert.transformer.layer.1.sa_layer_norm.weight',
    'distilbert.transformer.layer.1.output_layer_norm.bias',
    'encoder.block.0.layer.0.layer_norm.weight',
    'encoder.norm.weight',
    'classifier.bias',
  ])('leaves out %s', (name) => {
    expect(isDecayed(name)).toBe(false);
    expect(weightDecayOf(name, 0.1)).toBe(0);
  });

  it.each([
    'bert.encoder.layer.0.output.dense.weight',
    'bert.embeddings.word_embeddings.weight',
    'layer.3.attention.query.lora_A',
    'shift',
    'classifier.weight',
    'normalisation_free.weight',
  ])('decays %s', (name) => {
    expect(weightDecayOf(name, 0.1)).toBe(0.1);
  });
});

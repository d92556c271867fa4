import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { randomStream } from '../../../src/base/random.ts';
import { OutOfMemoryError } from '../../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { runInParts, unlimitedRoom, type Room } from '../../../src/engine/batch-parts.ts';
import { encodeWordDataset, type Dataset } from '../../../src/engine/data/dataset.ts';
import { frozenWeights } from '../../../src/engine/encoder-checkpoint.ts';
import { evaluate } from '../../../src/engine/evaluate.ts';
import { buildModel, gradientsOf } from '../../../src/engine/model-graph.ts';
import { computePrivateGradient, privateOutputs } from '../../../src/engine/private-step.ts';
import { modelPlanOf, type TrainingSetup } from '../../../src/engine/training-setup.ts';
import { computeGradient, trainedFeeds, type StepGradient } from '../../../src/engine/training-step.ts';
import { methodIds } from '../../../src/peft/registry.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { makeSequences, noisyValues } from '../../support/method-model.ts';
import { noiselessMechanism, stepSetup } from '../../support/step-setup.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

describe('a batch in parts', () => {
  it('covers every example once and in order, tries nothing larger than what failed, and goes on smaller', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 80 }),
        async (examples, tokens, fits) => {
          const tried: number[] = [];
          const room = unlimitedRoom();
          const run = (from: number, to: number): Promise<string> => {
            tried.push(to - from);
            if (to - from > fits) return Promise.reject(new OutOfMemoryError('too much'));
            return Promise.resolve(`${from}-${to}`);
          };
          const parts = await runInParts([examples, tokens], room, run);
          expect(parts.map(({ from }) => from)).toEqual([0, ...parts.slice(0, -1).map(({ to }) => to)]);
          expect(parts.at(-1)?.to).toBe(examples);
          expect(parts.every(({ from, to, result }) => to - from <= fits && result === `${from}-${to}`)).toBe(true);
          const failed = tried.filter((count) => count > fits);
          expect(failed).toEqual([...failed].sort((a, b) => b - a));
          expect(new Set(failed).size).toBe(failed.length);
          const before = tried.length;
          await runInParts([examples, tokens], room, run);
          expect(tried.slice(before).every((count) => count <= fits)).toBe(true);
        },
      ),
    );
  });

  it('is computed in passes that the device is comfortable with, of one example at least, and says nothing of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 300 }),
        async (examples, tokens, comfortable) => {
          const told: string[] = [];
          const room = unlimitedRoom({ comfortable, onChange: (message) => told.push(message) });
          const parts = await runInParts([examples, tokens], room, (from, to) => Promise.resolve([from, to]));
          expect(
            parts.flatMap(({ result: [from = NaN, to = NaN] }) =>
              Array.from({ length: to - from }, (_, i) => from + i),
            ),
          ).toEqual(Array.from({ length: examples }, (_, i) => i));
          const sizes = parts.map(({ from, to }) => to - from);
          expect(sizes.every((size) => size === 1 || size * tokens <= comfortable)).toBe(true);
          if (examples * tokens <= comfortable) expect(sizes).toEqual([examples]);
          // No smaller than it need be: two neighbours together would be too many, or one of them is the last half's rest.
          if (Math.max(...sizes) < examples)
            expect(2 * Math.max(...sizes) * tokens + 2 * tokens).toBeGreaterThan(comfortable);
          expect(told).toEqual([]);
        },
      ),
    );
  });

  it('of one example that does not fit is the user to mend; any other error stays what it is', async () => {
    const full = (): Promise<never> => Promise.reject(new OutOfMemoryError('too much'));
    await expect(runInParts([5, 12], unlimitedRoom(), full)).rejects.toThrow(UserError);
    await expect(runInParts([5, 12], unlimitedRoom(), full)).rejects.toThrow('one example of 12 tokens');
    const advised = unlimitedRoom({ advice: 'Take less.' });
    await expect(runInParts([5, 12], advised, full)).rejects.toThrow(/ Take less\.$/);
    const defect = new Error('something else');
    await expect(runInParts([5, 12], unlimitedRoom(), () => Promise.reject(defect))).rejects.toBe(defect);
  });
});

const checkpoint = await openTinyEncoder();

describe('a step in parts is the step', () => {
  /** Room for some examples of a batch and not for all. */
  const narrow = (tokens: number): Room => ({ ...unlimitedRoom(), tooMany: tokens });

  function expectSame(a: StepGradient, b: StepGradient, tolerance = 2e-5): void {
    // A private step tells none.
    if (!Number.isNaN(a.loss)) expect(Math.abs(b.loss - a.loss)).toBeLessThan(Math.max(1e-5, tolerance / 20));
    for (const [name, gradient] of a.gradients) {
      const scale = Math.max(1e-4, ...gradient.map(Math.abs));
      const off = Math.max(...gradient.map((x, i) => Math.abs(x - (b.gradients.get(name)?.[i] ?? NaN))));
      expect(off / scale, name).toBeLessThan(tolerance);
    }
  }

  async function bothWays(setup: TrainingSetup, room: Room): Promise<readonly [StepGradient, StepGradient]> {
    const model = buildModel(modelPlanOf(setup), { dropout: 'model' });
    const feeds = trainedFeeds(model, await noisyValues(model, checkpoint, 0.02));
    const { precision = 'float32', recompute = false } = setup.settings;
    const outputs = { loss: model.loss, ...gradientsOf(model, { recompute }) };
    const executable = await onnxBackend.compile(outputs, frozenWeights(model, checkpoint, 0), {
      ...setup.device,
      precision,
      wide: model.wide,
    });
    try {
      const all = Array.from({ length: setup.train.count }, (_, i) => i);
      const batches = [Uint32Array.from(all.slice(0, 3)), Uint32Array.from(all.slice(3))];
      const whole = await computeGradient({ setup, model, executable, feeds }, batches, 1);
      return [whole, await computeGradient({ setup, model, executable, feeds, room }, batches, 1)];
    } finally {
      await executable.dispose();
    }
  }

  it.each(methodIds())('%s, with its dropout', async (method) => {
    const setup = stepSetup(checkpoint, method, findTask('sst2'), makeSequences(8, 3), 4);
    const [whole, inParts] = await bothWays(setup, narrow(30));
    expectSame(whole, inParts);
  });

  /** Examples whose words are labelled; of the first one no word is scored. */
  function labelledWords(): Dataset {
    const random = randomStream(5, 'words');
    const examples = Array.from({ length: 7 }, (_, row) => ({
      text: '',
      label: 0,
      words: {
        texts: Array.from({ length: 2 + random.below(6) }, () => `${10 + random.below(40)}`),
        labels: Array.from({ length: 8 }, () => (row === 0 ? -100 : random.below(3))),
      },
    }));
    const encode = (words: readonly string[]) => {
      const ids = [2, ...words.map(Number), 3];
      return {
        ids,
        typeIds: ids.map(() => 0),
        wordOf: ids.map((_, at) => (at === 0 ? -1 : words.length >= at ? at - 1 : -1)),
      };
    };
    return encodeWordDataset(
      examples.map((example) => ({
        ...example,
        words: { ...example.words, labels: example.words.labels.slice(0, example.words.texts.length) },
      })),
      encode,
      40,
    );
  }

  it('where words are labelled, and a part has none', async () => {
    const setup = stepSetup(checkpoint, 'lora', findTask('usage-tagging'), labelledWords());
    const [whole, inParts] = await bothWays(setup, narrow(1));
    expectSame(whole, inParts);
  });

  it.each([
    ['sst2', false],
    ['usage-tagging', false],
    ['usage-tagging', true],
  ] as const)('in float16 but for rounding: %s, computed again in the backward half %s', async (task, recompute) => {
    const data = task === 'sst2' ? makeSequences(8, 3) : labelledWords();
    const wide = stepSetup(checkpoint, 'bitfit', findTask(task), data);
    const setup = { ...wide, settings: { ...wide.settings, precision: 'float16', recompute } as const };
    const [exact] = await bothWays(wide, unlimitedRoom());
    const [whole, inParts] = await bothWays(setup, narrow(1));
    expect(whole.norm / exact.norm).toBeCloseTo(1, 2);
    expectSame(exact, whole, 0.03);
    expectSame(whole, inParts, 0.03);
    expect(whole.gradients).not.toEqual(exact.gradients);
  });

  it('where it is private', async () => {
    const setup = stepSetup(checkpoint, 'lora', findTask('sst2'), makeSequences(8, 3));
    const model = buildModel(modelPlanOf(setup), { dropout: 'model' });
    const feeds = trainedFeeds(model, await noisyValues(model, checkpoint, 0.02));
    const weights = frozenWeights(model, checkpoint, 0);
    const executable = await onnxBackend.compile(privateOutputs(model, 'flat'), weights, setup.device);
    try {
      const step = (room: Room) =>
        computePrivateGradient({ setup, mechanism: noiselessMechanism, model, executable, feeds, room }, 1, 0.5);
      const [whole, inParts] = [await step(unlimitedRoom()), await step(narrow(30))];
      expectSame(whole, inParts);
      expect(inParts.record.gradientNorm).toBeCloseTo(whole.record.gradientNorm, 5);
      expect({ ...inParts.record, loss: 0, gradientNorm: 0 }).toEqual({ ...whole.record, loss: 0, gradientNorm: 0 });
    } finally {
      await executable.dispose();
    }
  });

  it('and so is an evaluation', async () => {
    const setup = stepSetup(checkpoint, 'slash', findTask('sst2'), makeSequences(9, 3), 4);
    const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
    const feeds = trainedFeeds(model, await noisyValues(model, checkpoint, 0.02));
    const { logits } = model.outputs;
    if (logits === undefined) throw new Error('no logits');
    const weights = frozenWeights(model, checkpoint, 0);
    const executable = await onnxBackend.compile({ logits, losses: model.losses }, weights, setup.device);
    try {
      const { config } = checkpoint;
      const options = { batchSize: 9, config, maskToken: 4, specialTokens: model.specialTokens };
      const scored = (room: Room) => evaluate(executable, setup.task, setup.train, feeds, { ...options, room });
      const [whole, inParts] = [await scored(unlimitedRoom()), await scored(narrow(30))];
      expect(inParts.loss).toBeCloseTo(whole.loss, 6);
      expect(inParts.metrics).toEqual(whole.metrics);
    } finally {
      await executable.dispose();
    }
  });
});

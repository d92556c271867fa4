import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { encodeDataset } from '../../../src/engine/data/dataset.ts';
import { frozenWeights, startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { buildModel } from '../../../src/engine/model-graph.ts';
import { computePrivateGradient, privateOutputs, type PrivateMechanism } from '../../../src/engine/private-step.ts';
import { train } from '../../../src/engine/trainer.ts';
import { modelPlanOf, type TrainingSetup } from '../../../src/engine/training-setup.ts';
import { trainedFeeds } from '../../../src/engine/training-step.ts';
import { openPrivateTraining } from '../../../src/runs/private-training.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { chanceOfGuesses, epsilonAtLeast } from '../../support/one-run-audit.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';
import { plainSettings } from '../../support/training-settings.ts';

/*
 * An attack on the very training that users run. Each canary is an example of a word of its own, there or not by a fair coin; full
 * fine-tuning gives each word an embedding, so that canaries hardly hide one another. The adversary knows the model, every canary and all
 * that the steps release, and guesses the coins by how far the releases point along each canary's gradient.
 */

const CANARIES = 400;
/** How many coins of a training are guessed: half of them those with the greatest scores, half those with the least. */
const GUESSED = 300;
const STEPS = 8;
const CLAIMED = 3;
const FIRST_WORD = 10;

const checkpoint = await openTinyEncoder({ vocab_size: FIRST_WORD + CANARIES, embeddingDeviation: 1e-3 });
let own: readonly (readonly number[])[] = [];
const folder = mkdtempSync(join(tmpdir(), 'privacy-audit-'));

beforeAll(async () => {
  own = await ownGradients();
});

afterAll(() => rmSync(folder, { recursive: true }));

const labels = randomStream(1, 'labels of canaries');
const examples = Array.from({ length: CANARIES }, (_, index) => ({
  text: String(FIRST_WORD + index),
  label: labels.below(2),
}));
const data = encodeDataset(
  examples,
  'classification',
  (text) => {
    const ids = Array.from({ length: 6 }, () => Number(text));
    return { ids, typeIds: ids.map(() => 0) };
  },
  8,
);

function makeSetup(privacy?: PrivateMechanism): TrainingSetup {
  return {
    checkpoint,
    method: { id: 'full', options: {} },
    task: findTask('sst2'),
    train: data,
    evaluations: [{ split: 'dev', dataset: data }],
    settings: {
      ...plainSettings,
      length: { kind: 'steps', steps: STEPS },
      batchSize: 50,
      accumulation: 4,
      // The adversary may choose the settings; with next to no change of the model each canary's gradient stays what it knows.
      learningRate: 1e-7,
      evaluateEvery: STEPS,
      checkpointEvery: STEPS,
    },
    backend: onnxBackend,
    device: { provider: 'cpu', threads: 1, reason: 'test' },
    maskToken: undefined,
    ...(privacy === undefined ? {} : { privacy }),
  };
}

const settings = {
  epsilon: CLAIMED,
  delta: 1e-5,
  maxGradNorm: 0.5,
  clipping: 'flat',
  accountant: 'tightest',
  sampling: 'poisson',
  publicEvaluation: false,
} as const;

function openWith(seed: number): PrivateMechanism {
  const start = { examples: CANARIES, trainingData: [], before: [], fromStep: 1, arithmetic: 'test' };
  return openPrivateTraining(folder, { ...settings, insecureSeed: seed }, makeSetup().settings, start).mechanism;
}

type Change = (mechanism: PrivateMechanism) => PrivateMechanism;

/** The defect that an audit has to find. */
const withoutNoise: Change = (mechanism) => ({ ...mechanism, addNoise: (sum) => Float64Array.from(sum) });

/** The row of a canary's own word in what a step makes of the words' embeddings. */
function rowOf(canary: number, embeddings: ArrayLike<number>): readonly number[] {
  const width = checkpoint.config.hiddenSize;
  const start = (FIRST_WORD + canary) * width;
  return Array.from({ length: width }, (_, i) => embeddings[start + i] ?? NaN);
}

function isWordEmbeddings(tensor: string): boolean {
  return tensor.endsWith('word_embeddings.weight');
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0);
}

/** The part of each canary's clipped gradient that no other has, as anybody can compute it who knows the model. */
async function ownGradients(): Promise<readonly (readonly number[])[]> {
  const setup = makeSetup();
  const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
  const feeds = trainedFeeds(model, await startValues(model, checkpoint, 0));
  const weights = frozenWeights(model, checkpoint, 0);
  const executable = await onnxBackend.compile(privateOutputs(model, 'flat'), weights, setup.device);
  const mechanism = withoutNoise(openWith(0));
  try {
    const own: (readonly number[])[] = [];
    for (let canary = 0; canary < CANARIES; canary++) {
      const alone: PrivateMechanism = { ...mechanism, draw: () => Uint32Array.of(canary) };
      const { gradients } = await computePrivateGradient({ setup, mechanism: alone, model, executable, feeds }, 1);
      const embeddings = [...gradients].find(([name]) => isWordEmbeddings(name))?.[1] ?? [];
      own.push(rowOf(canary, embeddings));
    }
    return own;
  } finally {
    await executable.dispose();
  }
}

/** Trains on the canaries whose coin says so. @returns what the steps released of the words' embeddings, summed */
async function release(isThere: readonly boolean[], mechanism: PrivateMechanism): Promise<Float64Array> {
  let released = new Float64Array();
  const watched: PrivateMechanism = {
    ...mechanism,
    draw: (step) => mechanism.draw(step).filter((index) => isThere[index] === true),
    addNoise: (sum, step, tensor, norm) => {
      const noisy = mechanism.addNoise(sum, step, tensor, norm);
      if (isWordEmbeddings(tensor)) released = noisy.map((value, i) => value + (released[i] ?? 0));
      return noisy;
    },
  };
  const result = await train(makeSetup(watched), {
    emit: () => undefined,
    wish: () => 'continue',
    save: (kind) => Promise.resolve(kind),
    now: () => 0,
  });
  expect(result.step).toBe(STEPS);
  return released;
}

/** How many coins the adversary guesses right in a training. */
async function attack(seed: number, change: Change): Promise<number> {
  const coins = randomStream(seed, 'coins');
  const isThere = Array.from({ length: CANARIES }, () => coins.below(2) === 1);
  const released = await release(isThere, change(openWith(seed)));
  const scores = own.map((gradient, canary) => dot(gradient, rowOf(canary, released)));
  const order = scores.map((_, canary) => canary).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
  const half = GUESSED / 2;
  const right = (canaries: readonly number[], there: boolean): number =>
    canaries.filter((canary) => isThere[canary] === there).length;
  return right(order.slice(0, half), true) + right(order.slice(-half), false);
}

/** What several trainings, each on canaries of its own, show together: in each of them every canary has the same guarantee. */
async function audit(change: Change): Promise<number> {
  const seeds = [1, 2, 3];
  let right = 0;
  for (const seed of seeds) right += await attack(seed, change);
  const guesses = { canaries: seeds.length * CANARIES, guessed: seeds.length * GUESSED, right };
  return epsilonAtLeast(guesses, settings.delta, 0.95);
}

describe('what guesses prove', () => {
  it('is what the binomial law says where delta is 0', () => {
    expect(chanceOfGuesses({ canaries: 10, guessed: 10, right: 10 }, 0, 0)).toBeCloseTo(2 ** -10, 12);
    const rate = Math.E / (1 + Math.E);
    const chance = 3 * rate ** 2 * (1 - rate) + rate ** 3;
    expect(chanceOfGuesses({ canaries: 9, guessed: 3, right: 2 }, 1, 0)).toBeCloseTo(chance, 12);
    // rate^100 = 0.05
    const all = epsilonAtLeast({ canaries: 100, guessed: 100, right: 100 }, 0, 0.95);
    expect(Math.exp(all) / (1 + Math.exp(all))).toBeCloseTo(0.05 ** 0.01, 9);
  });

  it('is nothing when half are right, and less where delta is greater', () => {
    expect(epsilonAtLeast({ canaries: 400, guessed: 300, right: 150 }, 1e-5, 0.95)).toBe(0);
    const bounds = [0, 1e-5, 1e-3].map((delta) =>
      epsilonAtLeast({ canaries: 400, guessed: 300, right: 290 }, delta, 0.95),
    );
    expect(bounds[1]).toBeLessThan(bounds[0] ?? NaN);
    expect(bounds[2]).toBeLessThan(bounds[1] ?? NaN);
  });
});

describe('an attack on canaries', () => {
  it('proves some privacy loss of the training as it is, and less than is claimed', async () => {
    const claimed = openWith(1).spent(STEPS).epsilon;
    expect(claimed).toBeGreaterThan(0.98 * CLAIMED);
    const shown = await audit((mechanism) => mechanism);
    expect(shown).toBeGreaterThan(0.15);
    expect(shown).toBeLessThan(claimed);
  });

  it('proves more than is claimed once the noise is left out', async () => {
    const shown = await audit(withoutNoise);
    expect(shown).toBeGreaterThan(openWith(1).spent(STEPS).epsilon);
  });

  it('proves more than is claimed where the noise is too small', async () => {
    const shown = await audit((mechanism) => ({
      ...mechanism,
      addNoise: (sum, step, tensor, norm) => mechanism.addNoise(sum, step, tensor, norm / 10),
    }));
    expect(shown).toBeGreaterThan(openWith(1).spent(STEPS).epsilon);
  });
});

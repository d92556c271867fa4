import { beforeAll, describe, expect, test } from 'vitest';
import type { Dataset } from '../../src/engine/data/dataset.ts';
import type { EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { eightBitPlan } from '../../src/engine/frozen-precision.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { methodStep } from '../support/every-method.ts';
import { device, smallOptions } from '../support/method-model.ts';
import { cosine, gradientOf, shippedEncoderAndSentences } from '../support/rounded-gradients.ts';

describe('in 8 bits a step of the encoder that ships has nearly the gradient of one in float32', () => {
  let checkpoint: EncoderCheckpoint;
  let sequences: Dataset;

  beforeAll(async () => {
    ({ checkpoint, sequences } = await shippedEncoderAndSentences());
  });

  // Nothing of the layers is frozen in full fine-tuning.
  test.each(methodIds().filter((id) => id !== 'full'))('of %s', async (id) => {
    const options = id === 'union' ? (smallOptions[id] ?? {}) : {};
    const step = await methodStep(checkpoint, id, 'plain', { sequences, deviation: 0.01, options });
    const exact = await gradientOf(step, device);
    const rounded = await gradientOf(step, { ...device, eightBit: await eightBitPlan(step.model, checkpoint) });
    expect(cosine(rounded, exact)).toBeGreaterThan(0.99);
    expect(rounded).not.toEqual(exact);
  });

  test.each([
    ['lora', ['straight', 'transposed']],
    ['warp', ['straight']],
    ['unipelt-prompt', ['straight']],
  ] as const)('%s: of the first layer with the products %s, of the others with both', async (id, first) => {
    const { model } = await methodStep(checkpoint, id, 'plain', { sequences, deviation: 0.01, options: {} });
    const plan = await eightBitPlan(model, checkpoint);
    const readings = (layer: number): readonly string[] => [
      ...new Set([...plan].flatMap(([name, each]) => (name.includes(`layer.${layer}.`) ? [...each.readings] : []))),
    ];
    expect([readings(0).toSorted(), readings(1).toSorted()]).toEqual([first, ['straight', 'transposed']]);
  });

  test('of a private step too, for each example by itself', async () => {
    const step = await methodStep(checkpoint, 'lora', 'private', { sequences, deviation: 0.01, options: {} });
    const rounded = await gradientOf(step, { ...device, eightBit: await eightBitPlan(step.model, checkpoint) });
    expect(cosine(rounded, await gradientOf(step, device))).toBeGreaterThan(0.99);
  });
});

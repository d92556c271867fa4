import { beforeAll, describe, expect, test } from 'vitest';
import type { Dataset } from '../../src/engine/data/dataset.ts';
import type { EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { methodStep } from '../support/every-method.ts';
import { device, smallOptions } from '../support/method-model.ts';
import { cosine, gradientOf, shippedEncoderAndSentences } from '../support/rounded-gradients.ts';

describe('in float16 a step of the encoder that ships has the gradient of one in float32, but for rounding', () => {
  let checkpoint: EncoderCheckpoint;
  let sequences: Dataset;

  beforeAll(async () => {
    ({ checkpoint, sequences } = await shippedEncoderAndSentences());
  });

  test.each(methodIds())('of %s', async (id) => {
    const options = id === 'union' ? (smallOptions[id] ?? {}) : {};
    const step = await methodStep(checkpoint, id, 'plain', { sequences, deviation: 0.01, options });
    const exact = await gradientOf(step, device);
    const rounded = await gradientOf(step, { ...device, precision: 'float16', wide: step.model.wide });
    expect(cosine(rounded, exact)).toBeGreaterThan(0.999);
    expect(rounded).not.toEqual(exact);
  });
});

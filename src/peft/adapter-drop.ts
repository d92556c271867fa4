import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { alike, denseMap, initOptions, matrixLaw } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, houlsbysForm, type UsualWidth } from './bottleneck.ts';
import type { Method } from './method.ts';

const usual: UsualWidth = { bottleneck: 64 };

const options = z
  .strictObject({
    drop: z
      .int()
      .nonnegative()
      .optional()
      .describe('How many of the first layers have no adapters; by default five of every twelve, rounded down.'),
    ...adapterOptions({ ...houlsbysForm, usual }),
    ...initOptions({ init: 'truncated-normal', initDeviation: 1e-3, initGain: 1 }),
    ...commonOptions,
  })
  .omit({ layers: true });

/**
 * AdapterDrop, specialised: Houlsby's adapters without those of the first layers (section 3), which makes both passes shorter: no
 * gradient is computed below the first adapter. Five of twelve layers are dropped, as Karimi Mahabadi et al. 2021 do.
 */
export const adapterDrop: Method<z.infer<typeof options>> = {
  id: 'adapter-drop',
  title: 'AdapterDrop',
  citation: 'Rücklé et al., AdapterDrop: On the Efficiency of Adapters in Transformers, 2021, arXiv 2010.11918',
  description: 'Adapters in the upper layers only.',
  options,
  training: { learningRate: 1e-3 },
  build: ({ drop, ...chosen }, encoder, scope) => {
    const first = drop ?? Math.floor((5 * encoder.layers) / 12);
    if (first >= encoder.layers) {
      throw new UserError(
        `adapter-drop: drop ${first} leaves no adapter: the encoder has ${encoder.layers} layers`,
        `Drop at most ${encoder.layers - 1}.`,
      );
    }
    const layers = Array.from({ length: encoder.layers - first }, (_, index) => first + index);
    const map = denseMap((from, to) => matrixLaw(chosen, from, to), scope);
    return adapterPlan(
      { method: 'adapter-drop', options: { ...chosen, layers }, usual, maps: () => alike(map) },
      encoder,
      scope,
    );
  },
};

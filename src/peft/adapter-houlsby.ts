import { z } from 'zod';
import { alike, denseMap, initOptions, matrixLaw } from './affine.ts';
import { adapterOptions, adapterPlan, commonOptions, houlsbysForm, type UsualWidth } from './bottleneck.ts';
import type { Method } from './method.ts';

const usual: UsualWidth = { bottleneck: 64 };

const options = z.strictObject({
  ...adapterOptions({ ...houlsbysForm, usual }),
  ...initOptions({ init: 'truncated-normal', initDeviation: 1e-3, initGain: 1 }),
  ...commonOptions,
});

/**
 * Houlsby's adapters: after the attention block and after the feed-forward block, before the residual sum, O becomes
 * O + W_up gelu(W_down O + b_down) + b_up (section 2.1, figure 2). The authors train the encoder's layer norms too; here that is the
 * option `trainNorms`.
 */
export const adapterHoulsby: Method<z.infer<typeof options>> = {
  id: 'adapter-houlsby',
  title: 'Adapters (Houlsby)',
  citation: 'Houlsby et al., Parameter-Efficient Transfer Learning for NLP, 2019, arXiv 1902.00751',
  description: 'Puts a trained bottleneck after the attention and after the feed-forward block of every layer.',
  options,
  training: { learningRate: 1e-3 },
  build: (chosen, encoder, scope) => {
    const map = denseMap((from, to) => matrixLaw(chosen, from, to), scope);
    return adapterPlan({ method: 'adapter-houlsby', options: chosen, usual, maps: () => alike(map) }, encoder, scope);
  },
};

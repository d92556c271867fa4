import { z } from 'zod';
import { add, broadcast, constant, dimAt, putRows, reshape } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import { stays } from './folding.ts';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';
import { placeOptions } from './prompt-rows.ts';
import { declareProjections, projectionOptions } from './random-projection.ts';

const options = z.strictObject({ ...projectionOptions, ...placeOptions, head: headOption('mask') });

/** x `[batch, rows, width]` with `shift` `[1, width]` added to one row of every example. */
function shiftRow(x: Value, shift: Value, row: number): Value {
  const [batch, rows, width] = [dimAt(x, 0), dimAt(x, 1), dimAt(x, 2)];
  const position = broadcast(constant([row], [1, 1], 'int32'), [batch, 1]);
  return add(x, putRows(broadcast(reshape(shift, [1, 1, width]), [batch, 1, width]), position, rows));
}

/**
 * JR-WARP: one row stands in front of the text. It enters the first layer as z W_0, and z W_l is added to it before every later layer l;
 * z `[1, d]` is trained, W_l `[d, h]` are fixed and random (section 3). Trained: z and one linear map onto the labels; dropout is off
 * unless the configuration gives a rate.
 */
export const jrWarp: Method<z.infer<typeof options>> = {
  id: 'jr-warp',
  title: 'JR-WARP',
  citation:
    'Gupta, Galstyan and Ver Steeg, Jointly Reparametrized Multi-Layer Adaptation for Efficient and Private Tuning, 2023, arXiv 2305.19264',
  description:
    'Puts one row before the text and shifts it at every layer by fixed random projections of one trained vector.',
  options,
  training: { learningRate: 1e-2, weightDecay: 0 },
  build: ({ head, place, headReads, ...choice }, encoder, scope) => {
    const shiftOf = declareProjections('jr-warp', choice, encoder.hiddenSize, scope);
    const row = place === 'before-text' ? 0 : 1;
    return {
      hooks: { beforeLayer: (x, { layer }) => (layer === 0 ? x : shiftRow(x, shiftOf(layer), row)) },
      head,
      dropout: false,
      folding: stays('shifts a row of its own in every sequence'),
      rows: { count: 1, rows: shiftOf(0), enter: 'before-layers', place, headReads },
    };
  },
};

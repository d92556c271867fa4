import { permutation, randomStream, type RandomStream } from '../../base/random.ts';
import { IGNORED_LABEL } from '../../tasks/losses.ts';
import type { Batch } from '../data/batches.ts';
import type { EncoderConfig } from '../encoders/config.ts';
import { encoderFeeds, type NamedTensors } from '../feeds.ts';

/**
 * Which tokens are masked, as BERT does it (Devlin et al. 2019, section 3.1): of those chosen, 80 % become the mask token, 10 % another
 * token, 10 % stay as they are; all of them are to be predicted.
 */
export interface Masking {
  /** The share of a text's tokens that are chosen. */
  readonly rate: number;
  /** Choose whole words rather than tokens. */
  readonly wholeWords: boolean;
  readonly maskId: number;
  /** The tokens that may take another's place: all but the special ones. */
  readonly ordinaryIds: Int32Array;
  /** By id: 1 for a token that goes on with the word before it. */
  readonly continues: Uint8Array;
}

/** One text with its chosen tokens. */
export interface MaskedText {
  readonly inputIds: Int32Array;
  /** Where the chosen tokens stand, in ascending order. */
  readonly positions: Int32Array;
  /** What stood there. */
  readonly labels: Int32Array;
}

/** The tokens that can be chosen, word by word; each by itself where words are not kept whole. */
function unitsOf(ids: ArrayLike<number>, special: ArrayLike<number>, masking: Masking): readonly (readonly number[])[] {
  const units: number[][] = [];
  for (let at = 0; at < ids.length; at++) {
    if (special[at] === 1) continue;
    const goesOn = masking.wholeWords && masking.continues[ids[at] as number] === 1 && units.at(-1)?.at(-1) === at - 1;
    if (goesOn) units.at(-1)?.push(at);
    else units.push([at]);
  }
  return units;
}

/**
 * Chooses and masks tokens of one text. Of n ordinary tokens max(1, round(rate n)) are chosen, never more; with whole words a word that does
 * not fit any more is passed over, so it may be fewer, but for a single word that is longer than that.
 * @param special 1 on tokens that are never chosen
 */
export function maskText(
  ids: ArrayLike<number>,
  special: ArrayLike<number>,
  masking: Masking,
  random: RandomStream,
): MaskedText {
  const units = unitsOf(ids, special, masking);
  const ordinary = units.reduce((sum, unit) => sum + unit.length, 0);
  const most = Math.max(1, Math.round(masking.rate * ordinary));
  const chosen: number[] = [];
  for (const index of permutation(units.length, random)) {
    if (chosen.length >= most) break;
    const unit = units[index] ?? [];
    if (chosen.length + unit.length <= most || chosen.length === 0) chosen.push(...unit);
  }
  const positions = Int32Array.from(chosen).sort();
  const labels = Int32Array.from(positions, (at) => ids[at] as number);
  const inputIds = Int32Array.from(ids);
  for (const at of positions) {
    const share = random.uniform();
    if (share < 0.8) inputIds[at] = masking.maskId;
    else if (share < 0.9) inputIds[at] = masking.ordinaryIds[random.below(masking.ordinaryIds.length)] as number;
  }
  return { inputIds, positions, labels };
}

/** Where a text's masks are drawn from: a training step's place, or nothing but the text's own place, so that evaluations are alike. */
export type MaskDraw =
  | { readonly kind: 'training'; readonly seed: number; readonly step: number; readonly microBatch: number }
  | { readonly kind: 'evaluation' };

/** A masked batch for a graph that scores words at given positions. */
export interface MaskedFeeds {
  readonly feeds: NamedTensors;
  /** How many tokens are scored, in each row. */
  readonly counts: Int32Array;
}

/**
 * Masks a batch: its inputs, `masked_positions` and `labels` int32 `[batch, masked]`, where rows with fewer chosen tokens than the
 * others are filled up with position 0 and a label that is not scored. A pure function of the draw and the batch.
 */
export function maskBatch(batch: Batch, config: EncoderConfig, masking: Masking, draw: MaskDraw): MaskedFeeds {
  const [rows, tokens] = batch.shape;
  const stepRandom =
    draw.kind === 'training' ? randomStream(draw.seed, `mask.${draw.step}.${draw.microBatch}`) : undefined;
  const inputIds = Int32Array.from(batch.inputIds);
  const masked = Array.from(batch.indices, (index, row) => {
    const start = row * tokens;
    const length = batch.attentionMask.subarray(start, start + tokens).lastIndexOf(1) + 1;
    const random = stepRandom ?? randomStream(0, `mask.evaluation.${index}`);
    const text = maskText(
      batch.inputIds.subarray(start, start + length),
      batch.special.subarray(start, start + length),
      masking,
      random,
    );
    inputIds.set(text.inputIds, start);
    return text;
  });
  const width = Math.max(1, ...masked.map(({ positions }) => positions.length));
  const positions = new Int32Array(rows * width);
  const labels = new Int32Array(rows * width).fill(IGNORED_LABEL);
  for (const [row, text] of masked.entries()) {
    positions.set(text.positions, row * width);
    labels.set(text.labels, row * width);
  }
  return {
    feeds: {
      ...encoderFeeds({ ...batch, inputIds }, batch.shape, config),
      masked_positions: { dtype: 'int32', shape: [rows, width], data: positions },
      labels: { dtype: 'int32', shape: [rows, width], data: labels },
    },
    counts: Int32Array.from(masked, (text) => text.positions.length),
  };
}

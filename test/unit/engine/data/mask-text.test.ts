import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assembleBatch } from '../../../../src/engine/data/batches.ts';
import { encodeDataset } from '../../../../src/engine/data/dataset.ts';
import { maskEncoder, READ_MASK } from '../../../../src/engine/data/mask-text.ts';
import { openEncoder, type EncoderCheckpoint } from '../../../../src/engine/encoder-checkpoint.ts';
import { batchFeeds } from '../../../../src/engine/feeds.ts';
import { loadTokenizer } from '../../../../src/engine/tokenizers/load.ts';
import type { Tokenizer } from '../../../../src/engine/tokenizers/tokenizer.ts';
import { makeTinyEncoder } from '../../../support/tiny-encoder.ts';

let tokenizer: Tokenizer;
let checkpoint: EncoderCheckpoint;
let remove: () => Promise<void>;

beforeAll(async () => {
  const made = await makeTinyEncoder();
  ({ remove } = made);
  tokenizer = await loadTokenizer(made.folder);
  checkpoint = await openEncoder(made.folder);
});
afterAll(async () => {
  await remove();
});

/** The tokens of an example as they are written, the one that is read in brackets of its own. */
function written(text: string, pair?: string, maxLength = 20): string {
  const { ids, special, typeIds } = maskEncoder(tokenizer)(text, pair, maxLength);
  expect([typeIds.length, special.length]).toEqual([ids.length, ids.length]);
  expect(ids.length).toBeLessThanOrEqual(maxLength);
  const marked = [...ids].map((id, at) => {
    const token = tokenizer.idToToken(id) ?? '';
    return special[at] === READ_MASK ? `>${token}<` : special[at] === 1 ? token : token.toLowerCase();
  });
  return marked.join(' ');
}

describe('the mask token that a head reads', () => {
  it('stands after the first text', () => {
    expect(written('the film')).toBe('[CLS] the film >[MASK]< [SEP]');
    expect(written('the film', 'a plot')).toBe('[CLS] the film >[MASK]< a plot [SEP]');
    expect(written('', 'a plot')).toBe('[CLS] >[MASK]< a plot [SEP]');
  });

  it('is not one that is written in a text', () => {
    expect(written('the [MASK] film', 'a [MASK]')).toBe('[CLS] the [mask] film >[MASK]< a [mask] [SEP]');
    expect(written('[MASK][MASK]')).toBe('[CLS] [mask] [mask] >[MASK]< [SEP]');
    expect(written('the [SEP] film')).toBe('[CLS] the [sep] film >[MASK]< [SEP]');
  });

  it('stays when the texts are cut', () => {
    expect(written('the film is good', 'a plot', 7)).toBe('[CLS] the film is good >[MASK]< [SEP]');
    expect(written('the film is good and moving', 'a plot', 6)).toBe('[CLS] the film is >[MASK]< [SEP]');
    expect(written('the [MASK] is [MASK] and moving', undefined, 6)).toBe('[CLS] the [mask] is >[MASK]< [SEP]');
  });

  it('is the one whose place is fed, and the first where none is marked', () => {
    const examples = ['the [MASK] film', 'a plot'].map((text) => ({ text, label: 0 }));
    const mask = tokenizer.specialTokens.mask?.id;
    const placesOf = (encode: Parameters<typeof encodeDataset>[2]): readonly number[] => {
      const dataset = encodeDataset(examples, 'classification', encode, 20);
      const batch = assembleBatch(dataset, Uint32Array.of(0, 1), { padId: 0 });
      return Array.from(batchFeeds(batch, checkpoint.config, mask)['mask_positions']?.data ?? [], Number);
    };
    expect(placesOf(maskEncoder(tokenizer))).toEqual([4, 3]);
    const unmarked = maskEncoder(tokenizer);
    expect(placesOf((...of) => ({ ...unmarked(...of), special: new Uint8Array(unmarked(...of).ids.length) }))).toEqual([
      2, 3,
    ]);
  });
});

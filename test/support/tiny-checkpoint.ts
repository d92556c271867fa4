import { afterAll } from 'vitest';
import { openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { makeTinyEncoder, type TinyChanges } from './tiny-encoder.ts';

/** A tiny encoder for all tests of a file; its folder is gone after them. */
export async function openTinyEncoder(changes: TinyChanges = {}): Promise<EncoderCheckpoint> {
  const { folder, remove } = await makeTinyEncoder(changes);
  afterAll(remove);
  return openEncoder(folder);
}

import { UserError } from '../../base/errors.ts';
import type { FastEncoding, Tokenizer } from '../tokenizers/tokenizer.ts';

/** What marks, among an example's special tokens, the mask token that was put in for the head to read. */
export const READ_MASK = 2;

function countOf(ids: Int32Array, id: number): number {
  return ids.reduce((count, each) => count + (each === id ? 1 : 0), 0);
}

/** The place of occurrence `index` of `id`, or -1. */
function placeOf(ids: Int32Array, id: number, index: number): number {
  let at = ids.indexOf(id);
  for (let seen = 0; seen < index && at >= 0; seen++) at = ids.indexOf(id, at + 1);
  return at;
}

/**
 * Tokenises one or two texts as one, a mask token between them or at the end (Gupta et al. 2023), which is marked as the one to read: not
 * one that is written in a text.
 * @throws UserError when the tokenizer has no mask token
 */
export function maskEncoder(
  tokenizer: Tokenizer,
): (text: string, pair: string | undefined, maxLength: number) => FastEncoding {
  const { mask } = tokenizer.specialTokens;
  if (mask === undefined)
    throw new UserError('the tokenizer has no mask token, which the head reads', 'Set method.head to "linear".');
  const written = (text: string): number =>
    text.includes(mask.text) ? countOf(tokenizer.encodeFast(text, undefined, Number.MAX_SAFE_INTEGER).ids, mask.id) : 0;
  return (text, pair, maxLength) => {
    const joined = tokenizer.encodeFast(`${text}${mask.text}${pair ?? ''}`, undefined, maxLength);
    const at = placeOf(joined.ids, mask.id, written(text));
    if (at >= 0) return { ...joined, special: joined.special.with(at, READ_MASK) };
    // A first sentence as long as the limit would push the mask out: it is shortened instead.
    const bare = tokenizer.encodeFast(text, undefined, maxLength - 1);
    const last = bare.ids.length - 1;
    return {
      ids: Int32Array.of(...bare.ids.subarray(0, last), mask.id, ...bare.ids.subarray(last)),
      typeIds: new Int32Array(last + 2),
      special: Uint8Array.of(...bare.special.subarray(0, last), READ_MASK, ...bare.special.subarray(last)),
    };
  };
}

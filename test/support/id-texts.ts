/** The mask of the texts below. */
export const MASK = 4;

/** A text of token ids as a tokenizer would encode it, with a mask before its end. */
export function encodeIds(text: string): {
  readonly ids: readonly number[];
  readonly typeIds: readonly number[];
  readonly special: readonly number[];
} {
  const ids = [2, ...text.split(' ').map(Number), MASK, 3];
  return { ids, typeIds: ids.map(() => 0), special: ids.map((id) => (id === 2 || id === 3 ? 1 : 0)) };
}

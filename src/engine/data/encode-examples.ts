import type { Example, Task } from '../../tasks/task.ts';
import type { Tokenizer } from '../tokenizers/tokenizer.ts';
import { encodeDataset, encodeWordDataset, type Dataset } from './dataset.ts';
import { maskEncoder } from './mask-text.ts';

/**
 * Tokenises a task's examples: as words where words are labelled, with a mask token put in where the head reads one.
 * @param maxLength the greatest number of tokens of an example
 * @throws UserError when the head reads a mask token and the tokenizer has none
 */
export function encodeExamples(
  examples: readonly Example[],
  kind: Task['kind'],
  tokenizer: Tokenizer,
  { readsMask, maxLength }: { readonly readsMask: boolean; readonly maxLength: number },
): Dataset {
  if (kind === 'words') return encodeWordDataset(examples, tokenizer.encodeWords, maxLength);
  const encode: Tokenizer['encodeFast'] = readsMask ? maskEncoder(tokenizer) : (...of) => tokenizer.encodeFast(...of);
  return encodeDataset(examples, kind, encode, maxLength);
}

/** What the files that define a tokeniser have in common, whichever of the three kinds they are. */
import { ByteLevelDecoder, WordPieceDecoder } from '@huggingface/tokenizers';
import { FileError } from '../../base/errors.ts';
import type { AddedToken } from './added-tokens.ts';
import type { Template } from './encoding.ts';
import type { Normalizer } from './normalizer.ts';
import type { TokenizerParts } from './tokenizer.ts';
import { byteLevelModel, wordPieceModel, type ByteLevelSettings, type WordPieceSettings } from './words.ts';

/** A tokeniser as far as the file of its vocabulary tells. */
export interface Definition {
  readonly parts: Omit<TokenizerParts, 'specialTokens' | 'maxLength' | 'addedTokens' | 'template'>;
  readonly addedTokens: readonly AddedToken[];
  /** Undefined: the family's usual template. */
  readonly template: Template | undefined;
  readonly trimOffsets: Template['trimOffsets'];
}

/** The parts of a BERT tokeniser: WordPiece behind a normaliser. */
export function wordPieceParts(normalizer: Normalizer, settings: WordPieceSettings): Definition['parts'] {
  const decoder = new WordPieceDecoder({ type: 'WordPiece', prefix: settings.continuation, cleanup: true });
  return {
    family: 'wordpiece',
    normalizer,
    model: wordPieceModel(settings),
    join: (tokens) => decoder.decode(tokens),
  };
}

/** The parts of a RoBERTa tokeniser: BPE over bytes. */
export function byteLevelParts(normalizer: Normalizer, settings: ByteLevelSettings): Definition['parts'] {
  const decoder = new ByteLevelDecoder({ type: 'ByteLevel' });
  return {
    family: 'byte-level-bpe',
    normalizer,
    model: byteLevelModel(settings),
    join: (tokens) => decoder.decode(tokens),
  };
}

/** A merge of BPE. @throws FileError when one of its tokens, or what they become, is not in the vocabulary */
export function checkMerge(
  [left, right]: readonly [string, string],
  vocabulary: Readonly<Record<string, number>>,
  file: string,
  line: number | undefined,
): readonly [string, string] {
  const missing = [left, right, left + right].find((token) => !Object.hasOwn(vocabulary, token));
  if (missing !== undefined)
    throw new FileError(
      file,
      line,
      `merges "${left}" and "${right}", but "${missing}" is not in the vocabulary`,
      'Do the two files belong together?',
    );
  return [left, right];
}

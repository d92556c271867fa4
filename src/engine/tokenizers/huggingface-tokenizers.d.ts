/**
 * What is used of `@huggingface/tokenizers`. Its own declarations import each other without file endings, which TypeScript cannot
 * follow under `nodenext`.
 */
declare module '@huggingface/tokenizers' {
  export class WordPiece {
    constructor(config: {
      type: 'WordPiece';
      vocab: Record<string, number>;
      unk_token: string;
      continuing_subword_prefix: string;
      max_input_chars_per_word: number;
    });
    readonly tokens_to_ids: Map<string, number>;
    /** Words into tokens. */
    encode(words: string[]): string[];
  }

  export class BPE {
    constructor(config: {
      type: 'BPE';
      vocab: Record<string, number>;
      merges: [string, string][];
      unk_token: string | null;
      ignore_merges: boolean;
    });
    readonly tokens_to_ids: Map<string, number>;
    /** One word into pieces, whether or not they are in the vocabulary. The array is shared: do not change it. */
    bpe(word: string): readonly string[];
  }

  export class WordPieceDecoder {
    constructor(config: { type: 'WordPiece'; prefix: string; cleanup: boolean });
    decode(tokens: string[]): string;
  }

  export class ByteLevelDecoder {
    constructor(config: { type: 'ByteLevel' });
    decode(tokens: string[]): string;
  }
}

import { UserError } from '../../base/errors.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Tokenizer } from '../tokenizers/tokenizer.ts';
import type { Masking } from './masking.ts';

/** Sequences shorter than this say little; the end of a packed text is dropped when it is. */
const shortest = 8;

/**
 * Packs documents into sequences of `maxLength` tokens (one fewer where only an end token would fill it; the last may be shorter): a start
 * token, as much text as fits, an end token; documents follow one another with an end token between them (Liu et al. 2019, "full sentences"). Nothing is padded but a batch's last
 * sequence, and no token is lost but those of an end that is too short.
 */
export function packDocuments(documents: Iterable<string>, tokenizer: Tokenizer, maxLength: number): Dataset {
  const { cls, sep } = tokenizer.specialTokens;
  const room = maxLength - 2;
  if (room < shortest)
    throw new UserError(`task.maxLength is ${maxLength}`, `Texts need at least ${shortest + 2} tokens.`);
  let ids = new Int32Array(1 << 16);
  let special = new Uint8Array(ids.length);
  let used = 0;
  const offsets = [0];
  let begun = 0;
  const put = (id: number, mark: 0 | 1): void => {
    if (used === ids.length) {
      const [moreIds, moreMarks] = [new Int32Array(2 * used), new Uint8Array(2 * used)];
      moreIds.set(ids);
      moreMarks.set(special);
      [ids, special] = [moreIds, moreMarks];
    }
    ids[used] = id;
    special[used++] = mark;
  };
  const begin = (): void => {
    begun = used;
    put(cls.id, 1);
  };
  const end = (): void => {
    put(sep.id, 1);
    offsets.push(used);
    begin();
  };
  begin();
  for (const document of documents) {
    const { ids: tokens, special: marks } = tokenizer.encodeFast(document, undefined, Number.MAX_SAFE_INTEGER);
    let first = true;
    for (let at = 0; at < tokens.length; at++) {
      if (marks[at] === 1) continue;
      if (first && used - begun > 1) {
        if (used - begun - 1 >= room - 1) end();
        else put(sep.id, 1);
      }
      first = false;
      put(tokens[at] as number, 0);
      if (used - begun - 1 === room) end();
    }
  }
  if (used - begun - 1 >= shortest) end();
  const total = offsets.at(-1) ?? 0;
  const count = offsets.length - 1;
  return {
    count,
    kind: 'masked-words',
    ids: ids.slice(0, total),
    typeIds: new Uint8Array(total),
    special: special.slice(0, total),
    offsets: Uint32Array.from(offsets),
    labels: new Float64Array(count),
  };
}

/** What masking needs to know of a tokenizer. @throws UserError when it has no mask token */
export function maskingOf(tokenizer: Tokenizer, options: Pick<Masking, 'rate' | 'wholeWords'>): Masking {
  const { specialTokens, greatestId, family } = tokenizer;
  const { mask } = specialTokens;
  if (mask === undefined)
    throw new UserError(
      'the tokenizer has no mask token',
      'Only models that were made to predict masked words can be trained so.',
    );
  const never = new Set(Object.values(specialTokens).map((token) => (token as typeof mask | undefined)?.id));
  const continues = new Uint8Array(greatestId + 1);
  const ordinary: number[] = [];
  for (let id = 0; id <= greatestId; id++) {
    const token = tokenizer.idToToken(id);
    if (token === undefined || never.has(id)) continue;
    ordinary.push(id);
    // WordPiece marks what goes on; byte-level pieces mark what begins, by the blank before it.
    continues[id] = (family === 'wordpiece' ? token.startsWith('##') : !token.startsWith('Ġ')) ? 1 : 0;
  }
  return { ...options, maskId: mask.id, ordinaryIds: Int32Array.from(ordinary), continues };
}

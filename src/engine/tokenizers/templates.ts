/** How special tokens stand around one text and around two. */
import type { Template, TemplatePart } from './encoding.ts';
import type { SpecialToken } from './tokenizer.ts';

/** The place of the first or the second text. */
export function sequencePart(index: 0 | 1, typeId: number): TemplatePart {
  return { kind: 'sequence', index, typeId };
}

function specialPart(token: SpecialToken, typeId: number): TemplatePart {
  return { kind: 'special', ids: [token.id], tokens: [token.text], typeId };
}

/** `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, where B and its end are of type 1. */
export function bertTemplate(cls: SpecialToken, sep: SpecialToken): Template {
  const single = [specialPart(cls, 0), sequencePart(0, 0), specialPart(sep, 0)];
  return { single, pair: [...single, sequencePart(1, 1), specialPart(sep, 1)], trimOffsets: undefined };
}

/** `<s> A </s>` and `<s> A </s></s> B </s>`, all of type 0. */
export function robertaTemplate(cls: SpecialToken, sep: SpecialToken, trimOffsets: Template['trimOffsets']): Template {
  const single = [specialPart(cls, 0), sequencePart(0, 0), specialPart(sep, 0)];
  return { single, pair: [...single, specialPart(sep, 0), sequencePart(1, 0), specialPart(sep, 0)], trimOffsets };
}

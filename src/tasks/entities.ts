import type { Numbers } from './metrics.ts';

/**
 * Entities in labelled words, as seqeval counts them (Nakayama 2018, https://github.com/chakki-works/seqeval; the scheme of the CoNLL-2000
 * scorer): a run of words of one type begins at `B-`, at `I-` after `O`, and where the type changes.
 */

interface Entity {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

function parts(label: string): { readonly begins: boolean; readonly type: string | undefined } {
  const match = /^([BI])-(.+)$/u.exec(label);
  return { begins: match?.[1] === 'B', type: match?.[2] };
}

/** The entities of one example's labels, in order; `end` is the place after the last word. */
export function entitiesOf(labels: readonly string[]): readonly Entity[] {
  const found: Entity[] = [];
  let open: { type: string; start: number } | undefined;
  for (const [at, label] of labels.entries()) {
    const { begins, type } = parts(label);
    if (open !== undefined && (begins || type !== open.type)) {
      found.push({ ...open, end: at });
      open = undefined;
    }
    if (type !== undefined) open ??= { type, start: at };
  }
  if (open !== undefined) found.push({ ...open, end: labels.length });
  return found;
}

export interface EntityScores {
  readonly precision: number;
  readonly recall: number;
  /** 2 TP / (predicted + actual), 0 where there is nothing to find and nothing found. */
  readonly f1: number;
}

/**
 * Micro-averaged scores of entities: one counts as found only where its type, its first and its last word are right.
 * @param names label names by index
 * @param predictions label indices of every word, example after example
 * @param labels the gold ones
 * @param starts where each example's words begin, and where the last one's end
 */
export function entityScores(
  names: readonly string[],
  predictions: Numbers,
  labels: Numbers,
  starts: Numbers,
): EntityScores {
  if (predictions.length !== labels.length)
    throw new RangeError(`${predictions.length} predictions for ${labels.length} words`);
  let [right, predicted, actual] = [0, 0, 0];
  const within = (indices: Numbers, example: number): readonly Entity[] => {
    const [from, to] = [starts[example] as number, starts[example + 1] as number];
    return entitiesOf(Array.from({ length: to - from }, (_, i) => names[indices[from + i] as number] ?? 'O'));
  };
  for (let example = 0; example + 1 < starts.length; example++) {
    const [found, gold] = [within(predictions, example), within(labels, example)];
    predicted += found.length;
    actual += gold.length;
    const keys = new Set(gold.map(({ type, start, end }) => `${start}-${end}-${type}`));
    for (const { type, start, end } of found) if (keys.has(`${start}-${end}-${type}`)) right++;
  }
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return { precision: share(right, predicted), recall: share(right, actual), f1: share(2 * right, predicted + actual) };
}

import type { HeadKind } from '../../peft/method.ts';
import type { Objective } from '../model-graph.ts';
import { namesOf, type CaseFacts } from './mapping.ts';

/** What a reference case says of its head: what it is asked for, how it is built, and which row it reads. */

/** Heads of two maps by the name of the first: those that RoBERTa and ELECTRA have themselves, and that of DistilBERT. */
const [denseMap, preClassifier] = ['head.classifier.dense.', 'head.pre_classifier.'] as const;

function poolingOf({ hyperparameters: { pooling } }: CaseFacts): string {
  return typeof pooling === 'string' ? pooling : '';
}

/** Whether a head that reads one row reads the text's own, as cases of methods that add rows say it. */
export function headReadsOf(facts: CaseFacts): 'text' | 'unshifted' {
  const said = poolingOf(facts);
  const moved = /\bmoved\b|\bshifted\b/i.test(said) && !/\b(?:not|un)\W*(?:moved|shifted)\b/i.test(said);
  return moved ? 'text' : 'unshifted';
}

/**
 * Which head a case has, from the tensors of it that are trained. A head of one map on BERT is behind the pooler, unless the case says
 * which row it reads or the method is one whose head never does that.
 */
export function headOf(facts: CaseFacts, usual: 'native' | 'linear'): HeadKind {
  const { family } = facts.encoder;
  const heads = namesOf(facts, 'head');
  const has = (prefix: string): boolean => heads.some((name) => name.startsWith(prefix));
  if (has(denseMap)) return family === 'roberta' || family === 'electra' ? 'native' : 'two-layer';
  if (has(preClassifier) || !has('head.classifier.')) return 'native';
  const pooling = poolingOf(facts);
  if (/mask/i.test(pooling)) return 'mask';
  const readsPooler = family === 'bert' && usual === 'native' && (pooling === '' || /pooler/i.test(pooling));
  return readsPooler ? 'native' : 'linear';
}

/** Whether the case trains weights of the head that come before its last map. */
export function trainsInnerHead(facts: CaseFacts): boolean {
  return [denseMap, preClassifier].some((map) => `${map}weight` in facts.trainable);
}

/** Masked words are predicted by the base model's own map, so nothing of a head is trained, and every token may have a label. */
function areWords({ inputs: { labels }, task = '', hasWordHead = false }: CaseFacts): boolean {
  const ofTokens = labels?.integers === true && labels.shape.length === 2;
  return ofTokens && (hasWordHead || /(?:^|[\W_])(?:mlm|masked.(?:lm|language))/i.test(task));
}

/** What the head is asked for, from the inputs and the head's own tensors; a text says what is odd. */
export function objectiveOf(facts: CaseFacts): Objective | string {
  const heads = namesOf(facts, 'head');
  if (heads.length === 0) {
    return areWords(facts)
      ? { kind: 'masked-words' }
      : 'trains no head.*: not a classifier, a regression or a span head, and no masked words';
  }
  const { start_positions: start, end_positions: end, labels } = facts.inputs;
  if (start !== undefined && end !== undefined) {
    return 'head.qa_outputs.weight' in facts.trainable ? { kind: 'span' } : `has the span head ${heads.join(', ')}`;
  }
  const [inner] = heads.filter((name) => name.startsWith(denseMap) || name.startsWith(preClassifier));
  if (inner !== undefined && /mask/i.test(poolingOf(facts))) return `reads the mask token through ${inner}`;
  const final = facts.trainable['head.classifier.out_proj.weight'] ?? facts.trainable['head.classifier.weight'];
  const [outputs] = final ?? [];
  if (outputs === undefined || labels === undefined) return `has the head ${heads.join(', ')}`;
  if (!labels.integers) return outputs === 1 ? { kind: 'regression' } : `regresses ${outputs} targets`;
  return { kind: labels.shape.length === 1 ? 'classification' : 'token-classification', labels: outputs };
}

import { headMaps, type HeadLayout } from '../tasks/heads.ts';
import type { Task } from '../tasks/task.ts';
import type { EncoderFamily } from '../peft/method.ts';

/** A trained head as `transformers` loads it beside its encoder. */
export interface TransformersHead {
  /** The class that loads it with its encoder. */
  readonly architecture: string;
  /** Of labelled words, of whole texts, or of masked words. */
  readonly kind: 'token' | 'sequence' | 'words';
  /** What config.json says of it: the class, the labels' names, the kind of the task. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Its tensors by the names that the class gives them, row-major. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

const classes: Readonly<Record<EncoderFamily, string>> = {
  bert: 'Bert',
  roberta: 'Roberta',
  electra: 'Electra',
  distilbert: 'DistilBert',
};

/** The class of `transformers` that is a family's encoder alone. */
export function encoderClass(family: EncoderFamily): string {
  return `${classes[family]}Model`;
}

/** The class of `transformers` that computes a layout over a family's encoder; nothing where there is none. */
function classOf(family: EncoderFamily, layout: HeadLayout): string | undefined {
  if (layout === 'token') return `${classes[family]}ForTokenClassification`;
  if (layout === 'words') return `${classes[family]}ForMaskedLM`;
  return layout === family ? `${classes[family]}ForSequenceClassification` : undefined;
}

/**
 * A trained head in the layout of `transformers`; nothing where that has no such head on this family's encoder: one linear map on the first
 * token or on a mask token is our own.
 * @param values the trained tensors, those of the head as `head.classifier.weight`
 */
export function transformersHead(
  task: Task,
  { family, hiddenSize }: { readonly family: EncoderFamily; readonly hiddenSize: number },
  layout: HeadLayout,
  values: ReadonlyMap<string, Float32Array>,
): TransformersHead | undefined {
  const architecture = classOf(family, layout);
  if (architecture === undefined) return undefined;
  // What predicts words stands in the checkpoint with the encoder.
  if (layout === 'words')
    return { architecture, kind: 'words', config: { architectures: [architecture] }, tensors: new Map() };
  const labels = task.kind === 'regression' ? ['score'] : task.labels;
  const tensors = headMaps[layout].flatMap(({ name, final }) => {
    const outputs = final ? labels.length : hiddenSize;
    return (['weight', 'bias'] as const).map((part) => {
      const data = values.get(`head.${name}.${part}`);
      if (data === undefined) throw new Error(`the head has no ${name}.${part}`);
      return [`${name}.${part}`, { shape: part === 'weight' ? [outputs, hiddenSize] : [outputs], data }] as const;
    });
  });
  const kind = task.kind === 'regression' ? 'regression' : 'single_label_classification';
  return {
    architecture,
    kind: layout === 'token' ? 'token' : 'sequence',
    config: {
      architectures: [architecture],
      id2label: Object.fromEntries(labels.map((label, index) => [String(index), label])),
      label2id: Object.fromEntries(labels.map((label, index) => [label, index])),
      ...(layout === 'token' ? {} : { problem_type: kind }),
    },
    tensors: new Map(tensors),
  };
}

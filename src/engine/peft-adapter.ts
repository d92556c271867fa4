import { UserError } from '../base/errors.ts';
import { ia3 } from '../peft/ia3.ts';
import { lora } from '../peft/lora.ts';
import type { Projection } from '../peft/method.ts';
import { FLAT_ROWS } from '../peft/prefix-rows.ts';
import { prefixTuning } from '../peft/prefix-tuning.ts';
import { promptTuning } from '../peft/prompt-tuning.ts';
import type { EncoderConfig } from './encoders/config.ts';
import { moduleName, prefixedName, tensorName } from './encoders/tensor-names.ts';
import type { TransformersHead } from './transformers-head.ts';

/** A tensor of an adapter, row-major. */
export interface AdapterTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What a run trained, as Hugging Face PEFT (0.21) loads it beside the encoder that the run began from. */
export interface PeftAdapter {
  /** adapter_config.json, but for the encoder's name. */
  readonly config: Readonly<Record<string, unknown>>;
  /** adapter_model.safetensors. */
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
}

/** A trained method with its flat rows where it had reparametrised ones, and its head. */
export interface AdapterSource {
  readonly encoder: EncoderConfig;
  readonly method: { readonly id: string; readonly options: Readonly<Record<string, unknown>> };
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly head: TransformersHead;
}

/** The methods that PEFT has under the same mathematics. */
export const peftMethods: ReadonlySet<string> = new Set(['lora', 'ia3', 'prefix-tuning', 'prompt-tuning']);

/** @throws UserError where PEFT has no such method */
export function requirePeftMethod(id: string): void {
  if (peftMethods.has(id)) return;
  throw new UserError(
    `Hugging Face PEFT has no ${id} like ours`,
    `It loads ${[...peftMethods].join(', ')}. Methods that fold can be exported as a whole model.`,
  );
}

/**
 * A trained method in the layout of Hugging Face PEFT; see {@link requirePeftMethod}.
 * @throws UserError where PEFT computes something else, with the option that would make both the same
 */
export function peftAdapter(source: AdapterSource): PeftAdapter {
  const { method } = source;
  switch (method.id) {
    case 'lora':
      return loraAdapter(source, lora.options.parse(method.options));
    case 'ia3':
      return ia3Adapter(source, ia3.options.parse(method.options));
    case 'prefix-tuning':
      return prefixAdapter(source, prefixTuning.options.parse(method.options));
    case 'prompt-tuning':
      return promptAdapter(source, promptTuning.options.parse(method.options));
    default:
      throw new Error(`${method.id} is no method of PEFT`);
  }
}

function refuse(method: string, problem: string, hint: string): never {
  throw new UserError(`${method} can't be written for Hugging Face PEFT: ${problem}`, hint);
}

function refuseGates(method: string, gated: boolean): void {
  if (gated) refuse(method, 'it has no gates', 'Train with gated set to false.');
}

/** The task's head, which PEFT keeps with the adapter, under the names that a wrapper's prefix makes. */
function headTensors({ tensors }: TransformersHead, prefix: string): readonly (readonly [string, AdapterTensor])[] {
  return [...tensors].map(([name, tensor]) => [`${prefix}${name}`, tensor] as const);
}

/** Everything that adapter_config.json says whatever the method is. */
function commonConfig({ head }: AdapterSource, kind: string): Readonly<Record<string, unknown>> {
  const modules = new Set([...head.tensors.keys()].map((name) => name.split('.')[0]));
  return {
    peft_type: kind,
    task_type: head.kind === 'token' ? 'TOKEN_CLS' : 'SEQ_CLS',
    inference_mode: true,
    modules_to_save: [...modules],
  };
}

/**
 * A pattern for the names of linear maps of layers. PEFT takes a list for endings of names, and `output.dense` would be the end of
 * `attention.output.dense` too.
 */
function modulePattern(encoder: EncoderConfig, maps: readonly Projection[], layers?: readonly number[]): string {
  const escaped = (name: string): string => name.replaceAll('.', String.raw`\.`);
  const [stack = ''] = tensorName(encoder, { module: 'query', layer: 0, part: 'weight' }).split('.0.');
  const layer = layers === undefined ? String.raw`\d+` : `(?:${layers.join('|')})`;
  const names = maps.map((map) => escaped(moduleName(encoder, map)));
  return String.raw`.*\b${escaped(stack)}\.${layer}\.(?:${names.join('|')})`;
}

function mapName(encoder: EncoderConfig, layer: string, map: Projection): string {
  const tensor = { module: map, layer: Number(layer), part: 'weight' } as const;
  return `base_model.model.${prefixedName(encoder, tensorName(encoder, tensor)).replace(/\.weight$/, '')}`;
}

type LoraOptions = ReturnType<typeof lora.options.parse>;

function loraAdapter(source: AdapterSource, chosen: LoraOptions): PeftAdapter {
  const { encoder, values, head } = source;
  refuseGates('lora', chosen.gated);
  const { rank, alpha, targets, layers, rankStabilised, dropout } = chosen;
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, data] of values) {
    const match = /^method\.layer\.(?<layer>\d+)\.(?<map>\w+)\.(?<factor>lora_[AB])$/u.exec(name)?.groups;
    if (match === undefined) continue;
    const map = targets.find((target) => target === match['map']);
    if (map === undefined) throw new Error(`${name} is no target of LoRA`);
    const width = data.length / rank;
    const shape = match['factor'] === 'lora_A' ? [rank, width] : [width, rank];
    tensors.set(`${mapName(encoder, match['layer'] ?? '', map)}.${match['factor'] ?? ''}.weight`, { shape, data });
  }
  return {
    config: {
      ...commonConfig(source, 'LORA'),
      r: rank,
      lora_alpha: alpha,
      lora_dropout: dropout,
      use_rslora: rankStabilised,
      bias: 'none',
      fan_in_fan_out: false,
      target_modules: modulePattern(encoder, targets, layers),
    },
    tensors: new Map([...tensors, ...headTensors(head, 'base_model.model.')]),
  };
}

type Ia3Options = ReturnType<typeof ia3.options.parse>;

function ia3Adapter(source: AdapterSource, { gated, inputs, outputs }: Ia3Options): PeftAdapter {
  const { encoder, values, head } = source;
  refuseGates('ia3', gated);
  const both = inputs.find((map) => outputs.includes(map));
  if (both !== undefined)
    refuse('ia3', `it scales the input of a map or its result, and ${both} has both`, 'Name each map once.');
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, data] of values) {
    const match = /^method\.layer\.(?<layer>\d+)\.(?<map>\w+?)(?<input>\.input)?\.scale$/u.exec(name)?.groups;
    if (match === undefined) continue;
    const isInput = match['input'] !== undefined;
    const map = (isInput ? inputs : outputs).find((each) => each === match['map']);
    if (map === undefined) throw new Error(`${name} is nothing that IA3 scales`);
    const shape = isInput ? [1, data.length] : [data.length, 1];
    tensors.set(`${mapName(encoder, match['layer'] ?? '', map)}.ia3_l`, { shape, data });
  }
  return {
    config: {
      ...commonConfig(source, 'IA3'),
      target_modules: modulePattern(encoder, [...outputs, ...inputs]),
      feedforward_modules: inputs.length === 0 ? [] : modulePattern(encoder, inputs),
      fan_in_fan_out: false,
    },
    tensors: new Map([...tensors, ...headTensors(head, 'base_model.model.')]),
  };
}

/** What PEFT says of rows that stand in every sequence. */
function rowsAdapter(source: AdapterSource, kind: string, count: number, data: Float32Array | undefined): PeftAdapter {
  const { encoder, head } = source;
  if (data === undefined) throw new Error('the rows are missing');
  return {
    config: {
      ...commonConfig(source, kind),
      num_virtual_tokens: count,
      token_dim: encoder.hiddenSize,
      num_layers: encoder.layers,
      num_attention_heads: encoder.attentionHeads,
      num_transformer_submodules: 1,
    },
    tensors: new Map<string, AdapterTensor>([
      ['prompt_embeddings', { shape: [count, data.length / count], data }],
      ...headTensors(head, 'base_model.'),
    ]),
  };
}

type PrefixOptions = ReturnType<typeof prefixTuning.options.parse>;

function prefixAdapter(source: AdapterSource, { gated, shiftPositions, length }: PrefixOptions): PeftAdapter {
  refuseGates('prefix-tuning', gated);
  if (!shiftPositions)
    refuse(
      'prefix-tuning',
      "it counts the text's positions from the length of the prefix",
      'Train with shiftPositions set to true.',
    );
  const adapter = rowsAdapter(source, 'PREFIX_TUNING', length, source.values.get(FLAT_ROWS));
  return {
    ...adapter,
    config: { ...adapter.config, prefix_projection: false, encoder_hidden_size: source.encoder.hiddenSize },
  };
}

type PromptOptions = ReturnType<typeof promptTuning.options.parse>;

function promptAdapter(source: AdapterSource, { enter, place, headReads, length }: PromptOptions): PeftAdapter {
  if (enter !== 'before-embedding' || place !== 'before-text')
    refuse(
      'prompt-tuning',
      'its rows enter before the embedding layer, in front of the text',
      'Train with enter set to "before-embedding" and place to "before-text".',
    );
  if (source.head.kind === 'token')
    refuse('prompt-tuning', 'it labels its own rows too', 'Choose another method for labelled words.');
  if (headReads !== 'unshifted')
    refuse(
      'prompt-tuning',
      "its head reads the first of the rows rather than the text's first token",
      'Train with headReads set to "unshifted".',
    );
  const adapter = rowsAdapter(source, 'PROMPT_TUNING', length, source.values.get('method.prompt'));
  return { ...adapter, config: { ...adapter.config, prompt_tuning_init: 'RANDOM' } };
}

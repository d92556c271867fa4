import { UNION } from '../../peft/join-parts.ts';
import { prefixedName } from '../encoders/tensor-names.ts';
import type { ModelPlan, Objective } from '../model-graph.ts';
import { adapterMappings } from './map-adapters.ts';
import { headOf, objectiveOf, trainsInnerHead } from './map-head.ts';
import { mapSeveralParts, unionMappings } from './map-unions.ts';
import { rowMappings } from './map-rows.ts';
import {
  loraPlaces,
  loraScale,
  namesOf,
  projectionOf,
  stranger,
  unsupported,
  type CaseFacts,
  type LoraFactor,
  type MappedMethod,
  type MethodMapping,
  type Renaming,
} from './mapping.ts';

export type CaseMapping =
  | {
      readonly kind: 'mapped';
      readonly method: ModelPlan['method'];
      readonly objective: Objective;
      /** Our name of each of the case's tensors. */
      readonly names: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'unsupported'; readonly reason: string };

function mapFull(facts: CaseFacts): MappedMethod {
  if (namesOf(facts, 'base').length === 0) return unsupported('trains nothing of the base model');
  return stranger(facts, (name) => name.startsWith('base.')) ?? { kind: 'method', options: {} };
}

function mapBitfit(facts: CaseFacts): MappedMethod {
  if (namesOf(facts, 'base').length === 0) return unsupported('trains no bias of the base model');
  const classifier = trainsInnerHead(facts) ? { classifier: 'whole' } : {};
  return (
    stranger(facts, (name) => name.startsWith('base.') && name.endsWith('.bias')) ?? {
      kind: 'method',
      options: classifier,
    }
  );
}

function mapHead(facts: CaseFacts): MappedMethod {
  return stranger(facts, () => false) ?? { kind: 'method', options: {} };
}

const loraTensor = /^method\.layer\.(?<layer>\d+)\.(?<module>[\w.]+)\.lora_(?<factor>[AB])(?:\.weight)?$/;

function mapLora(facts: CaseFacts): MappedMethod {
  const names = new Map<string, string>();
  const ranks = new Set<number>();
  const factors: LoraFactor[] = [];
  for (const name of [...namesOf(facts, 'method'), ...namesOf(facts, 'base')]) {
    const { layer = '', module = '', factor } = loraTensor.exec(name)?.groups ?? {};
    const projection = projectionOf(facts.encoder, module);
    if (factor !== 'A' && factor !== 'B') return unsupported(`trains ${name}, which LoRA does not have`);
    if (projection === undefined) return unsupported(`adapts ${module}, which is no linear map of a layer`);
    const shape = facts.trainable[name] ?? [];
    ranks.add((factor === 'A' ? shape[0] : shape[1]) ?? 0);
    factors.push({ projection, layer: Number(layer), factor });
    names.set(name, `method.layer.${layer}.${projection}.lora_${factor}`);
  }
  const [rank, ...otherRanks] = ranks;
  if (rank === undefined) return unsupported('has no tensors of LoRA');
  if (otherRanks.length > 0) return unsupported(`has several ranks: ${[...ranks].join(', ')}`);
  const places = loraPlaces(factors, facts.encoder);
  if (typeof places === 'string') return unsupported(places);
  const scale = loraScale(facts);
  if (typeof scale === 'string') return unsupported(scale);
  return { kind: 'method', options: { rank, ...places, ...scale }, names };
}

function mapSlash(facts: CaseFacts): MappedMethod {
  const odd = stranger(facts, (name) => name === 'method.z');
  if (odd !== undefined) return odd;
  const dimension = facts.trainable['method.z']?.at(-1);
  if (dimension === undefined) return unsupported('has no method.z');
  const missing = Array.from({ length: facts.encoder.layers }, (_, layer) => `frozen.W.${layer}`).find(
    (name) => !(name in facts.frozen),
  );
  if (missing !== undefined) return unsupported(`has no ${missing}`);
  const { position = 'output' } = facts.hyperparameters;
  if (position !== 'output' && position !== 'attention' && position !== 'intermediate') {
    return unsupported(`shifts at the position ${JSON.stringify(position)}`);
  }
  return { kind: 'method', options: { dimension, position } };
}

/** The methods that there are, by what the references call them. */
const methodMappings: readonly MethodMapping[] = [
  ...unionMappings,
  { id: 'full', called: /^full\b/i, map: mapFull },
  { id: 'head', called: /^(?:head\b|linear prob)/i, map: mapHead },
  { id: 'bitfit', called: /^bitfit\b/i, map: mapBitfit },
  { id: 'lora', called: /^(?:rs)?lora\b/i, map: mapLora },
  { id: 'slash', called: /^slash\b/i, head: 'linear', map: mapSlash },
  ...adapterMappings,
  ...rowMappings,
];

/** Tensors of the base model are called as in its file; ours carry the family's prefix even where the file lacks it. */
function baseNames(facts: CaseFacts): Renaming {
  return new Map(
    namesOf(facts, 'base').map((name) => [name, `base.${prefixedName(facts.encoder, name.slice('base.'.length))}`]),
  );
}

/**
 * What we build for a case: method, options and head, and how its tensors are called here. The method is what the case calls it, and
 * its trained tensors must be those of that method, or those of several that can act together; nothing is told from the case's own name.
 */
export function mapCase(facts: CaseFacts): CaseMapping {
  const mapping = methodMappings.find(({ called }) => called.test(facts.method));
  const named = mapping?.map(facts) ?? unsupported('is not supported yet');
  const method = named.kind === 'method' ? named : (mapSeveralParts(facts) ?? named);
  if (method.kind === 'unsupported') return unsupported(`method: "${facts.method}" ${method.reason}`);
  const objective = objectiveOf(facts);
  if (typeof objective === 'string') return unsupported(`head: ${objective}`);
  return {
    kind: 'mapped',
    method: {
      id: method.id ?? mapping?.id ?? UNION,
      options: { ...method.options, head: headOf(facts, mapping?.head ?? 'native') },
    },
    objective,
    names: new Map([...baseNames(facts), ...(method.names ?? [])]),
  };
}

import type { Projection } from '../../peft/method.ts';
import { adapterMappings, projectionFacts, type ProjectionKind } from './map-adapters.ts';
import { headReadsOf } from './map-head.ts';
import {
  loraPlaces,
  loraScale,
  namesOf,
  projectionOf,
  unsupported,
  type CaseFacts,
  type LoraFactor,
  type MappedMethod,
  type MethodMapping,
  type Renaming,
} from './mapping.ts';

type PartKind = 'prefix' | 'prompt' | 'adapter' | 'lora' | 'ia3';

/** The trained tensors of one part of a union, with and without its gates. */
interface PartFacts {
  readonly facts: CaseFacts;
  readonly tensors: readonly string[];
  readonly gates: readonly string[];
}

/** A part as options of ours; names without the part's own. */
interface MappedPart {
  readonly id: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly names: Renaming;
}

const layerTensor = /^method\.layer\.(?<layer>\d+)\.(?<rest>.+)$/;
const gateTensor = /^(?:(?<prefix>prefix)_gate|(?<module>.+)\.gate)\.(?<tensor>weight|bias)$/;
const scaleTensor = /^(?<module>.+)\.(?:lora_(?<factor>[AB])|(?<vector>ia3_l))(?:\.weight)?$/;
const adapterTensor = /^(?<module>\w+)\.(?:(?:adapter_)?(?:down|up)\b|adapter_norm_|(?:pre|post)_layer_norm\b)/;

/** Which part a tensor of a layer belongs to; a map with `lora_B` alone is scaled, one with `lora_A` too gets a low-rank update. */
function layerPart(facts: CaseFacts, name: string): PartKind | undefined {
  const { layer = '', rest = '' } = layerTensor.exec(name)?.groups ?? {};
  if (adapterTensor.test(rest)) return 'adapter';
  const scale = scaleTensor.exec(rest)?.groups;
  if (scale !== undefined) return hasFactorA(facts, layer, scale['module'] ?? '') ? 'lora' : 'ia3';
  const gate = gateTensor.exec(rest)?.groups;
  if (gate === undefined) return undefined;
  if (gate['prefix'] !== undefined) return 'prefix';
  const module = gate['module'] ?? '';
  const mates = (pattern: RegExp): boolean =>
    namesOf(facts, 'method').some((mate) => mate.startsWith(`method.layer.${layer}.${module}.`) && pattern.test(mate));
  if (mates(/\.(?:adapter_)?(?:down|up)\b/)) return 'adapter';
  if (mates(/\.lora_A/)) return 'lora';
  return mates(/\.lora_B|\.ia3_l/) ? 'ia3' : undefined;
}

function hasFactorA(facts: CaseFacts, layer: string, module: string): boolean {
  return [`lora_A`, `lora_A.weight`].some((factor) => `method.layer.${layer}.${module}.${factor}` in facts.trainable);
}

function partOf(facts: CaseFacts, name: string): PartKind | undefined {
  if (/^method\.prefix\./.test(name)) return 'prefix';
  if (/^method\.prompt\b/.test(name)) return 'prompt';
  if (/^method\.(?:shared_parameters\.|phm_rule)/.test(name)) return 'adapter';
  return layerPart(facts, name);
}

/** Our name of a gate's tensor; modules of layers have the family's spelling, adapters the library's. */
function gateName(facts: CaseFacts, name: string): string | undefined {
  const { layer = '', rest = '' } = layerTensor.exec(name)?.groups ?? {};
  const { prefix, module = '', tensor = '' } = gateTensor.exec(rest)?.groups ?? {};
  const adapters: Readonly<Record<string, string>> = { ffn: 'feedForward', attention: 'attention' };
  const own = prefix ?? adapters[module] ?? projectionOf(facts.encoder, module);
  return own === undefined ? undefined : `method.layer.${layer}.${own}.gate.${tensor}`;
}

function shapeOf({ facts }: PartFacts, name: string): readonly number[] {
  return facts.trainable[name] ?? [];
}

const prefixNames: Renaming = new Map([
  ['method.prefix.wte.weight', 'method.prefix.embedding'],
  ['method.prefix.control_trans.0.weight', 'method.prefix.down.weight'],
  ['method.prefix.control_trans.0.bias', 'method.prefix.down.bias'],
  ['method.prefix.control_trans.2.weight', 'method.prefix.up.weight'],
  ['method.prefix.control_trans.2.bias', 'method.prefix.up.bias'],
  ['method.prefix.control_trans', 'method.prefix.rows'],
]);

function mapPrefixPart(part: PartFacts): MappedPart | string {
  const odd = part.tensors.find((name) => !prefixNames.has(name));
  if (odd !== undefined) return `trains ${odd}, which a prefix does not have`;
  const { encoder } = part.facts;
  const [own] = shapeOf(part, 'method.prefix.wte.weight');
  const [bottleneck] = shapeOf(part, 'method.prefix.control_trans.0.weight');
  const flat = shapeOf(part, 'method.prefix.control_trans').reduce((a, b) => a * b, 1);
  const length = own ?? flat / (2 * encoder.layers * encoder.hiddenSize);
  if (!Number.isInteger(length) || length < 1) return 'has a prefix of no whole length';
  const reparametrise = own !== undefined;
  return {
    id: 'prefix-tuning',
    options: { length, reparametrise, ...(bottleneck === undefined ? {} : { bottleneck }) },
    names: prefixNames,
  };
}

function mapPromptPart(part: PartFacts): MappedPart | string {
  const [name, more] = part.tensors;
  const [length] = name === undefined ? [] : shapeOf(part, name);
  if (name === undefined || more !== undefined || length === undefined) return 'has several prompts';
  const { combine = 'prefix' } = part.facts.hyperparameters;
  if (combine !== 'prefix' && combine !== 'prefix_after_bos') return `combines a prompt as ${JSON.stringify(combine)}`;
  return {
    id: 'prompt-tuning',
    options: {
      length,
      place: combine === 'prefix' ? 'before-text' : 'after-first-token',
      headReads: headReadsOf(part.facts),
    },
    names: new Map([[name, 'method.prompt']]),
  };
}

/** The method whose adapters have such projections. */
const adapterIds: Readonly<Record<ProjectionKind, string>> = {
  dense: 'adapter-pfeiffer',
  'low-rank': 'adapter-low-rank',
  phm: 'adapter-phm',
  lphm: 'compacter',
};

/** A projection of an adapter, either spelling, or a tensor that all of them share. */
const projectionTensor = /\.(?<position>\w+)\.(?:adapter_)?down(?:\.\d+)?\.(?<tensor>\w+)$/;

/**
 * An adapter of a union is mapped as it would be alone; what it is called there is told from its tensors, as names of unions seldom say it:
 * the library has adapters at one place behind the norm, and at both places as Houlsby's.
 */
function mapAdapterPart(part: PartFacts): MappedPart | string {
  const { facts, tensors } = part;
  const projection: Record<string, readonly number[]> = {};
  const positions = new Set<string>();
  for (const name of tensors) {
    const { position, tensor } = projectionTensor.exec(name)?.groups ?? {};
    if (position === undefined || tensor === undefined) continue;
    positions.add(position);
    projection[tensor] = shapeOf(part, name);
  }
  const kind = projectionFacts(projection)?.kind;
  if (kind === undefined) return 'has adapters of no known kind';
  const id = adapterIds[kind];
  const isHoulsbys = positions.size > 1 || /double|houlsby/i.test(facts.method);
  const place = /parallel|parbn|\bmam\b/i.test(facts.method) ? 'parallel' : isHoulsbys ? 'Houlsby' : 'Pfeiffer';
  const mapped = adapterMappings
    .find((mapping) => mapping.id === id)
    ?.map({
      ...facts,
      method: `${id}, ${place}`,
      trainable: Object.fromEntries(tensors.map((name) => [name, shapeOf(part, name)])),
    });
  if (mapped?.kind !== 'method') return mapped?.reason ?? 'has adapters of no known kind';
  return { id, options: mapped.options, names: mapped.names ?? new Map() };
}

/** Tensors of the linear maps of a layer: our names, and the maps in the order in which they come. */
function mapModules(
  part: PartFacts,
  nameOf: (projection: Projection, layer: string, name: string) => string,
): { readonly names: Renaming; readonly projections: readonly Projection[] } | string {
  const names = new Map<string, string>();
  const seen = new Set<Projection>();
  for (const name of part.tensors) {
    const { layer = '', rest = '' } = layerTensor.exec(name)?.groups ?? {};
    const module = scaleTensor.exec(rest)?.groups?.['module'] ?? '';
    const projection = projectionOf(part.facts.encoder, module);
    if (projection === undefined) return `changes ${module}, which is no linear map of a layer`;
    seen.add(projection);
    names.set(name, nameOf(projection, layer, name));
  }
  return { names, projections: [...seen] };
}

function mapLoraPart(part: PartFacts): MappedPart | string {
  const { r } = part.facts.hyperparameters;
  const factors: LoraFactor[] = [];
  const mapped = mapModules(part, (projection, layer, name) => {
    const factor = /lora_A/.test(name) ? 'A' : 'B';
    factors.push({ projection, layer: Number(layer), factor });
    return `method.layer.${layer}.${projection}.lora_${factor}`;
  });
  if (typeof mapped === 'string') return mapped;
  const ranks = new Set(part.tensors.map((name) => shapeOf(part, name)[/lora_A/.test(name) ? 0 : 1]));
  const [rank] = ranks;
  if (rank === undefined || ranks.size > 1) return `has several ranks: ${[...ranks].join(', ')}`;
  if (typeof r === 'number' && r !== rank) return `says rank ${r} and has ${rank}`;
  const places = loraPlaces(factors, part.facts.encoder);
  if (typeof places === 'string') return places;
  // A gate takes the place of the scale.
  const scale = part.gates.length === 0 ? loraScale(part.facts) : {};
  if (typeof scale === 'string') return scale;
  return { id: 'lora', options: { rank, ...places, ...scale }, names: mapped.names };
}

/** PEFT's vectors say by their orientation what they scale: a row the input of a map, a column its result; the library's its result. */
function mapIa3Part(part: PartFacts): MappedPart | string {
  const scalesInput = (name: string): boolean => {
    const [rows, columns] = shapeOf(part, name);
    return /ia3_l/.test(name) && rows === 1 && columns !== 1;
  };
  const mapped = mapModules(
    part,
    (projection, layer, name) => `method.layer.${layer}.${projection}.${scalesInput(name) ? 'input.scale' : 'scale'}`,
  );
  if (typeof mapped === 'string') return mapped;
  const scaled = (ofInput: boolean): readonly Projection[] =>
    mapped.projections.filter((projection) =>
      [...mapped.names].some(([name, own]) => own.includes(`.${projection}.`) && scalesInput(name) === ofInput),
    );
  return {
    id: 'ia3',
    options: {
      outputs: scaled(false),
      inputs: scaled(true),
      ...(part.gates.length === 0 ? {} : { gateForm: 'whole' }),
    },
    names: mapped.names,
  };
}

const partMaps: Readonly<Record<PartKind, (part: PartFacts) => MappedPart | string>> = {
  prefix: mapPrefixPart,
  adapter: mapAdapterPart,
  lora: mapLoraPart,
  ia3: mapIa3Part,
  prompt: mapPromptPart,
};

/** The parts of a case in the order of {@link partMaps}, gated as the case has them; a text says what is odd. */
function findParts(facts: CaseFacts): readonly MappedPart[] | string {
  const [base] = namesOf(facts, 'base');
  if (base !== undefined) return `trains ${base} of the base model`;
  const found = new Map<PartKind, string[]>();
  for (const name of namesOf(facts, 'method')) {
    const kind = partOf(facts, name);
    if (kind === undefined) return `trains ${name}, which no part has`;
    found.set(kind, [...(found.get(kind) ?? []), name]);
  }
  const parts: MappedPart[] = [];
  for (const kind of Object.keys(partMaps) as readonly PartKind[]) {
    const names = found.get(kind);
    if (names === undefined) continue;
    const isGate = (name: string): boolean => gateTensor.test(layerTensor.exec(name)?.groups?.['rest'] ?? '');
    const part: PartFacts = { facts, tensors: names.filter((name) => !isGate(name)), gates: names.filter(isGate) };
    const mapped = partMaps[kind](part);
    if (typeof mapped === 'string') return mapped;
    const renamed = new Map(mapped.names);
    for (const name of part.gates) {
      const own = gateName(facts, name);
      if (own === undefined) return `trains ${name}, which is the gate of nothing`;
      renamed.set(name, own);
    }
    // The library's gates count padding.
    const gates = part.gates.length === 0 ? {} : { gated: true, maskedGateMean: false };
    parts.push({ ...mapped, options: { ...mapped.options, ...gates }, names: renamed });
  }
  return parts.length === 0 ? 'has no tensors' : parts;
}

/** Names of all parts, each under its part's own. */
function unitedNames(parts: readonly MappedPart[]): Renaming {
  return new Map(
    parts.flatMap(({ id, names }) =>
      [...names].map(([theirs, ours]) => [theirs, ours.replace(/^method\./, `method.${id}.`)] as const),
    ),
  );
}

function mapUnion(facts: CaseFacts): MappedMethod {
  const parts = findParts(facts);
  if (typeof parts === 'string') return unsupported(parts);
  return {
    kind: 'method',
    id: 'union',
    options: { parts: parts.map(({ id, options }) => ({ id, ...options })) },
    names: unitedNames(parts),
  };
}

/** UniPELT by its own options where the parts are its parts, each but the prompt gated; as a union of what is there otherwise. */
function mapUniPelt(facts: CaseFacts): MappedMethod {
  const parts = findParts(facts);
  if (typeof parts === 'string') return unsupported(parts);
  const options = (id: string): MappedPart['options'] => parts.find((part) => part.id === id)?.options ?? {};
  const { length: prefixLength, bottleneck: prefixBottleneck, reparametrise } = options('prefix-tuning');
  const { bottleneck, positions, layers, reads, activation, scaling, layerNormBefore, layerNormAfter } =
    options('adapter-pfeiffer');
  const { rank, targets, layers: loraLayers } = options('lora');
  const ids = parts.map(({ id }) => id).join();
  const gated = parts.filter(({ options: own }) => own['gated'] === true).length;
  const usual =
    ids.replace(/,prompt-tuning$/, '') === 'prefix-tuning,adapter-pfeiffer,lora' &&
    gated === 3 &&
    String(positions) === 'feedForward' &&
    layers === undefined &&
    reads === 'normalised' &&
    activation === 'relu' &&
    scaling === 1 &&
    layerNormBefore === undefined &&
    layerNormAfter === undefined &&
    String(targets) === 'query,value' &&
    loraLayers === undefined;
  if (!usual) return mapUnion(facts);
  const { length: promptLength, place, headReads } = options('prompt-tuning');
  return {
    kind: 'method',
    id: promptLength === undefined ? 'unipelt' : 'unipelt-prompt',
    options: {
      prefixLength,
      ...(prefixBottleneck === undefined ? {} : { prefixBottleneck }),
      reparametrise,
      bottleneck,
      rank,
      maskedGateMean: false,
      ...(promptLength === undefined ? {} : { promptLength, place, headReads }),
    },
    names: unitedNames(parts),
  };
}

function mapIa3(facts: CaseFacts): MappedMethod {
  const parts = findParts(facts);
  if (typeof parts === 'string') return unsupported(parts);
  const [part, more] = parts;
  if (part?.id !== 'ia3' || more !== undefined) return unsupported('has other tensors than the vectors of IA3');
  return { kind: 'method', options: part.options, names: part.names };
}

/** A case of several parts as a union of them, whatever it is called; undefined where it is none. */
export function mapSeveralParts(facts: CaseFacts): MappedMethod | undefined {
  const kinds = new Set(namesOf(facts, 'method').map((name) => partOf(facts, name)));
  if (kinds.size < 2) return undefined;
  const mapped = mapUnion(facts);
  return mapped.kind === 'method' ? mapped : undefined;
}

/** Names that join methods with a plus, of which Compacter++ has two of its own, or that speak of gates. */
const unionNames = /(?:[\w)\]]|\+\+) ?\+ ?[\w(]|\bmam\b|\bgat(?:ed?|es|ing)\b|\bunion\b/i;

/** Unions and IA3, the more special names first. */
export const unionMappings: readonly MethodMapping[] = [
  { id: 'unipelt', called: /\bunipelt\b/i, map: mapUniPelt },
  { id: 'union', called: unionNames, map: mapUnion },
  { id: 'ia3', called: /^\(?ia\)?\^?3\b/i, map: mapIa3 },
];

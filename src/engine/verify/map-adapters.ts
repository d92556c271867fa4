import type { Activation } from '../../peft/activations.ts';
import type { AdapterPosition, AdapterSource } from '../../peft/bottleneck.ts';
import { tensorPrefix, tensorName } from '../encoders/tensor-names.ts';
import {
  namesOf,
  unsupported,
  type CaseFacts,
  type MappedMethod,
  type MethodMapping,
  type Renaming,
  type Shapes,
} from './mapping.ts';

/** What the references write for a non-linearity, in the order in which they are looked for. */
const activationSpellings: readonly (readonly [RegExp, Activation])[] = [
  [/gelu[_ -]?new|gelu.*tanh|tanh.*gelu|gelu_pytorch_tanh/i, 'gelu-tanh'],
  [/gelu/i, 'gelu'],
  [/leaky/i, 'leaky-relu'],
  [/relu/i, 'relu'],
  [/swish|silu/i, 'swish'],
  [/sigmoid/i, 'sigmoid'],
  [/tanh/i, 'tanh'],
  [/^(?:identity|linear|none)$/i, 'identity'],
];

/** The non-linearity that a text names. */
export function activationIn(text: string): Activation | undefined {
  return activationSpellings.find(([pattern]) => pattern.test(text))?.[1];
}

/** A trained tensor of an adapter, in the spelling of either library. */
const adapterTensor =
  /^method\.layer\.(?<layer>\d+)\.(?<position>[a-zA-Z_]+)\.(?:(?<compacter>down|up)|adapter_(?<library>down|up)(?:\.\d+)?)\.(?<tensor>\w+)$/;

/** A layer norm of an adapter's own, as Compacter's code calls it or as the library does. */
const normTensor =
  /^method\.layer\.(?<layer>\d+)\.(?<position>[a-zA-Z_]+)\.(?:(?<place>pre|post)_layer_norm|adapter_norm_(?<libraryPlace>before|after))\.(?<part>weight|bias)$/;

/** Tensors for all projections: in the library under the name of what is shared. */
const sharedTensor = /^method\.(?:shared_parameters\.[\w-]+\.)?(?<tensor>phm_rule(?:_left|_right)?)$/;

const positionSpellings: Readonly<Record<string, AdapterPosition>> = {
  attention: 'attention',
  self_attention: 'attention',
  mh_adapter: 'attention',
  ffn: 'feedForward',
  feedforward: 'feedForward',
  feed_forward: 'feedForward',
  output: 'feedForward',
  output_adapter: 'feedForward',
};

interface FoundAdapter {
  readonly layer: number;
  readonly position: AdapterPosition;
}

/** The adapters of a case, as far as its tensors show them. */
interface FoundAdapters {
  readonly adapters: readonly FoundAdapter[];
  readonly names: Renaming;
  /** Shapes of the tensors of one adapter, by `down.weight` and the like. */
  readonly shapes: Shapes;
  readonly shared: Shapes;
  /** Spelled as in the adapters library rather than in Compacter's code. */
  readonly library: boolean;
}

/** Reads the adapters off the case's trained tensors; a text says what is odd. */
function findAdapters(facts: CaseFacts): FoundAdapters | string {
  const adapters = new Map<string, FoundAdapter>();
  const names = new Map<string, string>();
  const shapes: Record<string, readonly number[]> = {};
  const shared: Record<string, readonly number[]> = {};
  let spelledAsLibrary = false;
  for (const name of namesOf(facts, 'method')) {
    const shape = facts.trainable[name] ?? [];
    const common = sharedTensor.exec(name)?.groups?.['tensor'];
    if (common !== undefined) {
      shared[common] = shape;
      names.set(name, `method.${common}`);
      continue;
    }
    const groups = adapterTensor.exec(name)?.groups ?? normTensor.exec(name)?.groups ?? {};
    const { layer, position: spelled = '', compacter, library, tensor = '', part } = groups;
    const position = positionSpellings[spelled.toLowerCase()];
    if (layer === undefined || position === undefined) return `trains ${name}, which adapters do not have`;
    const isBefore = groups['place'] === 'pre' || groups['libraryPlace'] === 'before';
    const norm = isBefore ? 'normBefore' : 'normAfter';
    const own = part === undefined ? `${compacter ?? library ?? ''}.${tensor}` : `${norm}.${part}`;
    spelledAsLibrary ||= library !== undefined;
    const known = shapes[own];
    if (known !== undefined && known.join() !== shape.join()) return `has adapters of several shapes: ${name}`;
    shapes[own] = shape;
    adapters.set(`${layer}.${position}`, { layer: Number(layer), position });
    names.set(name, `method.layer.${layer}.${position}.${own}`);
  }
  if (adapters.size === 0) return 'has no tensors of adapters';
  return { adapters: [...adapters.values()], names, shapes, shared, library: spelledAsLibrary };
}

/** Where the adapters stand, as options; a text says what is odd. */
function placement(
  { adapters }: FoundAdapters,
  layerCount: number,
): { readonly positions: readonly AdapterPosition[]; readonly layers?: readonly number[] } | string {
  const layersAt = (position: AdapterPosition): readonly number[] =>
    adapters
      .filter((adapter) => adapter.position === position)
      .map(({ layer }) => layer)
      .sort((a, b) => a - b);
  const positions = (['attention', 'feedForward'] as const).filter((position) => layersAt(position).length > 0);
  const [first, second] = positions.map(layersAt);
  if (first === undefined) return 'has no adapters';
  if (second !== undefined && first.join() !== second.join()) return 'has other layers with adapters at each position';
  return first.length === layerCount ? { positions } : { positions, layers: first };
}

/** Whether all norms of the base model are trained, or none; a text says what is odd. */
function trainedNorms(facts: CaseFacts): boolean | string {
  const trained = namesOf(facts, 'base');
  if (trained.length === 0) return false;
  const { encoder } = facts;
  const prefix = tensorPrefix(encoder);
  const perLayer = (layer: number): readonly string[] =>
    (['attentionNorm', 'outputNorm'] as const).flatMap((module) =>
      (['weight', 'bias'] as const).map((part) => tensorName(encoder, { module, layer, part })),
    );
  const norms = [
    ...(['weight', 'bias'] as const).map((part) =>
      tensorName(encoder, { module: 'embeddingNorm', layer: undefined, part }),
    ),
    ...Array.from({ length: encoder.layers }, (_, layer) => perLayer(layer)).flat(),
  ];
  const got = new Set(trained.map((name) => name.slice('base.'.length)).map((name) => withoutPrefix(name, prefix)));
  const odd = [...got].find((name) => !norms.includes(name));
  if (odd !== undefined) return `trains ${odd} of the base model`;
  return got.size === norms.length ? true : 'trains some of the layer norms only';
}

function withoutPrefix(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

/** What a case says besides its tensors. */
interface Said {
  readonly activation: Activation;
  readonly reads: AdapterSource;
  readonly scaling: number;
}

/** Whether an adapter of the library is Houlsby's, by what it is called, else by whether both sub-layers have one. */
function isHoulsbys(method: string, { adapters }: FoundAdapters): boolean {
  if (/double|houlsby/i.test(method)) return true;
  if (/pfeiffer|seqbn|compacter ?\+\+/i.test(method)) return false;
  return /compacter/i.test(method) || new Set(adapters.map(({ position }) => position)).size > 1;
}

/**
 * Parallel adapters read beside the sub-layer. The library's read its output behind the norm (`original_ln_before`), Houlsby's do not; those of
 * Compacter's code read the output. A text says what is none of ours.
 */
function sourceOf(
  { method, hyperparameters }: CaseFacts,
  found: FoundAdapters,
): AdapterSource | { readonly odd: string } {
  const usual: Readonly<Record<string, unknown>> = {
    original_ln_after: true,
    residual_before_ln: true,
    adapter_residual_before_ln: false,
  };
  const odd = Object.keys(usual).find((name) => (hyperparameters[name] ?? usual[name]) !== usual[name]);
  if (odd !== undefined) return { odd: `has ${odd} ${JSON.stringify(hyperparameters[odd])}` };
  if (/parallel|parbn/i.test(method)) return 'input';
  const { original_ln_before: behindNorm = found.library && !isHoulsbys(method, found) } = hyperparameters;
  return behindNorm === true ? 'normalised' : 'output';
}

/** What the reference has where the case names no activation. */
function usualActivation(method: string, found: FoundAdapters): string {
  if (!found.library) return 'gelu_new';
  if (/compacter/i.test(method)) return 'gelu';
  return isHoulsbys(method, found) && !/parallel|parbn/i.test(method) ? 'swish' : 'relu';
}

function said(facts: CaseFacts, found: FoundAdapters): Said | string {
  const { method, hyperparameters } = facts;
  const { activation: named = hyperparameters['non_linearity'] ?? usualActivation(method, found), scaling = 1 } =
    hyperparameters;
  const activation = typeof named === 'string' ? activationIn(named) : undefined;
  if (activation === undefined) return `has the activation ${JSON.stringify(named)}`;
  if (typeof scaling !== 'number') return `has the scaling ${JSON.stringify(scaling)}`;
  const reads = sourceOf(facts, found);
  return typeof reads === 'string' ? { activation, reads, scaling } : reads.odd;
}

type MappedOptions = Readonly<Record<string, unknown>>;

export type ProjectionKind = 'dense' | 'low-rank' | 'phm' | 'lphm';

/** What the shapes of one projection's tensors say. */
export interface ProjectionFacts {
  readonly kind: ProjectionKind;
  readonly from: number;
  readonly to: number;
  /** The options of the method that has such projections. */
  readonly options: MappedOptions;
}

/** Reads a projection off its tensors' shapes, by their names within the projection; undefined where it is none of ours. */
export function projectionFacts(shapes: Shapes): ProjectionFacts | undefined {
  const { weight, W: whole, W_left: left, W_right: right } = shapes;
  if (weight?.length === 2) {
    const [to = 0, from = 0] = weight;
    return { kind: 'dense', from, to, options: {} };
  }
  if (left?.length === 2 && right?.length === 2) {
    const [from = 0, rank = 0] = left;
    return { kind: 'low-rank', from, to: right[1] ?? 0, options: { rank } };
  }
  const hypercomplex = { factorisedRule: 'phm_rule_left' in shapes, bias: 'b' in shapes };
  if (whole?.length === 3) {
    const [n = 0, u = 0, v = 0] = whole;
    return { kind: 'phm', from: n * u, to: n * v, options: { n, ...hypercomplex } };
  }
  if (left?.length === 3 && right?.length === 3) {
    const [n = 0, u = 0, rank = 0] = left;
    return { kind: 'lphm', from: n * u, to: n * (right[2] ?? 0), options: { n, rank, ...hypercomplex } };
  }
  return undefined;
}

/** The shapes of one side of the adapters, with the tensors that all share. */
function sideOf({ shapes, shared }: FoundAdapters, side: 'down' | 'up'): Shapes {
  const own = Object.entries(shapes).filter(([name]) => name.startsWith(`${side}.`));
  return { ...shared, ...Object.fromEntries(own.map(([name, shape]) => [name.slice(side.length + 1), shape])) };
}

/** @param ids the method that has projections of a kind, for those kinds that the case's name allows */
function mapAdapters(facts: CaseFacts, ids: Readonly<Partial<Record<ProjectionKind, string>>>): MappedMethod {
  const found = findAdapters(facts);
  if (typeof found === 'string') return unsupported(found);
  const place = placement(found, facts.encoder.layers);
  if (typeof place === 'string') return unsupported(place);
  const trainNorms = trainedNorms(facts);
  if (typeof trainNorms === 'string') return unsupported(trainNorms);
  const other = said(facts, found);
  if (typeof other === 'string') return unsupported(other);
  const [down, up] = [projectionFacts(sideOf(found, 'down')), projectionFacts(sideOf(found, 'up'))];
  const id = down === undefined ? undefined : ids[down.kind];
  if (down === undefined || up === undefined || id === undefined || up.kind !== down.kind || up.from !== down.to) {
    return unsupported(`has projections of another kind: ${Object.keys(found.shapes).join(', ')}`);
  }
  const sharedRule =
    down.kind === 'phm' || down.kind === 'lphm' ? { sharedRule: Object.keys(found.shared).length > 0 } : {};
  const ownNorms = {
    ...('normBefore.weight' in found.shapes ? { layerNormBefore: true } : {}),
    ...('normAfter.weight' in found.shapes ? { layerNormAfter: true } : {}),
  };
  return {
    kind: 'method',
    id,
    options: { bottleneck: down.to, ...place, ...other, ...ownNorms, trainNorms, ...down.options, ...sharedRule },
    names: found.names,
  };
}

/** AdapterDrop says which layers lack adapters by a number. */
function mapAdapterDrop(facts: CaseFacts): MappedMethod {
  const mapped = dense('adapter-drop')(facts);
  if (mapped.kind === 'unsupported') return mapped;
  const { layers, ...options } = mapped.options;
  const kept: readonly unknown[] = Array.isArray(layers) ? layers : [];
  const drop = kept.length === 0 ? 0 : facts.encoder.layers - kept.length;
  if (kept.some((layer, index) => layer !== drop + index)) return unsupported('drops other layers than the first');
  return { ...mapped, options: { ...options, drop } };
}

function dense(id: string): MethodMapping['map'] {
  return (facts) => mapAdapters(facts, { dense: id });
}

/** Hypercomplex projections are told by their tensors: both libraries have them whole or in factors under either name. */
function hypercomplex(factored: string): MethodMapping['map'] {
  return (facts) => mapAdapters(facts, { phm: 'adapter-phm', lphm: factored });
}

/** Adapters and their kin, the more special names first. */
export const adapterMappings: readonly MethodMapping[] = [
  { id: 'compacter++', called: /^compacter ?\+\+/i, map: hypercomplex('compacter++') },
  { id: 'compacter', called: /^compacter\b/i, map: hypercomplex('compacter') },
  { id: 'adapter-phm', called: /^l?phm\b/i, map: hypercomplex('compacter') },
  {
    id: 'adapter-low-rank',
    called: /^low-?rank\b.*adapter|^adapter.*low-?rank/i,
    map: (facts) => mapAdapters(facts, { 'low-rank': 'adapter-low-rank' }),
  },
  { id: 'adapter-drop', called: /^adapter-? ?drop\b/i, map: mapAdapterDrop },
  {
    id: 'adapter-parallel',
    called: /^(?:parallel )?adapters?\b.*parallel|^parallel adapters?\b/i,
    map: dense('adapter-parallel'),
  },
  { id: 'adapter-houlsby', called: /^(?:houlsby\b.*)?adapters?\b.*houlsby|^houlsby/i, map: dense('adapter-houlsby') },
  { id: 'adapter-pfeiffer', called: /^adapters?\b|^pfeiffer/i, map: dense('adapter-pfeiffer') },
];

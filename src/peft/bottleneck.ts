import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { add, layerNorm, multiply } from '../engine/graph/operations.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import { activate, activationNames, type Activation } from './activations.ts';
import type { BottleneckMaps } from './affine.ts';
import { chosenLayers, layersOption } from './chosen-layers.ts';
import { stays, type Act } from './folding.ts';
import { gateOf, gateOptions, type GateSettings } from './gate.ts';
import { headOption } from './head-option.ts';
import type { EncoderSizes, EncoderTensor, HeadKind, MethodPlan, SubLayerPlace } from './method.ts';

const positionNames = ['attention', 'feedForward'] as const;
const sourceNames = ['output', 'normalised', 'input'] as const;

export type AdapterPosition = (typeof positionNames)[number];

/**
 * What an adapter reads, of a sub-layer with input X and output O that goes into LayerNorm(X + O): O, LayerNorm(X + O), or X (an
 * adapter beside the sub-layer). What it gives is added to O in every case.
 */
export type AdapterSource = (typeof sourceNames)[number];

/** What a bottleneck does between and after its two maps. */
export type BottleneckOptions = Pick<
  AdapterOptions,
  'activation' | 'scaling' | 'dropout' | 'layerNormBefore' | 'layerNormAfter'
>;

/** The options that all adapters share. */
export interface AdapterOptions {
  readonly bottleneck?: number | undefined;
  readonly reductionFactor?: number | undefined;
  readonly positions: readonly AdapterPosition[];
  readonly layers?: readonly number[] | undefined;
  readonly reads: AdapterSource;
  readonly activation: Activation;
  readonly scaling: number;
  readonly dropout: number;
  readonly layerNormBefore: boolean;
  readonly layerNormAfter: boolean;
}

/** How wide the adapters of an encoder are where nothing is said. */
export type UsualWidth = { readonly bottleneck: number } | { readonly reductionFactor: number };

/** The widest that an adapter may be inside. */
const WIDEST = 65_536;

/** Schemas of the adapters' width. */
export function widthOptions(usual: UsualWidth): {
  readonly bottleneck: z.ZodOptional<z.ZodInt>;
  readonly reductionFactor: z.ZodOptional<z.ZodNumber>;
} {
  const fallback =
    'bottleneck' in usual ? usual.bottleneck : `the hidden size divided by ${usual.reductionFactor}, rounded down`;
  return {
    bottleneck: z
      .int()
      .positive()
      .max(WIDEST)
      .optional()
      .describe(`The inner width of an adapter: ${fallback} by default.`),
    reductionFactor: z
      .number()
      .positive()
      .optional()
      .describe('The inner width as the hidden size divided by this, rounded down; in place of bottleneck.'),
  };
}

export const positionsOption = z
  .array(z.enum(positionNames))
  .nonempty()
  .describe('The sub-layers that get an adapter.');

const readsOption = z
  .enum(sourceNames)
  .describe(
    "What an adapter reads: the sub-layer's output, that after the residual sum and its layer norm, or the sub-layer's input (parallel).",
  );

const activationOption = z
  .enum(activationNames)
  .describe('The non-linearity of the bottleneck; gelu is the exact form, gelu-tanh its approximation.');

const scalingOption = z.number().describe("A fixed factor on the adapter's result.");

/** What adapters are where nothing is said: each method has its paper's. */
export interface AdapterDefaults {
  readonly usual: UsualWidth;
  readonly positions: readonly [AdapterPosition, ...AdapterPosition[]];
  readonly reads: AdapterSource;
  readonly activation: Activation;
  readonly scaling: number;
}

/** Houlsby's adapters but for their width: the form that AdapterDrop, Compacter and their kin keep. */
export const houlsbysForm: Omit<AdapterDefaults, 'usual'> = {
  positions: ['attention', 'feedForward'],
  reads: 'output',
  activation: 'gelu-tanh',
  scaling: 1,
};

/** Schemas of an adapter's width, its places and what it does between and after its maps. */
export function adapterOptions({ usual, positions, reads, activation, scaling }: AdapterDefaults): ReturnType<
  typeof widthOptions
> & {
  readonly positions: z.ZodDefault<typeof positionsOption>;
  readonly reads: z.ZodDefault<typeof readsOption>;
  readonly activation: z.ZodDefault<typeof activationOption>;
  readonly scaling: z.ZodDefault<typeof scalingOption>;
} {
  return {
    ...widthOptions(usual),
    positions: positionsOption.default([...positions]),
    reads: readsOption.default(reads),
    activation: activationOption.default(activation),
    scaling: scalingOption.default(scaling),
  };
}

/** Schemas of what every method of adapters does in the same way unless it is asked for something else. */
export const commonOptions = {
  layers: layersOption('adapters'),
  dropout: z.number().min(0).lt(1).default(0).describe("Dropout on the adapter's result."),
  layerNormBefore: z.boolean().default(false).describe('A trained layer norm of its own on what an adapter reads.'),
  layerNormAfter: z.boolean().default(false).describe("A trained layer norm of its own on an adapter's result."),
  trainNorms: z
    .boolean()
    .default(false)
    .describe("Train the encoder's layer norms too, that of the embeddings included; they count as the method's."),
  ...gateOptions,
  head: headOption('native'),
};

/**
 * The inner width of an encoder's adapters. @throws UserError when both sizes are given, or the reduction leaves nothing or far too much
 */
function bottleneckWidth(
  method: string,
  { bottleneck, reductionFactor }: Pick<AdapterOptions, 'bottleneck' | 'reductionFactor'>,
  usual: UsualWidth,
  { hiddenSize }: Pick<EncoderSizes, 'hiddenSize'>,
): number {
  if (bottleneck !== undefined && reductionFactor !== undefined) {
    throw new UserError(
      `${method}: bottleneck ${bottleneck} and reductionFactor ${reductionFactor} are both given`,
      'Leave one of them out.',
    );
  }
  if (bottleneck !== undefined) return bottleneck;
  const size = reductionFactor === undefined ? usual : { reductionFactor };
  if ('bottleneck' in size) return size.bottleneck;
  const width = Math.floor(hiddenSize / size.reductionFactor);
  if (width > WIDEST)
    throw new UserError(
      `${method}: reductionFactor ${size.reductionFactor} makes the hidden size ${hiddenSize} a bottleneck of ${width}, more than ${WIDEST}`,
      'Make it larger.',
    );
  if (width > 0) return width;
  throw new UserError(
    `${method}: reductionFactor ${size.reductionFactor} leaves nothing of the hidden size ${hiddenSize}`,
    'Make it smaller, or give the bottleneck itself.',
  );
}

/** Whether a tensor belongs to a layer norm: those that `trainNorms` trains. */
function isNorm({ module }: EncoderTensor): boolean {
  return module === 'embeddingNorm' || module === 'attentionNorm' || module === 'outputNorm';
}

/** The epsilon of an adapter's own layer norms, torch's default. */
const NORM_EPSILON = 1e-5;

/**
 * The bottleneck alone: gate · scaling · up(activation(down(x))), with its own layer norms around it where they are asked for. The norm
 * behind it comes after the gate, as in the adapters library.
 */
export function bottleneck(
  { activation, scaling, dropout, layerNormBefore, layerNormAfter }: BottleneckOptions,
  { down, up }: BottleneckMaps,
  [outer, inner]: readonly [outer: number, inner: number],
  name: string,
  scope: ParameterScope,
): (x: Value, gate?: Value) => Value {
  const ownNorm = (x: Value, norm: string): Value =>
    layerNorm(
      x,
      scope.trained(`${name}.${norm}.weight`, [outer], { kind: 'ones' }),
      scope.trained(`${name}.${norm}.bias`, [outer], { kind: 'zeros' }),
      NORM_EPSILON,
    );
  return (x, gate) => {
    const entering = layerNormBefore ? ownNorm(x, 'normBefore') : x;
    const narrow = activate(activation, down(entering, `${name}.down`, outer, inner));
    const wide = up(narrow, `${name}.up`, inner, outer);
    const scaled = scaling === 1 ? wide : multiply(wide, scaling);
    const dropped = dropout === 0 ? scaled : scope.dropout(scaled, dropout);
    const gated = gate === undefined ? dropped : multiply(dropped, gate);
    return layerNormAfter ? ownNorm(gated, 'normAfter') : gated;
  };
}

/** Adapters as a method asks for them. */
export interface AdapterRequest {
  /** The method's id, for messages. */
  readonly method: string;
  readonly options: AdapterOptions & GateSettings & { readonly trainNorms: boolean; readonly head: HeadKind };
  /** The width where the options give none. */
  readonly usual: UsualWidth;
  /** The kind of the two projections, given their inner width. */
  readonly maps: (width: number) => BottleneckMaps;
}

/**
 * Puts adapters into an encoder: at each position O becomes O + gate · scaling · up(activation(down(u))), where u is what the adapter
 * reads. Tensors are called `method.layer.<l>.<position>.{down,up}.…`.
 * @throws UserError when the width or the layers do not fit the encoder
 */
export function adapterPlan(
  { method, options, usual, maps }: AdapterRequest,
  encoder: EncoderSizes,
  scope: ParameterScope,
): MethodPlan {
  const { hiddenSize } = encoder;
  const width = bottleneckWidth(method, options, usual, encoder);
  const layers = chosenLayers(method, options.layers, encoder);
  const projections = maps(width);
  const at = (position: AdapterPosition): ((output: Value, place: SubLayerPlace) => Value) => {
    const gate = gateOf(options, scope, position, 'zeros');
    return (output, place) => {
      if (!layers.has(place.layer)) return output;
      const source = readFrom(options.reads, output, place);
      const name = `method.layer.${place.layer}.${position}`;
      const adapt = bottleneck(options, projections, [hiddenSize, width], name, scope);
      return add(output, adapt(source, gate?.(source, place)));
    };
  };
  const { positions, trainNorms, head } = options;
  return {
    hooks: {
      ...(trainNorms ? { trains: isNorm } : {}),
      ...(positions.includes('attention') ? { afterAttention: at('attention') } : {}),
      ...(positions.includes('feedForward') ? { afterFeedForward: at('feedForward') } : {}),
    },
    head,
    dropout: true,
    readsAllRows: options.gated,
    acts: positions.map((position) => ({
      on: 'block',
      map: position === 'attention' ? 'attentionOutput' : 'output',
      does: 'adds',
      reads: whatIsRead[options.reads],
    })),
    folding: stays('has a non-linearity between its maps'),
  };
}

/** What acts in front of a sub-layer is the same for all, so an adapter beside it depends on nothing that others change here. */
const whatIsRead: Readonly<Record<AdapterSource, Act['reads']>> = {
  output: ['itself'],
  normalised: ['itself', 'norm'],
  input: [],
};

function readFrom(source: AdapterSource, output: Value, { residual, normalise }: SubLayerPlace): Value {
  switch (source) {
    case 'output':
      return output;
    case 'normalised':
      return normalise(add(residual, output));
    case 'input':
      return residual;
  }
}

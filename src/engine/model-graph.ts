import type { DeclareMap, HeadLayout } from '../tasks/heads.ts';
import { buildHead, splitSpan } from '../tasks/heads.ts';
import { classificationLosses, IGNORED_LABEL, regressionLosses, spanLosses, tokenLosses } from '../tasks/losses.ts';
import { UserError } from '../base/errors.ts';
import type {
  AddedRows,
  EncoderModule,
  EncoderSizes,
  EncoderTensor,
  HeadKind,
  MethodPlan,
  TextKind,
} from '../peft/method.ts';
import { findMethod } from '../peft/registry.ts';
import { specialTokenCounts, usablePositions, type EncoderConfig } from './encoders/config.ts';
import {
  activate,
  BATCH,
  buildEncoder,
  encoderInputs,
  positionsTaken,
  selectRows,
  SEQUENCE,
  textRows,
  type NeededRows,
} from './encoders/encoder.ts';
import { isWordModule, prefixedName, tensorName, tensorShape } from './encoders/tensor-names.ts';
import { differentiate } from './graph/differentiate.ts';
import { linear } from './graph/functions.ts';
import { symbol } from './graph/dims.ts';
import {
  add,
  cast,
  dimAt,
  equal,
  gelu,
  input,
  iota,
  layerNorm,
  multiply,
  parameter,
  reduceMax,
  reduceSum,
  reshape,
  scalar,
  tanh,
  weight,
  where,
} from './graph/operations.ts';
import type { FixedTensor, Initialiser, ParameterScope, Part, TrainedTensor } from './graph/parameters.ts';
import { createDropoutSites, type DropoutSite } from './graph/random-mask.ts';
import type { Value } from './graph/value.ts';

/** What the head is asked for. */
export type Objective =
  | { readonly kind: 'classification'; readonly labels: number }
  | { readonly kind: 'regression' }
  | { readonly kind: 'token-classification'; readonly labels: number }
  | { readonly kind: 'span' }
  /** The words at labelled tokens, by the checkpoint's own map onto the vocabulary. */
  | {
      readonly kind: 'masked-words';
      /** `given`: the batch says where its labelled tokens are, and only they are scored; otherwise every token is. */
      readonly positions?: 'given';
    };

export interface ModelPlan {
  readonly encoder: EncoderConfig;
  /** The checkpoint has the pooler that BERT's own head reads. */
  readonly hasPooler: boolean;
  readonly method: { readonly id: string; readonly options: Readonly<Record<string, unknown>> };
  readonly objective: Objective;
  /** The checkpoint can predict masked words; true unless said otherwise. Without it, what predicts them begins at random. */
  readonly hasWordHead?: boolean;
  /** What an example is made of; two texts unless said otherwise. */
  readonly texts?: TextKind;
}

export interface GraphMode {
  /**
   * Dropout of the encoder and the head acts at the model's own rates, as far as the method leaves it on, or at this rate everywhere. What a
   * method drops of its own tensors at a rate of its own keeps that one.
   */
  readonly dropout: 'off' | 'model' | number;
  /** Compute every row of the last layer even where the head reads one. */
  readonly allRows?: boolean;
}

/** A model with its loss, as values of a graph. */
export interface ModelGraph {
  readonly trained: readonly TrainedTensor[];
  /** Frozen tensors that are no part of the checkpoint. */
  readonly fixed: readonly FixedTensor[];
  /** The checkpoint's tensors that stay frozen, by name without prefix. */
  readonly frozen: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** Logits (see buildHead); for spans, `start` and `end` too; for masked words at given places, how many are `right` in each example. */
  readonly outputs: Readonly<Record<string, Value>>;
  /** Each example's own loss, `[batch]`. */
  readonly losses: Value;
  /** The fed `loss_scale` times the sum of the losses of what is scored, examples or labelled tokens; with 1 / their number it is the mean. */
  readonly loss: Value;
  /** What is computed in float32 where the rest is in 16 bits: what enters the first layer, and the head's scores. */
  readonly wide: readonly Value[];
  readonly layerOutputs: readonly Value[];
  /** From where on each layer's inside can be computed again in the backward half. */
  readonly boundaries: readonly Value[];
  /** Where dropout acts; none in evaluation, or when the method turns it off. */
  readonly dropoutSites: readonly DropoutSite[];
  /** The head that was built. */
  readonly head: HeadLayout;
  /** Whether the head reads the token at the fed `mask_positions` `[batch, 1]`. */
  readonly readsMask: boolean;
  /** How many special tokens of each example must be fed (`special_positions` `[batch, count]`); 0 where none. */
  readonly specialTokens: number;
  /** The greatest number of tokens that an example can have: what the method leaves of the position table. */
  readonly positions: number;
  /** What the method asks of the model. */
  readonly method: MethodPlan;
  /** The encoder's tensors that the graph uses, frozen and trained, before the method changes what they hold. */
  readonly encoder: readonly UsedTensor[];
}

/** One of the encoder's tensors in a graph. */
export interface UsedTensor {
  /** As the checkpoint has it, without prefix. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly tensor: EncoderTensor;
  readonly value: Value;
}

/** The labelled tokens of an example where their places are given, the same number for every row of a batch. */
const MASKED = symbol('masked');

function isGiven(objective: Objective): boolean {
  return objective.kind === 'masked-words' && objective.positions === 'given';
}

/** The name of the scalar that the sum of losses is multiplied with. */
export const LOSS_SCALE = 'loss_scale';

function encoderSizes({ encoder, hasPooler, texts = 'pair' }: Omit<ModelPlan, 'method' | 'objective'>): EncoderSizes {
  const { family, hiddenSize, embeddingSize, intermediateSize, layers, attentionHeads } = encoder;
  const sizes = { family, hiddenSize, embeddingSize, intermediateSize, layers, attentionHeads };
  return { ...sizes, hasPooler, texts, specialTokens: specialTokenCounts(encoder) };
}

function headLayout(kind: HeadKind, plan: ModelPlan): HeadLayout {
  if (plan.objective.kind === 'token-classification') return 'token';
  if (plan.objective.kind === 'span') return 'span';
  if (plan.objective.kind === 'masked-words') return 'words';
  if (kind === 'two-layer') return 'roberta';
  if (kind !== 'native') return 'linear';
  // Sentence encoders are often saved without the pooler; a frozen random one would only blur what the head reads.
  if (plan.encoder.family === 'bert' && !plan.hasPooler) return 'linear';
  return plan.encoder.family;
}

function headDropout(layout: HeadLayout, { headDropout: rates }: EncoderConfig): number | undefined {
  return layout === 'token' || layout === 'span' ? rates[layout] : rates.sequence;
}

function labelCount({ objective, encoder }: ModelPlan): number {
  switch (objective.kind) {
    case 'classification':
    case 'token-classification':
      return objective.labels;
    case 'regression':
      return 1;
    case 'span':
      return 2;
    case 'masked-words':
      return encoder.vocabularySize;
  }
}

/** The tokens for which a method leaves places in the position table. @throws UserError where that is fewer than special tokens and a word */
function positionsLeft(plan: ModelPlan, built: MethodPlan): number {
  const { encoder, method, texts = 'pair' } = plan;
  const [all, taken] = [usablePositions(encoder), positionsTaken(built)];
  const least = specialTokenCounts(encoder)[texts] + 1;
  if (all - taken < least) {
    throw new UserError(
      `${method.id} takes ${taken} of the encoder's ${all} positions, which leaves no room for a text`,
      'Add fewer rows, or leave the positions of the text as they are.',
    );
  }
  return all - taken;
}

/** Collects what is declared while a graph is built; asking twice for a name gives the same tensor. */
function createScope(
  plan: ModelPlan,
  mode: GraphMode,
): {
  readonly scope: ParameterScope;
  readonly declare: (part: Part, name: string, shape: readonly number[], initialiser: Initialiser) => Value;
  /** Whether the model's own rates act. */
  readonly allowDropout: (allowed: boolean) => void;
  /** Dropout of the encoder or the head, at the model's own rate unless another was asked for. */
  readonly drop: (x: Value, rate: number) => Value;
  readonly trained: TrainedTensor[];
  readonly fixed: FixedTensor[];
  readonly sites: readonly DropoutSite[];
} {
  const trained: TrainedTensor[] = [];
  const fixed: FixedTensor[] = [];
  const sites = createDropoutSites();
  let allowed = true;
  const declare = (part: Part, name: string, shape: readonly number[], initialiser: Initialiser): Value => {
    const known = trained.find((tensor) => tensor.name === name);
    if (known !== undefined) return known.value;
    const value = parameter(name, shape);
    trained.push({ name, shape, initialiser, value, part });
    return value;
  };
  const drop = (x: Value, rate: number): Value => {
    if (mode.dropout === 'off') return x;
    if (mode.dropout !== 'model') return sites.apply(x, mode.dropout);
    return allowed ? sites.apply(x, rate) : x;
  };
  return {
    scope: {
      trained: (name, shape, initialiser) => declare('method', name, shape, initialiser),
      fixed: (name, shape, initialiser) => {
        const known = fixed.find((tensor) => tensor.name === name);
        if (known !== undefined) return known.value;
        const value = weight(name, shape, initialiser.kind === 'permutation' ? 'int32' : 'float32');
        fixed.push({ name, shape, initialiser, value });
        return value;
      },
      dropout: (x, own) => {
        if (own === undefined) return drop(x, plan.encoder.hiddenDropout);
        return mode.dropout === 'off' ? x : sites.apply(x, own);
      },
    },
    declare,
    allowDropout: (yes) => {
      allowed = yes;
    },
    drop,
    trained,
    fixed,
    sites: sites.sites,
  };
}

/**
 * The graph of a model under a method: encoder, head and loss. Trained tensors are declared in the order of the forward pass.
 * @throws UserError when the method's options do not fit the encoder
 */
export function buildModel(plan: ModelPlan, mode: GraphMode): ModelGraph {
  const { encoder, objective } = plan;
  const { scope, declare, allowDropout, drop, trained, fixed, sites } = createScope(plan, mode);
  const method = findMethod(plan.method.id);
  const built: MethodPlan = method.build(plan.method.options, encoderSizes(plan), scope);
  allowDropout(built.dropout);
  const used = new Map<string, UsedTensor>();
  const ownTensor = (wanted: EncoderTensor): Value => {
    const name = tensorName(encoder, wanted);
    const known = used.get(name);
    if (known !== undefined) return known.value;
    const shape = tensorShape(encoder, wanted);
    const value =
      built.hooks.trains?.(wanted) === true
        ? declare('method', `base.${prefixedName(encoder, name)}`, shape, startOf(plan, wanted, name))
        : weight(name, shape);
    used.set(name, { name, shape, tensor: wanted, value });
    return value;
  };
  const tensor = (wanted: EncoderTensor): Value => {
    const own = ownTensor(wanted);
    return built.hooks.tensor?.(own, wanted) ?? own;
  };
  const layout = headLayout(built.head, plan);
  const readsMask = built.head === 'mask' && layout === 'linear';
  const inputs = encoderInputs();
  const needed = neededRows(layout, readsMask, built.rows, isGiven(objective));
  const allRows = mode.allRows === true || built.readsAllRows === true;
  const encoded = buildEncoder(encoder, inputs, built, { tensor, dropout: drop }, allRows ? { kind: 'all' } : needed);
  const read = allRows ? selectRows(encoded.hidden, needed) : encoded.hidden;
  const ofModule = (module: EncoderModule, part: EncoderTensor['part']): Value =>
    tensor({ module, layer: undefined, part });
  const transform = (x: Value): Value => {
    const dense = linear(x, ofModule('wordTransform', 'weight'), ofModule('wordTransform', 'bias'));
    // RoBERTa and ELECTRA have gelu here whatever the layers have.
    const activated =
      encoder.family === 'roberta' || encoder.family === 'electra' ? gelu(dense) : activate(encoder, dense);
    const [scale, shift] = [ofModule('wordTransformNorm', 'weight'), ofModule('wordTransformNorm', 'bias')];
    return layerNorm(activated, scale, shift, encoder.layerNormEpsilon);
  };
  const scoreWords = (x: Value): Value =>
    linear(transform(x), ofModule('wordEmbeddings', 'weight'), ofModule('wordBias', 'bias'));
  const seen = needed.kind === 'all' ? textRows(read, built.rows) : read;
  const hidden = built.headTransform === true && layout === 'linear' ? transform(seen) : seen;
  const declareMap: DeclareMap = (map, outputs, width) => {
    const make = (part: 'weight' | 'bias'): Value => {
      const shape = part === 'weight' ? [outputs, width] : [outputs];
      const initialiser: Initialiser = part === 'weight' ? { kind: 'normal', deviation: 0.02 } : { kind: 'zeros' };
      const name = `head.${map.name}.${part}`;
      const isTrained = built.hooks.trainsHead?.({ part, final: map.final }) ?? true;
      return isTrained ? declare('head', name, shape, initialiser) : scope.fixed(name, shape, initialiser);
    };
    return { weight: make('weight'), bias: make('bias') };
  };
  const pool = (x: Value): Value => tanh(linear(x, ofModule('pooler', 'weight'), ofModule('pooler', 'bias')));
  const logits = buildHead(
    layout,
    labelCount(plan),
    { hidden, pool, scoreWords, dropoutRate: headDropout(layout, encoder) },
    declareMap,
    drop,
  );
  const { losses, loss, ...scores } = objectiveLoss(objective, logits);
  const spans = objective.kind === 'span' ? splitSpan(logits) : {};
  return {
    trained,
    fixed,
    frozen: [...used.values()].flatMap(({ name, shape, value }) =>
      value.operation.kind === 'weight' ? [{ name, shape }] : [],
    ),
    outputs: { logits, ...spans, ...scores },
    losses,
    loss,
    wide: [encoded.entering, logits],
    layerOutputs: encoded.layerOutputs,
    boundaries: encoded.boundaries,
    dropoutSites: sites,
    head: layout,
    readsMask,
    specialTokens: encoded.specialTokens,
    positions: positionsLeft(plan, built),
    method: built,
    encoder: [...used.values()],
  };
}

/** Where a trained tensor of the encoder begins: in the checkpoint, or for a missing map onto the vocabulary where BERT's began. */
function startOf({ hasWordHead = true }: ModelPlan, { module, part }: EncoderTensor, name: string): Initialiser {
  if (hasWordHead || !isWordModule(module)) return { kind: 'checkpoint', tensor: name };
  if (part === 'bias') return { kind: 'zeros' };
  return module === 'wordTransformNorm' ? { kind: 'ones' } : { kind: 'normal', deviation: 0.02 };
}

/** The rows that the head reads, counted among the text's tokens and the rows that a method adds. */
function neededRows(layout: HeadLayout, readsMask: boolean, added: AddedRows | undefined, given: boolean): NeededRows {
  if (given) {
    // Special tokens are never masked, so every masked one moves wherever the rows are put.
    const positions = input('masked_positions', 'int32', [BATCH, MASKED]);
    return { kind: 'at', positions: added === undefined ? positions : add(positions, scalar(added.count, 'int32')) };
  }
  if (layout === 'token' || layout === 'span' || layout === 'words') return { kind: 'all' };
  const shift = added?.headReads === 'text' ? added.count : 0;
  if (!readsMask) return { kind: 'index', index: added?.place === 'before-text' ? shift : 0 };
  // The mask token never comes first, so it moves wherever the rows are put.
  const positions = input('mask_positions', 'int32', [BATCH, 1]);
  return { kind: 'at', positions: shift === 0 ? positions : add(positions, scalar(shift, 'int32')) };
}

/** Σ over each example's labelled tokens of whether its own word has the greatest score, `[batch]`: logits `[batch, tokens, words]`. */
function rightWords(logits: Value, labels: Value): Value {
  const chosen = equal(reshape(labels, [...labels.shape, 1]), iota(dimAt(logits, -1), 'int32'));
  const own = reduceSum(where(chosen, logits, 0), [-1]);
  const isRight = where(equal(labels, IGNORED_LABEL), 0, cast(equal(own, reduceMax(logits, [-1])), 'float32'));
  return reduceSum(isRight, [1]);
}

function objectiveLoss(
  objective: Objective,
  logits: Value,
): { readonly losses: Value; readonly loss: Value; readonly right?: Value } {
  const scale = input(LOSS_SCALE, 'float32', []);
  const scaled = (losses: Value): { losses: Value; loss: Value } => ({
    losses,
    loss: multiply(reduceSum(losses, [0]), scale),
  });
  const integers = (name: string): Value => input(name, 'int32', [BATCH]);
  switch (objective.kind) {
    case 'classification':
      return scaled(classificationLosses(logits, integers('labels')));
    case 'regression':
      return scaled(regressionLosses(logits, input('labels', 'float32', [BATCH])));
    case 'span':
      return scaled(spanLosses(logits, integers('start_positions'), integers('end_positions')));
    case 'masked-words':
    case 'token-classification': {
      const labels = input('labels', 'int32', [BATCH, isGiven(objective) ? MASKED : SEQUENCE]);
      const { sums, perExample } = tokenLosses(logits, labels);
      return {
        losses: perExample,
        loss: scaled(sums).loss,
        ...(isGiven(objective) ? { right: rightWords(logits, labels) } : {}),
      };
    }
  }
}

/** How the backward half comes by what the forward half computed. */
export interface BackwardMode {
  /** Keep what enters each layer alone, and compute the layer's inside again. */
  readonly recompute?: boolean;
}

/** The gradient of the loss for every trained tensor, by its name. */
export function gradientsOf(
  model: ModelGraph,
  { recompute = false }: BackwardMode = {},
): Readonly<Record<string, Value>> {
  const gradients = differentiate(
    model.loss,
    model.trained.map((tensor) => tensor.value),
    recompute ? { boundaries: model.boundaries } : {},
  );
  return Object.fromEntries(
    model.trained.map((tensor, index) => {
      const gradient = gradients[index];
      if (gradient === undefined) throw new Error(`${tensor.name} has no gradient`);
      return [tensor.name, gradient];
    }),
  );
}

/** The matrices of the encoder's layers, frozen ones and trained ones: almost all of a step's products are with these. */
export function layerMatrices({ encoder }: Pick<ModelGraph, 'encoder'>): readonly UsedTensor[] {
  return encoder.filter(({ shape, tensor }) => tensor.layer !== undefined && shape.length === 2);
}

/** Trained numbers by what they are counted as. */
export interface ParameterCounts {
  readonly method: number;
  readonly head: number;
  readonly total: number;
}

/** Counts the trained tensors of a graph. */
export function countParameters(trained: readonly TrainedTensor[]): ParameterCounts {
  const count = (part: Part): number =>
    trained
      .filter((tensor) => tensor.part === part)
      .reduce((sum, tensor) => sum + tensor.shape.reduce((a, b) => a * b, 1), 0);
  const [method, head] = [count('method'), count('head')];
  return { method, head, total: method + head };
}

import { UserError } from '../base/errors.ts';
import { foldSteps, type Folding } from '../peft/folding.ts';
import type { Backend, CompileOptions, TensorData, WeightSource } from './backends/backend.ts';
import { frozenWeights, type EncoderCheckpoint } from './encoder-checkpoint.ts';
import { parametersOf, type Value } from './graph/value.ts';
import { draw, isDrawn } from './initialise.ts';
import { buildModel, type ModelGraph, type ModelPlan } from './model-graph.ts';

/** A trained model. */
export interface TrainedModel {
  readonly plan: ModelPlan;
  readonly checkpoint: EncoderCheckpoint;
  /** The trained tensors by name. */
  readonly values: ReadonlyMap<string, Float32Array>;
  /** The run's seed, from which a method's fixed tensors are drawn again. */
  readonly seed: number;
}

/** A model for inference that computes what the trained one computes, at less cost; also an ordinary model of the plan's method. */
export interface FoldedModel {
  readonly plan: ModelPlan;
  /** The encoder's tensors that are no longer the checkpoint's, by the checkpoint's names. */
  readonly encoder: ReadonlyMap<string, Float32Array>;
  /** What the plan's method trains. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

/** How a model's method folds, or why it stays as it is. @throws UserError when its options do not fit the encoder */
export function foldingOf(plan: ModelPlan): Folding {
  return buildModel(plan, { dropout: 'off' }).method.folding;
}

/**
 * Works a trained method into the encoder, once. The new tensors are values of a graph over the old ones, which the backend evaluates, so
 * there is no second way to compute them.
 * @throws UserError when the method does not fold, saying why
 */
export async function foldModel(
  trained: TrainedModel,
  { backend, device }: { readonly backend: Backend; readonly device: CompileOptions },
): Promise<FoldedModel> {
  const { plan, checkpoint, seed } = trained;
  const model = buildModel(plan, { dropout: 'off' });
  const { folding } = model.method;
  if (folding.kind === 'stays') {
    throw new UserError(`${plan.method.id} does not fold: it ${folding.reason}`, 'The model runs as it was trained.');
  }
  const { remainder } = folding;
  const foldedPlan: ModelPlan = {
    ...plan,
    method: remainder?.method ?? { id: 'head', options: { head: model.method.head } },
  };
  const encoder = new Map(
    model.encoder.map((used) => [used.name, { before: used.value, after: foldTensor(folding, used) }] as const),
  );
  const left = remainder?.tensors() ?? new Map<string, Value>();
  const results = await evaluateOnce(
    new Map([...[...encoder].map(([name, { after }]) => [ENCODER + name, after] as const), ...left]),
    model,
    trained,
    frozenWeights(model, checkpoint, seed),
    { backend, device },
  );
  const changed = new Map<string, Float32Array>();
  for (const [name, { before, after }] of encoder) {
    const data = results.get(ENCODER + name);
    if (data !== undefined && (after !== before || before.operation.kind === 'parameter')) changed.set(name, data);
  }
  const values = new Map<string, Float32Array>();
  for (const { name, shape, initialiser } of buildModel(foldedPlan, { dropout: 'off' }).trained) {
    const kept = initialiser.kind === 'checkpoint' ? changed.get(initialiser.tensor) : results.get(name);
    values.set(name, kept ?? headValue(name, shape, model, trained));
  }
  return { plan: foldedPlan, encoder: changed, values };
}

const ENCODER = 'encoder/';

type Folds = Folding & { readonly kind: 'folds' };

function foldTensor({ steps = {} }: Folds, used: ModelGraph['encoder'][number]): Value {
  return foldSteps.reduce((value, step) => steps[step]?.(value, used.tensor) ?? value, used.value);
}

/** The values of a graph that has no inputs: trained tensors are taken as they are, frozen ones left out, all else is computed. */
async function evaluateOnce(
  wanted: ReadonlyMap<string, Value>,
  model: ModelGraph,
  { values }: TrainedModel,
  weights: WeightSource,
  { backend, device }: { readonly backend: Backend; readonly device: CompileOptions },
): Promise<ReadonlyMap<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  const outputs: Record<string, Value> = {};
  for (const [name, value] of wanted) {
    if (value.operation.kind === 'parameter') found.set(name, valueOf(values, value.operation.name));
    else if (value.operation.kind !== 'weight') outputs[name] = value;
  }
  if (Object.keys(outputs).length === 0) return found;
  const used = new Set(parametersOf(Object.values(outputs)));
  const feeds: Record<string, TensorData> = {};
  for (const { name, shape, value } of model.trained) {
    if (used.has(value)) feeds[name] = { dtype: 'float32', shape, data: valueOf(values, name) };
  }
  const executable = await backend.compile(outputs, weights, device);
  try {
    for (const [name, result] of Object.entries(await executable.run(feeds))) {
      if (result.dtype !== 'float32') throw new Error(`${name} is no float32`);
      found.set(name, result.data);
    }
  } finally {
    await executable.dispose();
  }
  return found;
}

function valueOf(values: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const value = values.get(name);
  if (value === undefined) throw new Error(`${name} has no value`);
  return value;
}

/** A tensor of the head, which folding leaves alone; a method that trains a part of the head has drawn the rest. */
function headValue(
  name: string,
  shape: readonly number[],
  model: ModelGraph,
  { values, seed }: TrainedModel,
): Float32Array {
  const trained = values.get(name);
  if (trained !== undefined) return trained;
  const fixed = model.fixed.find((tensor) => tensor.name === name);
  if (fixed === undefined || !isDrawn(fixed.initialiser)) throw new Error(`${name} has no value`);
  return draw(fixed.initialiser, name, shape, seed);
}

/** The frozen tensors of a folded model: the checkpoint's, but for those that it holds itself. */
export function foldedWeights(
  model: ModelGraph,
  { encoder }: Pick<FoldedModel, 'encoder'>,
  checkpoint: EncoderCheckpoint,
  seed: number,
): WeightSource {
  const source = new Map(frozenWeights(model, checkpoint, seed));
  for (const { name, shape } of model.frozen) {
    const data = encoder.get(name);
    if (data !== undefined) source.set(name, { kind: 'data', shape, data });
  }
  return source;
}

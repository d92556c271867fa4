import { FileError } from '../../base/errors.ts';
import type { Backend, CompileOptions, TensorData, WeightLocation, WeightSource } from '../backends/backend.ts';
import { frozenWeights, type EncoderCheckpoint } from '../encoder-checkpoint.ts';
import { BATCH } from '../encoders/encoder.ts';
import { tensorName } from '../encoders/tensor-names.ts';
import type { NamedTensors } from '../feeds.ts';
import { sameShape } from '../graph/dims.ts';
import { constant, dimAt, input, multiply } from '../graph/operations.ts';
import type { FixedTensor } from '../graph/parameters.ts';
import { clippedSums } from '../graph/clipping.ts';
import { materialise, type PerExampleGradient } from '../graph/per-example-gradient.ts';
import { perExampleGradients } from '../graph/per-example.ts';
import type { Value } from '../graph/value.ts';
import { buildModel, countParameters, gradientsOf, type ModelGraph, type ModelPlan } from '../model-graph.ts';
import { createAdamW, stepAdamW } from '../optimisers/adamw.ts';
import { readTensors } from '../safetensors.ts';
import { caseFeeds } from './case-feeds.ts';
import {
  compareAbsolute,
  compareRelative,
  tolerances,
  type Comparison,
  type GroupReport,
  type Precision,
  type Tolerances,
} from './compare.ts';
import {
  numbersOf,
  readClipping,
  readInputs,
  readNumbers,
  readParameters,
  sameView,
  type CaseFolder,
  type CaseMeta,
  type Clipping,
  type Numbers,
} from './golden-files.ts';
import type { CaseMapping } from './map-case.ts';

/** What computes the cases. */
export interface VerifyEngine {
  readonly backend: Backend;
  readonly device: CompileOptions;
  /** The precision in which the backend computes; float32 unless said otherwise. */
  readonly precision?: Precision;
}

export interface CaseOutcome {
  readonly groups: readonly GroupReport[];
  /** What is wrong beside numbers: other trained tensors, other counts. */
  readonly problems: readonly string[];
}

type MappedCase = CaseMapping & { readonly kind: 'mapped' };

/** A trained tensor under the case's name and ours. */
interface Pair {
  readonly theirs: string;
  readonly ours: string;
}

/** Everything that the comparisons of one case need. */
interface Work {
  readonly meta: CaseMeta;
  readonly expected: Numbers;
  readonly pairs: readonly Pair[];
  readonly allowed: Tolerances;
  readonly precision: Precision;
}

type Results = Readonly<Record<string, TensorData>>;

/** The head reads the graph's last layer whole, or only the tokens that it needs, as in training. */
const TRAINING = 'training/';

/**
 * Computes a case with our graph and holds it against what the reference computed: outputs, loss, layer outputs, gradients, per-example
 * losses and gradients, AdamW steps, clipped sums; outputs and gradients twice, the second time in the graph that trains.
 * @throws FileError when a file of the case is missing, malformed, or does not fit the others
 */
export async function runCase(
  folder: CaseFolder,
  meta: CaseMeta,
  mapping: MappedCase,
  checkpoint: EncoderCheckpoint,
  { backend, device, precision = 'float32' }: VerifyEngine,
): Promise<CaseOutcome> {
  const { config, hasPooler } = checkpoint;
  const plan: ModelPlan = { encoder: config, hasPooler, method: mapping.method, objective: mapping.objective };
  const whole = buildModel(plan, { dropout: 'off', allRows: true });
  const pairs = Object.keys(meta.trainable).map((theirs) => ({ theirs, ours: mapping.names.get(theirs) ?? theirs }));
  const problems = disagreements(meta, whole, pairs);
  if (problems.length > 0) return { groups: [], problems };

  const parameters = await readParameters(folder, mapping.method.id !== 'full');
  const start = await startValues(whole, pairs, parameters, checkpoint);
  const weights = await caseWeights(whole, parameters, checkpoint);
  const feeds = caseFeeds(await readInputs(folder), config, mapping.objective, whole);
  const clipping = await readClipping(folder);
  const work: Work = {
    meta,
    expected: await readNumbers(`${folder.path}/expected.safetensors`),
    pairs,
    allowed: tolerances[precision],
    precision,
  };
  const asTorch = withoutPaddingRows(plan);
  const wholeGroups = await withGraph(backend, device, weights, wholeOutputs(whole, meta, asTorch), async (run) =>
    compareWhole(work, whole, await run({ ...feeds, ...fedValues(whole, start) })),
  );
  const trainer = buildModel(plan, { dropout: 'off' });
  const outputs = trainingOutputs(trainer, clipping, asTorch);
  const trainerGroups = await withGraph(backend, device, weights, outputs, async (run) => {
    const fed = { ...feeds, [MAX_NORM]: scalarFeed(1) };
    const results = await run({ ...fed, ...fedValues(trainer, start) });
    return [
      ...compareOutputs(work, trainer, results, TRAINING),
      ...compareGradients(work, results, TRAINING),
      ...(await compareAdamW(work, (values) => run({ ...fed, ...fedValues(trainer, values) }), start)),
      ...(clipping === undefined
        ? []
        : await compareClipping(work, clipping, (maxNorm) =>
            run({ ...fed, ...fedValues(trainer, start), [MAX_NORM]: scalarFeed(maxNorm) }),
          )),
    ];
  });
  return { groups: [...wholeGroups, ...trainerGroups], problems: [] };
}

/** Where the case and our graph do not train the same tensors. */
function disagreements(meta: CaseMeta, model: ModelGraph, pairs: readonly Pair[]): readonly string[] {
  const ours = new Map(model.trained.map(({ name, shape }) => [name, shape]));
  const theirs = new Set(pairs.map((pair) => pair.ours));
  const missing = pairs.filter((pair) => !ours.has(pair.ours)).map((pair) => pair.theirs);
  const extra = [...ours.keys()].filter((name) => !theirs.has(name));
  const shaped = pairs.flatMap(({ theirs: name, ours: own }) => {
    const [want, got] = [meta.trainable[name] ?? [], ours.get(own)];
    return got === undefined || sameView(got, want)
      ? []
      : [`${name} has the shape [${got.join(', ')}] here and [${want.join(', ')}] in the case`];
  });
  const [counted, stated] = [countParameters(model.trained), meta.trainable_parameters];
  const parts = ['method', 'head', 'total'] as const;
  const counts = parts.flatMap((part) =>
    stated === undefined || stated[part] === counted[part]
      ? []
      : [`${counted[part]} trained numbers (${part}) here, ${stated[part]} in the case`],
  );
  return [
    ...(missing.length === 0 ? [] : [`only the case trains ${missing.join(', ')}`]),
    ...(extra.length === 0 ? [] : [`only our method trains ${extra.join(', ')}`]),
    ...shaped,
    ...counts,
  ];
}

/** A tensor of the base model's file, as float32. @throws FileError when it is not there or has another shape */
async function baseTensor(
  checkpoint: EncoderCheckpoint,
  name: string,
  shape: readonly number[],
  parameters: Numbers,
): Promise<Float32Array> {
  const entry = checkpoint.tensors.get(name);
  if (entry === undefined) {
    throw new FileError(parameters.file, undefined, `gives no start value of ${name}, nor does the base model`);
  }
  const { data } = (await readTensors(entry.file, [entry.name])).get(entry.name) ?? {};
  if (!(data instanceof Float32Array) || !sameShape(entry.shape, shape)) {
    throw new FileError(entry.file, undefined, `tensor "${entry.name}" must be float of shape [${shape.join(', ')}]`);
  }
  return data;
}

/** The name in the base model's file of a tensor that has a place in it. */
function nameInBase({ name, initialiser }: FixedTensor): string {
  if (initialiser.kind === 'checkpoint') return initialiser.tensor;
  return name.startsWith('head.') ? name.slice('head.'.length) : name;
}

/** The case's own start values where it has them, the base model's otherwise. */
async function startValues(
  model: ModelGraph,
  pairs: readonly Pair[],
  parameters: Numbers,
  checkpoint: EncoderCheckpoint,
): Promise<ReadonlyMap<string, Float32Array>> {
  const theirs = new Map(pairs.map((pair) => [pair.ours, pair.theirs]));
  const fromCase = parameters.tensors.size > 0;
  const values = new Map<string, Float32Array>();
  for (const tensor of model.trained) {
    const { name, shape } = tensor;
    values.set(
      name,
      fromCase
        ? numbersOf(parameters, theirs.get(name) ?? name, shape)
        : await baseTensor(checkpoint, nameInBase(tensor), shape, parameters),
    );
  }
  return values;
}

/** Frozen tensors: the encoder's from the base model, the method's own from the case, a head's from either. */
async function caseWeights(
  model: ModelGraph,
  parameters: Numbers,
  checkpoint: EncoderCheckpoint,
): Promise<WeightSource> {
  const source = new Map<string, WeightLocation>(frozenWeights({ ...model, fixed: [] }, checkpoint, 0));
  for (const tensor of model.fixed) {
    const { name, shape } = tensor;
    const data = parameters.tensors.has(name)
      ? numbersOf(parameters, name, shape)
      : await baseTensor(checkpoint, nameInBase(tensor), shape, parameters);
    source.set(name, { kind: 'data', shape, data });
  }
  return source;
}

/** Takes out of a gradient, `[...]` or `[batch, ...]` of a named tensor, what torch leaves out of it. */
type AsTorch = (name: string, gradient: Value) => Value;

/**
 * torch's embeddings give the row of the padding index no gradient: the word row of the padding token, and RoBERTa's position row of
 * padding. It shows only where padding reaches the loss, which is in the softmax over positions of a span head; there, and only
 * there, the rows are taken out of our gradients: of a batch's, and of every example's before its norm is taken.
 */
function withoutPaddingRows({ encoder, objective }: ModelPlan): AsTorch {
  const table = (module: 'wordEmbeddings' | 'positionEmbeddings'): string =>
    tensorName(encoder, { module, layer: undefined, part: 'weight' });
  const tables = [table('wordEmbeddings'), ...(encoder.family === 'roberta' ? [table('positionEmbeddings')] : [])];
  return (name, gradient) => {
    if (objective.kind !== 'span' || !tables.some((own) => name.endsWith(`.${own}`))) return gradient;
    const rows = dimAt(gradient, -2);
    if (typeof rows !== 'number') throw new Error(`${name} has no fixed number of rows`);
    const kept = Array.from({ length: rows }, (_, row) => (row === encoder.padTokenId ? 0 : 1));
    return multiply(gradient, constant(kept, [rows, 1]));
  };
}

async function withGraph(
  backend: Backend,
  device: CompileOptions,
  weights: WeightSource,
  outputs: Readonly<Record<string, Value>>,
  use: (run: (feeds: NamedTensors) => Promise<Results>) => Promise<readonly GroupReport[]>,
): Promise<readonly GroupReport[]> {
  const executable = await backend.compile(outputs, weights, device);
  try {
    return await use((feeds) => executable.run(feeds));
  } finally {
    await executable.dispose();
  }
}

function fedValues(model: ModelGraph, values: ReadonlyMap<string, Float32Array>): NamedTensors {
  const fed: NamedTensors = {};
  for (const { name, shape } of model.trained) {
    const data = values.get(name);
    if (data === undefined) throw new Error(`${name} has no value`);
    fed[name] = { dtype: 'float32', shape, data };
  }
  return fed;
}

function scalarFeed(value: number): TensorData {
  return { dtype: 'float32', shape: [], data: Float32Array.of(value) };
}

function leaves(model: ModelGraph): readonly Value[] {
  return model.trained.map(({ value }) => value);
}

/** Head outputs by the names that the files give them. */
function headOutputs(model: ModelGraph): Record<string, Value> {
  const { logits, start, end } = model.outputs;
  if (start !== undefined && end !== undefined) return { start_logits: start, end_logits: end };
  if (logits === undefined) throw new Error('the model has no logits');
  return { logits };
}

function batchGradients(model: ModelGraph, asTorch: AsTorch): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(gradientsOf(model)).map(([name, gradient]) => [`grad/${name}`, asTorch(name, gradient)]),
  );
}

/** The gradients of all examples for each trained tensor; whole ones where torch leaves something out, in the cheapest form elsewhere. */
function exampleGradients(model: ModelGraph, asTorch: AsTorch): readonly PerExampleGradient[] {
  const { gradients } = perExampleGradients(model.losses, leaves(model), BATCH);
  return model.trained.map(({ name, shape }, index) => {
    const gradient = gradients[index];
    if (gradient === undefined) throw new Error('one gradient a trained tensor');
    const whole = materialise(gradient, shape);
    const left = asTorch(name, whole);
    return left === whole ? gradient : { form: 'materialised', value: left };
  });
}

function wholeOutputs(model: ModelGraph, meta: CaseMeta, asTorch: AsTorch): Readonly<Record<string, Value>> {
  const perExample = meta.per_example
    ? Object.fromEntries(
        exampleGradients(model, asTorch).map((gradient, index) => {
          const tensor = model.trained[index];
          if (tensor === undefined) throw new Error('one gradient a trained tensor');
          return [`per_example_grad/${tensor.name}`, materialise(gradient, tensor.shape)];
        }),
      )
    : {};
  return {
    ...headOutputs(model),
    loss: model.loss,
    ...Object.fromEntries(model.layerOutputs.map((value, layer) => [`layer_output/${layer}`, value])),
    ...batchGradients(model, asTorch),
    ...(meta.per_example ? { per_example_loss: model.losses } : {}),
    ...perExample,
  };
}

const MAX_NORM = 'max_norm';

function trainingOutputs(
  model: ModelGraph,
  clipping: Clipping | undefined,
  asTorch: AsTorch,
): Readonly<Record<string, Value>> {
  const training = { ...headOutputs(model), loss: model.loss, ...batchGradients(model, asTorch) };
  if (clipping === undefined) return training;
  const gradients = exampleGradients(model, asTorch);
  const { norms, sums } = clippedSums(gradients, leaves(model), input(MAX_NORM, 'float32', []));
  const clipped = model.trained.flatMap(({ name }, index) => {
    const sum = sums[index];
    return sum === undefined ? [] : [[`clipped_sum/${name}`, sum] as const];
  });
  return { ...training, norms, ...Object.fromEntries(clipped) };
}

function floats(results: Results, name: string): Float32Array {
  const found = results[name];
  if (found?.dtype !== 'float32') throw new Error(`the graph gives no ${name}`);
  return found.data;
}

/** Tensors with a gradient, and apart those whose gradient is mathematically zero: of these only noise can be seen. */
function compareGroup(
  { meta, pairs, allowed }: Work,
  group: string,
  comparison: (pair: Pair) => Comparison,
  tolerance = allowed.gradient,
  /** How many examples' noise a number is the sum of. */
  summed = 1,
): readonly GroupReport[] {
  const zero = new Set(meta.zero_gradient);
  const ordinary = pairs.filter(({ theirs }) => !zero.has(theirs)).map(comparison);
  const noise = pairs.filter(({ theirs }) => zero.has(theirs)).map(comparison);
  return [
    ...compareRelative(group, ordinary, tolerance),
    ...compareAbsolute(`${group} (zero)`, noise, { greatest: summed * allowed.zeroGradient }),
  ];
}

function compareOutputs(
  { expected, allowed }: Work,
  model: ModelGraph,
  results: Results,
  prefix: string,
): readonly GroupReport[] {
  return [...Object.keys(headOutputs(model)), 'loss'].flatMap((name) =>
    compareRelative(
      `${prefix}${name}`,
      [{ name, got: floats(results, name), want: numbersOf(expected, name, wantedShape(results, name)) }],
      allowed.outputs,
    ),
  );
}

/** The files keep scalars as `[1]`. */
function wantedShape(results: Results, name: string): readonly number[] {
  const shape = results[name]?.shape ?? [];
  return shape.length === 0 ? [1] : shape;
}

function compareGradients(work: Work, results: Results, prefix: string): readonly GroupReport[] {
  return compareGroup(work, `${prefix}grad`, ({ theirs, ours }) => {
    const name = `grad/${ours}`;
    const want = numbersOf(work.expected, `grad/${theirs}`, results[name]?.shape);
    return { name: theirs, got: floats(results, name), want };
  });
}

function compareWhole(work: Work, model: ModelGraph, results: Results): readonly GroupReport[] {
  const { expected, allowed, meta } = work;
  const plain = (name: string): Comparison => ({
    name,
    got: floats(results, name),
    want: numbersOf(expected, name, wantedShape(results, name)),
  });
  const perExample = meta.per_example
    ? [
        ...compareRelative('per_example_loss', [plain('per_example_loss')], allowed.outputs),
        ...compareGroup(work, 'per_example_grad', ({ theirs, ours }) => {
          const name = `per_example_grad/${ours}`;
          const want = numbersOf(expected, `per_example_grad/${theirs}`, results[name]?.shape);
          return { name: theirs, got: floats(results, name), want };
        }),
      ]
    : [];
  return [
    ...compareOutputs(work, model, results, ''),
    ...compareRelative(
      'layer_output',
      model.layerOutputs.map((_, layer) => plain(`layer_output/${layer}`)),
      allowed.layerOutput,
    ),
    ...compareGradients(work, results, ''),
    ...perExample,
  ];
}

/** AdamW on the same batch: constant rate, no clipping, every tensor decayed. */
async function compareAdamW(
  { meta, expected, pairs, allowed, precision }: Work,
  run: (values: ReadonlyMap<string, Float32Array>) => Promise<Results>,
  start: ReadonlyMap<string, Float32Array>,
): Promise<readonly GroupReport[]> {
  if (meta.adamw === undefined) return [];
  const { weight_decays: decays, lr, betas, eps: epsilon, steps } = meta.adamw;
  const unstable = new Set(precision === 'float32' ? meta.adamw_unstable_in_float32 : []);
  const groups: GroupReport[] = [];
  for (const weightDecay of decays) {
    const group = `adamw_wd${weightDecay}`;
    const values = new Map([...start].map(([name, value]) => [name, value.slice()]));
    const trained = [...values].map(([name, value]) => ({ name, value, weightDecay }));
    const state = createAdamW(trained);
    for (let step = 0; step < steps; step++) {
      const results = await run(values);
      const gradients = new Map(trained.map(({ name }) => [name, floats(results, `grad/${name}`)] as const));
      stepAdamW(state, trained, gradients, lr, { beta1: betas[0], beta2: betas[1], epsilon });
    }
    const compared = pairs
      .filter(({ theirs }) => !unstable.has(`${group}/${theirs}`))
      .map(({ theirs, ours }): Comparison => {
        const want = numbersOf(expected, `${group}/${theirs}`, meta.trainable[theirs]);
        return { name: theirs, got: values.get(ours) ?? [], want };
      });
    groups.push(...compareAbsolute(group, compared, allowed.update));
  }
  return groups;
}

/** Clipped sums and their noiseless means at every bound of the clipping files; the norms are the same at each. */
async function compareClipping(
  work: Work,
  { runs, expected }: Clipping,
  run: (maxNorm: number) => Promise<Results>,
): Promise<readonly GroupReport[]> {
  const { clipping } = work.allowed;
  const groups: GroupReport[] = [];
  for (const { name, maxNorm, expectedBatchSize } of runs) {
    const results = await run(maxNorm);
    const norms: Comparison = {
      name: 'norms',
      got: floats(results, 'norms'),
      want: numbersOf(expected, 'norms', results['norms']?.shape),
    };
    groups.push(...compareRelative(`clipping/${name}/norms`, [norms], clipping));
    const sum = ({ ours }: Pair): Float32Array => floats(results, `clipped_sum/${ours}`);
    const want = (kind: string, { theirs, ours }: Pair): Float32Array =>
      numbersOf(expected, `${name}/${kind}/${theirs}`, results[`clipped_sum/${ours}`]?.shape);
    groups.push(
      ...compareGroup(
        work,
        `clipping/${name}/clipped_sum`,
        (pair) => ({ name: pair.theirs, got: sum(pair), want: want('clipped_sum', pair) }),
        clipping,
        norms.got.length,
      ),
      ...compareGroup(
        work,
        `clipping/${name}/noiseless_mean`,
        (pair) => ({
          name: pair.theirs,
          got: sum(pair).map((number) => number / expectedBatchSize),
          want: want('noiseless_mean', pair),
        }),
        clipping,
      ),
    );
  }
  return groups;
}

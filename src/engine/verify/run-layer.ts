import { adapterHoulsby } from '../../peft/adapter-houlsby.ts';
import { adapterLowRank } from '../../peft/adapter-low-rank.ts';
import { adapterPhm } from '../../peft/adapter-phm.ts';
import { alike, denseMap, lowRankMap, type AffineMap } from '../../peft/affine.ts';
import { bottleneck } from '../../peft/bottleneck.ts';
import { compacter } from '../../peft/compacter.ts';
import { hypercomplexMap } from '../../peft/hypercomplex.ts';
import { differentiate } from '../graph/differentiate.ts';
import { add, input, multiply, parameter, reduceSum, weight } from '../graph/operations.ts';
import type { DeclaredTensor, ParameterScope } from '../graph/parameters.ts';
import type { Value } from '../graph/value.ts';
import type { NamedTensors } from '../feeds.ts';
import type { ModelPlan } from '../model-graph.ts';
import { compareRelative, tolerances, type Comparison } from './compare.ts';
import { numbersOf, readNumbers, type CaseFolder, type LayerMeta } from './golden-files.ts';
import { activationIn, projectionFacts, type ProjectionFacts } from './map-adapters.ts';
import { unsupported, type Renaming, type Shapes } from './mapping.ts';
import type { CaseOutcome, VerifyEngine } from './run-case.ts';

export type LayerMapping =
  | {
      readonly kind: 'layer';
      /** The method that has such layers. */
      readonly method: ModelPlan['method'];
      /** Our name of each of the case's tensors. */
      readonly names: Renaming;
      readonly build: (x: Value, scope: ParameterScope) => Value;
    }
  | { readonly kind: 'unsupported'; readonly reason: string };

const methodIds: Readonly<Record<ProjectionFacts['kind'], string>> = {
  dense: 'adapter-houlsby',
  'low-rank': 'adapter-low-rank',
  phm: 'adapter-phm',
  lphm: 'compacter',
};

/** The map that our method has. Its init does not matter: the case gives the values. */
function mapOf({ kind, options }: ProjectionFacts, sharedRule: boolean, scope: ParameterScope): AffineMap {
  switch (kind) {
    case 'dense':
      return denseMap(() => ({ kind: 'zeros' }), scope);
    case 'low-rank': {
      const chosen = adapterLowRank.options.parse(options);
      return lowRankMap(chosen.rank, chosen, scope);
    }
    case 'phm': {
      const chosen = adapterPhm.options.parse({ ...options, sharedRule });
      return hypercomplexMap({ ...chosen, rank: undefined, evaluation: 'explicit' }, scope);
    }
    case 'lphm':
      return hypercomplexMap(compacter.options.parse({ ...options, sharedRule }), scope);
  }
}

const samplerTensor = /^adapters\.\w+\.(?<side>down|up)_sampler\.(?<tensor>\w+)$/;
const normTensor = /^(?<place>pre|post)_layer_norm\.(?<part>weight|bias)$/;
const isRule = (tensor: string): boolean => tensor.startsWith('phm_rule');

/** An adapter with the skip around it: x + up(activation(down(x))). */
function mapAdapter(parameters: Shapes, description: string): LayerMapping {
  const down: Record<string, readonly number[]> = {};
  const up: Record<string, readonly number[]> = {};
  const names = new Map<string, string>();
  const norms = new Set<string>();
  const ruleSides = Object.keys(parameters).flatMap((name) => {
    const { side, tensor = '' } = samplerTensor.exec(name)?.groups ?? {};
    return isRule(tensor) ? [side] : [];
  });
  // A rule that both sides share is named once.
  const sharedRule = new Set(ruleSides).size === 1;
  for (const [name, shape] of Object.entries(parameters)) {
    const { side, tensor = '' } = samplerTensor.exec(name)?.groups ?? {};
    const { place, part } = normTensor.exec(name)?.groups ?? {};
    if (side === 'down' || side === 'up') {
      const shared = sharedRule && isRule(tensor);
      names.set(name, shared ? `method.${tensor}` : `method.${side}.${tensor}`);
      if (shared || side === 'down') down[tensor] = shape;
      if (shared || side === 'up') up[tensor] = shape;
    } else if (place !== undefined) {
      norms.add(place);
      names.set(name, `method.${place === 'pre' ? 'normBefore' : 'normAfter'}.${part ?? ''}`);
    } else return unsupported(`layer: has ${name}, which no layer of ours has`);
  }
  const facts = projectionFacts(down);
  if (facts === undefined || projectionFacts(up)?.kind !== facts.kind)
    return unsupported('layer: its projections are none of ours');
  const options = {
    ...facts.options,
    bottleneck: facts.to,
    // The authors' own, where the description speaks of none.
    activation: activationIn(description) ?? 'gelu-tanh',
    layerNormBefore: norms.has('pre'),
    layerNormAfter: norms.has('post'),
  };
  return {
    kind: 'layer',
    method: { id: methodIds[facts.kind], options },
    names,
    build: (x, scope) => {
      const { activation, scaling, dropout, layerNormBefore, layerNormAfter } = adapterHoulsby.options.parse({
        activation: options.activation,
        layerNormBefore: options.layerNormBefore,
        layerNormAfter: options.layerNormAfter,
      });
      const chosen = { activation, scaling, dropout, layerNormBefore, layerNormAfter };
      const maps = alike(mapOf(facts, sharedRule, scope));
      return add(x, bottleneck(chosen, maps, [facts.from, facts.to], 'method', scope)(x));
    },
  };
}

/** One projection. */
function mapProjection(parameters: Shapes): LayerMapping {
  const facts = projectionFacts(parameters);
  if (facts === undefined)
    return unsupported(`layer: its tensors ${Object.keys(parameters).join(', ')} are none of ours`);
  return {
    kind: 'layer',
    method: { id: methodIds[facts.kind], options: facts.options },
    names: new Map(Object.keys(parameters).map((name) => [name, `method.${name}`])),
    build: (x, scope) => mapOf(facts, false, scope)(x, 'method', facts.from, facts.to),
  };
}

/** What we build for a layer on its own, from its tensors and its description. */
export function mapLayer({ parameters, description }: LayerMeta): LayerMapping {
  const adapter = Object.keys(parameters).some((name) => samplerTensor.test(name));
  return adapter ? mapAdapter(parameters, description) : mapProjection(parameters);
}

/**
 * Computes a layer alone and holds it against what the reference computed: y, Σ y · output_weight, and the gradients of that sum with
 * respect to x and every tensor.
 * @throws FileError when a file of the case is missing, malformed, or does not fit the others
 */
export async function runLayer(
  folder: CaseFolder,
  meta: LayerMeta,
  mapping: LayerMapping & { readonly kind: 'layer' },
  { backend, device, precision = 'float32' }: VerifyEngine,
): Promise<CaseOutcome> {
  const given = await readNumbers(`${folder.path}/inputs.safetensors`);
  const expected = await readNumbers(`${folder.path}/expected.safetensors`);
  const declared: DeclaredTensor[] = [];
  const declare = (name: string, shape: readonly number[], value: Value): Value => {
    declared.push({ name, shape, initialiser: { kind: 'zeros' }, value });
    return value;
  };
  const scope: ParameterScope = {
    trained: (name, shape) =>
      declared.find((tensor) => tensor.name === name)?.value ?? declare(name, shape, parameter(name, shape)),
    fixed: (name, shape) => weight(name, shape),
    dropout: (value) => value,
  };
  const xShape = given.tensors.get('x')?.shape ?? [];
  const x = input('x', 'float32', xShape);
  const y = mapping.build(x, scope);
  const yShape = y.shape.map(Number);
  const loss = reduceSum(
    multiply(y, input('output_weight', 'float32', yShape)),
    y.shape.map((_, axis) => axis),
  );
  const pairs = Object.entries(meta.parameters).map(([theirs, shape]) => ({
    theirs,
    shape,
    ours: mapping.names.get(theirs) ?? theirs,
  }));
  const problems = disagreements(meta, pairs, declared);
  if (problems.length > 0) return { groups: [], problems };

  const gradients = differentiate(loss, [x, ...declared.map(({ value }) => value)]);
  const names = ['x', ...declared.map(({ name }) => name)];
  const outputs = {
    y,
    loss,
    ...Object.fromEntries(gradients.map((value, index) => [`grad/${names[index] ?? ''}`, value])),
  };
  const float = (shape: readonly number[], data: Float32Array): NamedTensors[string] => ({
    dtype: 'float32',
    shape,
    data,
  });
  const feeds: NamedTensors = {
    x: float(xShape, numbersOf(given, 'x')),
    output_weight: float(yShape, numbersOf(given, 'output_weight', yShape)),
  };
  for (const { theirs, ours, shape } of pairs) feeds[ours] = float(shape, numbersOf(given, `param/${theirs}`, shape));

  const executable = await backend.compile(outputs, new Map(), device);
  try {
    const results = await executable.run(feeds);
    const compare = (theirs: string, ours: string, shape: readonly number[]): Comparison => {
      const got = results[ours];
      if (got?.dtype !== 'float32') throw new Error(`the graph gives no ${ours}`);
      return { name: theirs, got: got.data, want: numbersOf(expected, theirs, shape) };
    };
    const allowed = tolerances[precision];
    return {
      groups: [
        ...compareRelative('y', [compare('y', 'y', yShape)], allowed.outputs),
        ...compareRelative('loss', [compare('loss', 'loss', [1])], allowed.outputs),
        ...compareRelative(
          'grad',
          [
            compare('grad/x', 'grad/x', xShape),
            ...pairs.map(({ theirs, ours, shape }) => compare(`grad/${theirs}`, `grad/${ours}`, shape)),
          ],
          allowed.gradient,
        ),
      ],
      problems: [],
    };
  } finally {
    await executable.dispose();
  }
}

/** Where the case and our layer do not have the same tensors. */
function disagreements(
  meta: LayerMeta,
  pairs: readonly { readonly theirs: string; readonly ours: string; readonly shape: readonly number[] }[],
  declared: readonly DeclaredTensor[],
): readonly string[] {
  const ours = new Map(declared.map(({ name, shape }) => [name, shape]));
  const known = new Set(pairs.map((pair) => pair.ours));
  const numbers = declared.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
  return [
    ...pairs
      .filter((pair) => ours.get(pair.ours)?.join() !== pair.shape.join())
      .map(({ theirs, shape }) => `only the case has ${theirs} [${shape.join(', ')}]`),
    ...[...ours.keys()].filter((name) => !known.has(name)).map((name) => `only our layer has ${name}`),
    ...(meta.parameter_count === undefined || meta.parameter_count === numbers
      ? []
      : [`the case counts ${meta.parameter_count} parameters, we ${numbers}`]),
  ];
}

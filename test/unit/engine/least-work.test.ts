import { describe, expect, it } from 'vitest';
import { evaluateShape } from '../../../src/engine/graph/dims.ts';
import { topologicalOrder, type Value } from '../../../src/engine/graph/value.ts';
import { buildModel, gradientsOf } from '../../../src/engine/model-graph.ts';
import { planOf, smallOptions } from '../../support/method-model.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const LAYERS = 3;
const sizes = { batch: 4, sequence: 32 };
const [ROWS, TOKENS] = [4, 4 * 32];

const checkpoint = await openTinyEncoder({ num_hidden_layers: LAYERS });

/** The matrix of a layer that a value is, as `1 attention.self.query`, whether it is frozen or trained. */
function matrixOf({ operation }: Value): string | undefined {
  if (operation.kind !== 'weight' && operation.kind !== 'parameter') return undefined;
  const [, layer, name] = /layer\.(\d+)\.(.+)\.weight$/.exec(operation.name) ?? [];
  return layer === undefined || name === undefined || /norm/i.test(name) ? undefined : `${layer} ${name}`;
}

/** The rows of each product that a step computes with each matrix of its layers, the forward pass's first. */
function productsOf(method: string, options = smallOptions[method] ?? {}): ReadonlyMap<string, readonly number[]> {
  const model = buildModel(planOf(checkpoint, method, options), { dropout: 'model' });
  const products = new Map<string, readonly number[]>();
  for (const value of topologicalOrder(Object.values({ loss: model.loss, ...gradientsOf(model) }))) {
    for (const operand of value.inputs) {
      const matrix = matrixOf(operand);
      if (matrix === undefined) continue;
      // Never through a copy of the matrix with its axes exchanged.
      expect(value.operation.kind, matrix).not.toBe('transpose');
      if (value.operation.kind !== 'gemm' && value.operation.kind !== 'matmul') continue;
      const rows = evaluateShape(value.shape, sizes).slice(0, -1);
      products.set(matrix, [...(products.get(matrix) ?? []), rows.reduce((product, size) => product * size, 1)]);
    }
  }
  return products;
}

const everyMatrix = ['attention.self.query', 'attention.self.key', 'attention.self.value'].concat([
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
]);

/** Those of which the last layer needs the rows that the head reads alone; keys and values are of all tokens. */
const ofReadRows = new Set(['attention.self.query', 'attention.output.dense', 'intermediate.dense', 'output.dense']);

function forward(layer: number, name: string): number {
  return layer === LAYERS - 1 && ofReadRows.has(name) ? ROWS : TOKENS;
}

describe('a step multiplies with the matrices of the layers', () => {
  it.each(['lora', 'ia3', 'bitfit', 'slash', 'adapter-pfeiffer', 'compacter'])(
    'of %s: in the last layer for the rows that the head reads, and backward as often as forward at most',
    (method) => {
      const products = productsOf(method);
      for (let layer = 0; layer < LAYERS; layer++)
        for (const name of everyMatrix) {
          const [first, ...others] = products.get(`${layer} ${name}`) ?? [];
          expect([layer, name, first]).toEqual([layer, name, forward(layer, name)]);
          expect(others.length).toBeLessThanOrEqual(1);
          for (const rows of others) expect([layer, name, rows]).toEqual([layer, name, forward(layer, name)]);
        }
    },
  );

  it('below the lowest trained tensor forward alone: in the first layer of SLaSh, below the trained layers of full fine-tuning, everywhere of a head', () => {
    const uses = (method: string, options?: Readonly<Record<string, unknown>>) =>
      Array.from({ length: LAYERS }, (_, layer) =>
        everyMatrix.map((name) => productsOf(method, options).get(`${layer} ${name}`)?.length),
      );
    const [once, twice] = [everyMatrix.map(() => 1), everyMatrix.map(() => 2)];
    expect(uses('head')).toEqual([once, once, once]);
    expect(uses('slash')).toEqual([once, twice, twice]);
    expect(uses('full', { layers: [2] }).slice(0, 2)).toEqual([once, once]);
    expect(uses('full', { embeddings: false }).slice(1)).toEqual([twice, twice]);
  });
});

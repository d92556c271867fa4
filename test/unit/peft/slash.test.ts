import { describe, expect, it } from 'vitest';
import { BATCH } from '../../../src/engine/encoders/encoder.ts';
import { multiplyDims, type Dim } from '../../../src/engine/graph/dims.ts';
import { topologicalOrder, type Value } from '../../../src/engine/graph/value.ts';
import { buildModel, gradientsOf, type ModelGraph } from '../../../src/engine/model-graph.ts';
import { privateOutputs } from '../../../src/engine/private-step.ts';
import { planOf } from '../../support/method-model.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const checkpoint = await openTinyEncoder();

const dimension = 12;

function modelOf(position: string): ModelGraph {
  return buildModel(planOf(checkpoint, 'slash', { dimension, position, head: 'linear' }), { dropout: 'off' });
}

function isProjection({ operation, inputs }: Value): boolean {
  if (operation.kind === 'weight') return operation.name.startsWith('frozen.W.');
  const [turned] = inputs;
  return operation.kind === 'transpose' && turned !== undefined && isProjection(turned);
}

/** How many rows are multiplied with a fixed projection, for each product with one. */
function rowsProjected(outputs: readonly Value[]): readonly Dim[] {
  return topologicalOrder(outputs)
    .filter(({ operation: { kind }, inputs }) => (kind === 'gemm' || kind === 'matmul') && inputs.some(isProjection))
    .map(({ shape }) => shape.slice(0, -1).reduce<Dim>(multiplyDims, 1));
}

describe.each(['output', 'attention', 'intermediate'])('SLaSh at the position %s', (position) => {
  const { layers } = checkpoint.config;

  it('computes the shift of a layer and its gradient once a step, not once a token', () => {
    const model = modelOf(position);
    const rows = rowsProjected([model.loss, ...Object.values(gradientsOf(model))]);
    expect(rows).toEqual(Array(2 * layers).fill(1));
  });

  it('computes them once an example in private', () => {
    const rows = rowsProjected(Object.values(privateOutputs(modelOf(position), 'flat')));
    expect(rows).toEqual(Array(2 * layers).fill(BATCH));
  });
});

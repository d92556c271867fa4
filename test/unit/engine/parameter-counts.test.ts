import { describe, expect, it } from 'vitest';
import { knownEncoders } from '../../../src/engine/encoders/known-sizes.ts';
import { buildModel, countParameters, type ParameterCounts } from '../../../src/engine/model-graph.ts';

function count(
  model: string,
  id: string,
  labels: number,
  options: Readonly<Record<string, unknown>> = {},
  hasPooler = true,
): ParameterCounts {
  const encoder = knownEncoders[model];
  if (encoder === undefined) throw new Error(`unknown encoder ${model}`);
  const objective = { kind: 'classification', labels } as const;
  return countParameters(
    buildModel({ encoder, hasPooler, method: { id, options }, objective }, { dropout: 'off' }).trained,
  );
}

const base = { cased: 'bert-base-cased', uncased: 'bert-base-uncased', roberta: 'roberta-base' };
const large = { cased: 'bert-large-cased', uncased: 'bert-large-uncased', roberta: 'roberta-large' };

describe('trainable parameters, counted from the graph, against the published counts', () => {
  it.each([
    [base.cased, 108_310_272],
    [base.uncased, 109_482_240],
    [large.cased, 333_579_264],
    [large.uncased, 335_141_888],
    [base.roberta, 124_055_040],
    [large.roberta, 354_310_144],
  ])('full fine-tuning of %s trains %i', (model, total) => {
    expect(count(model, 'full', 2).method).toBe(total);
  });

  it.each([
    [base.uncased, 1, 769],
    [base.uncased, 2, 1538],
    [base.uncased, 3, 2307],
    [base.uncased, 9, 6921],
    [large.uncased, 1, 1025],
    [large.uncased, 2, 2050],
    [large.uncased, 3, 3075],
    [large.uncased, 9, 9225],
  ])('the head of %s with %i labels has %i', (model, labels, head) => {
    expect(count(model, 'head', labels)).toEqual({ method: 0, head, total: head });
    expect(
      count(model.replace('bert', 'roberta').replace('-uncased', ''), 'head', labels, { head: 'linear' }).head,
    ).toBe(head);
  });

  it("RoBERTa's own head is dense and linear: 592,130 for two labels on base", () => {
    expect(count(base.roberta, 'head', 2).head).toBe(592_130);
  });

  const slash: readonly (readonly [number, number, number, number, number])[] = [
    [1024, 2562, 3331, 3074, 4099],
    [2048, 3586, 4355, 4098, 5123],
    [5000, 6538, 7307, 7050, 8075],
    [10_000, 11_538, 12_307, 12_050, 13_075],
  ];
  it.each(slash)('SLaSh of dimension %i', (dimension, base2, base3, large2, large3) => {
    for (const family of ['uncased', 'roberta'] as const) {
      expect(count(base[family], 'slash', 2, { dimension }).total).toBe(base2);
      expect(count(base[family], 'slash', 3, { dimension }).total).toBe(base3);
      expect(count(large[family], 'slash', 2, { dimension }).total).toBe(large2);
      expect(count(large[family], 'slash', 3, { dimension }).total).toBe(large3);
      expect(count(large[family], 'slash', 3, { dimension }).method).toBe(dimension);
    }
  });

  it.each([
    [base.uncased, 102_912],
    [base.cased, 102_912],
    [large.cased, 272_384],
    [base.roberta, 102_144],
    [large.roberta, 271_360],
  ])('BitFit on %s trains %i biases', (model, biases) => {
    expect(count(model, 'bitfit', 2).method).toBe(biases);
  });

  it("BitFit on RoBERTa with two labels: biases, the head's dense bias and its last map", () => {
    expect(count(large.roberta, 'bitfit', 2).total).toBe(274_434);
    expect(count(base.roberta, 'bitfit', 2).total).toBe(104_450);
  });

  it.each([
    [8, 294_912, 786_432],
    [1, 36_864, 98_304],
  ])('LoRA of rank %i on queries and values', (rank, onBase, onLarge) => {
    for (const family of ['uncased', 'cased', 'roberta'] as const) {
      expect(count(base[family], 'lora', 2, { rank }).method).toBe(onBase);
      expect(count(large[family], 'lora', 2, { rank }).method).toBe(onLarge);
    }
  });

  it('LoRA of rank 1 with a linear head, two labels', () => {
    expect(count(large.roberta, 'lora', 2, { rank: 1, head: 'linear' }).total).toBe(100_354);
    expect(count(base.roberta, 'lora', 2, { rank: 1, head: 'linear' }).total).toBe(38_402);
  });
});

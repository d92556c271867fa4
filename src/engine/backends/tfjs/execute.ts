import type { Tensor } from '@tensorflow/tfjs-core';
import type { Bindings } from '../../graph/dims.ts';
import type { Value } from '../../graph/value.ts';
import { isResident, type Plan } from './plan.ts';
import { compute, type Arithmetic } from './rules.ts';

/**
 * Computes a plan, pausing after each step. Every tensor that it makes is disposed of when nothing reads it any more, and all of them
 * when it fails or is ended early.
 * @param leaf the tensor of an input, a parameter, a weight or a constant; what is fed is disposed of with the rest
 * @returns the outputs, which are the caller's to dispose of; one that is resident already is copied
 */
export function* execute(
  arithmetic: Arithmetic,
  plan: Plan,
  leaf: (value: Value) => Tensor,
  sizes: Bindings,
): Generator<undefined, ReadonlyMap<string, Tensor>> {
  const results: (Tensor | undefined)[] = [];
  const own = new Set<Tensor>();
  const resultOf = (step: number): Tensor => {
    const result = results[step];
    if (result === undefined) throw new Error(`step ${step} has no result`);
    return result;
  };
  try {
    for (const { value, operands, frees } of plan.steps) {
      const { kind } = value.operation;
      const isLeaf = kind === 'input' || kind === 'parameter' || isResident(value);
      const result = isLeaf ? leaf(value) : compute(arithmetic, value, operands.map(resultOf), sizes);
      results.push(result);
      if (!isResident(value)) own.add(result);
      for (const step of frees) {
        const freed = resultOf(step);
        results[step] = undefined;
        own.delete(freed);
        freed.dispose();
      }
      yield;
    }
    const outputs = new Map<string, Tensor>();
    for (const [name, step] of plan.outputs) {
      const result = resultOf(step);
      outputs.set(name, own.delete(result) ? result : result.clone());
    }
    return outputs;
  } finally {
    for (const tensor of own) tensor.dispose();
  }
}

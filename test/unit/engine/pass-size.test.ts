import { describe, expect, it } from 'vitest';
import { comfortableTokens } from '../../../src/engine/pass-size.ts';
import { buildModel } from '../../../src/engine/model-graph.ts';
import { methodIds } from '../../../src/peft/registry.ts';
import { planOf, smallOptions } from '../../support/method-model.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const checkpoint = await openTinyEncoder();
const { config } = checkpoint;

function tokensOf(id: string, device = { provider: 'cpu', threads: 2 }, intermediateSize = 3072): number {
  const model = buildModel(planOf(checkpoint, id, smallOptions[id] ?? {}), { dropout: 'off' });
  return comfortableTokens(model, { ...config, intermediateSize }, device);
}

describe('the tokens of a pass on a CPU', () => {
  it('are limited for every method that leaves the matrices of the layers as they are, and for no other', () => {
    const limited = methodIds().filter((id) => tokensOf(id) < Infinity);
    expect(methodIds().filter((id) => !limited.includes(id))).toEqual(['full', 'intrinsic-said']);
  });

  it('are fewer for wider layers, more for more threads, and not limited on a GPU', () => {
    // About two texts of 128 tokens in BERT-base, eight of 64 in MiniLM.
    expect(tokensOf('lora')).toBe(325);
    expect(tokensOf('lora', undefined, 1536)).toBe(651);
    expect(tokensOf('lora', { provider: 'cpu', threads: 1 })).toBe(325);
    expect(tokensOf('lora', { provider: 'cpu', threads: 8 })).toBe(1302);
    for (const provider of ['webgpu', 'cuda', 'tfjs'])
      expect(tokensOf('lora', { provider, threads: 2 })).toBe(Infinity);
  });
});

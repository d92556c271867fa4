import { describe, expect, it } from 'vitest';
import { parseEncoderConfig, type EncoderConfig } from '../../../src/engine/encoders/config.ts';
import { buildModel } from '../../../src/engine/model-graph.ts';
import { comfortableTokens } from '../../../src/engine/pass-size.ts';
import { methodIds } from '../../../src/peft/registry.ts';
import { planOf, smallOptions } from '../../support/method-model.ts';
import { tinyConfigJson } from '../../support/tiny-encoder.ts';

function bert(layers: number, width: number): EncoderConfig {
  const sizes = { num_hidden_layers: layers, hidden_size: width, intermediate_size: 4 * width };
  return parseEncoderConfig({ ...tinyConfigJson, ...sizes, num_attention_heads: 12 }, 'config.json');
}

const [base, miniLm] = [bert(12, 768), bert(6, 384)];
const cpu = { provider: 'cpu', threads: 2 };

function tokensOf(id: string, encoder = base, device = cpu, options = id === 'union' ? smallOptions[id] : {}): number {
  const plan = planOf({ config: encoder, hasPooler: true }, id, options ?? {});
  return comfortableTokens(buildModel(plan, { dropout: 'model' }), encoder, device);
}

describe('the tokens of a pass on a CPU', () => {
  it('are limited for every method that leaves the matrices of the layers as they are, and for no other', () => {
    expect(methodIds().filter((id) => tokensOf(id) === Infinity)).toEqual(['full', 'intrinsic-said']);
  });

  it('are about two texts of 128 in BERT-base and ten of 64 in MiniLM, more with more threads', () => {
    expect(tokensOf('lora')).toBe(325);
    expect(tokensOf('lora', miniLm)).toBe(651);
    expect(tokensOf('lora', base, { ...cpu, threads: 1 })).toBe(325);
    expect(tokensOf('lora', base, { ...cpu, threads: 8 })).toBe(1302);
  });

  it('are more where a pass has much to do whatever its tokens are', () => {
    const reparametrised = tokensOf('prefix-tuning', miniLm, cpu, { reparametrise: true });
    expect(reparametrised).toBeGreaterThan(1.5 * tokensOf('prefix-tuning', miniLm));
    expect(tokensOf('unipelt', miniLm)).toBeGreaterThan(2 * tokensOf('lora', miniLm));
  });

  it('are not limited on a GPU, nor by the other engine', () => {
    for (const provider of ['webgpu', 'cuda', 'tfjs'])
      expect(tokensOf('lora', base, { provider, threads: 2 })).toBe(Infinity);
  });
});

import { describe, expect, it } from 'vitest';
import { compileCases } from '../../bench/compile.ts';
import type { Comparison } from '../../bench/comparison.ts';
import { compareAgreement, eightBitCases } from '../../bench/eight-bit.ts';
import { compareMethod, methodCases } from '../../bench/methods.ts';
import { passesCases } from '../../bench/passes.ts';
import { comparePrivacy, privacyCases } from '../../bench/privacy.ts';
import { compareProfile, profileCases, scaleCases } from '../../bench/profile.ts';
import { recomputeCases } from '../../bench/recompute.ts';
import { startCases } from '../../bench/start.ts';
import { stepCases } from '../../bench/step.ts';

function first<T>(cases: readonly T[]): T {
  const [each] = cases;
  if (each === undefined) throw new Error('nothing is compared');
  return each;
}

const sizes = { batch: 32, tokens: 64 } as const;
const privately = first(privacyCases);

/** One of each kind that is not put beside a peer as it is measured, by what `--json` is to say of it. */
const lines: readonly (readonly [string, readonly Comparison[], readonly Partial<Comparison>[]])[] = [
  [
    'a method beside LoRA',
    compareMethod({
      ...first(methodCases),
      ...{ ours: 0.5, lora: 0.6, toLora: 0.83, toLoraRange: [0.8, 0.9], cpuToLora: 0.8, trained: 10, peakBytes: 1e8 },
      inference: { plain: 0.1, trained: 0.3, folded: 0.2, cpuToPlain: 2 },
      ...sizes,
    }),
    [
      { name: 'methods/lora', unit: 'seconds', ours: 0.5, peer: 0.6, ratio: 0.6 / 0.5 },
      { name: 'methods/lora/inference', unit: 'seconds', ours: 0.2, peer: 0.1, ratio: 0.5 },
    ],
  ],
  [
    'a private step beside the ordinary one',
    comparePrivacy({
      ...privately,
      ...{ trained: 10, plain: 0.4, private: 0.5, time: 1.25, timeRange: [1.2, 1.3], cpu: 1.2 },
      ...{ plainBytes: 1e8, privateBytes: 2e8, memory: 2 },
      ...sizes,
    }),
    [
      { name: privately.name, unit: 'seconds', ours: 0.5, peer: 0.4, ratio: 0.8 },
      { name: `${privately.name}/memory`, unit: 'bytes', ours: 2e8, peer: 1e8, ratio: 0.5 },
    ],
  ],
  [
    'a step beside its products',
    [
      compareProfile({
        ...{ name: 'profile/x', method: 'lora', seconds: 2, kernels: [], productSeconds: 1.6, productOperations: 3e11 },
        ...{ largeRate: 2e11, ofLargeRate: 0.75 },
        ...sizes,
      }),
    ],
    [{ name: 'profile/x', unit: 'seconds', ours: 2, peer: 1.5, ratio: 0.75 }],
  ],
  [
    'a gradient in 8 bits beside one in float32',
    compareAgreement({
      name: 'eight-bit/x',
      method: 'x',
      cosine: 0.99,
      methodCosine: 0.97,
      loss: 0.7,
      float32Loss: 0.6,
    }),
    [
      { name: 'eight-bit/x', unit: 'cosine', ours: 0.99, peer: 1, ratio: 0.99 },
      { name: 'eight-bit/x/method-alone', unit: 'cosine', ours: 0.97, peer: 1, ratio: 0.97 },
    ],
  ],
];

describe('what the benchmark prints for machines', () => {
  it.each(lines)('is a comparison with name, ours, peer and ratio: %s', (_, comparisons, expected) => {
    expect(comparisons).toHaveLength(expected.length);
    for (const [index, comparison] of comparisons.entries()) {
      expect(comparison).toMatchObject(expected[index] ?? {});
      expect(comparison.peers[0]).toMatchObject({ name: comparison.peerName, value: comparison.peer });
    }
  });

  it('has no two comparisons of one name', () => {
    const all = [compileCases, stepCases, methodCases, privacyCases, recomputeCases, passesCases, startCases];
    const names = [...all, profileCases, scaleCases, eightBitCases].flatMap((cases) => cases.map(({ name }) => name));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

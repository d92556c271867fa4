// What it is worth to compute a batch in several passes: our step in passes of several sizes beside our step in one.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { startChild, type Child } from './child.ts';
import { compare, median, type Comparison } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import { encoders } from './random-checkpoint.ts';
import { filesOf, methodOptions, writeStart, type StepPlan } from './step-plan.ts';

/** A step that is measured in one pass and in several. */
export interface PassesCase {
  readonly name: string;
  readonly encoder: keyof typeof encoders;
  readonly method: keyof typeof methodOptions;
  readonly batch: number;
  readonly tokens: number;
  readonly frozenPrecision: 'float32' | 'int8';
}

const shapes = { 'bert-base': { batch: 16, tokens: 128 }, 'minilm-l6': { batch: 32, tokens: 64 } } as const;

export const passesCases: readonly PassesCase[] = (
  [
    { encoder: 'bert-base', method: 'lora', frozenPrecision: 'float32' },
    { encoder: 'bert-base', method: 'lora', frozenPrecision: 'int8' },
    { encoder: 'bert-base', method: 'full', frozenPrecision: 'float32' },
    { encoder: 'minilm-l6', method: 'lora', frozenPrecision: 'float32' },
    { encoder: 'minilm-l6', method: 'lora', frozenPrecision: 'int8' },
  ] as const
).map((each) => {
  const kind = each.frozenPrecision === 'int8' ? [each.method, 'int8'] : [each.method];
  return { ...each, ...shapes[each.encoder], name: ['passes', each.encoder, ...kind].join('/') };
});

/** Into how many passes a batch is cut. */
const counts = [1, 2, 4, 8, 16] as const;

const stepped = z.object({ seconds: z.number(), losses: z.array(z.number()) });

/** Idle threads of the side that just worked may spin for a moment. */
const SETTLE_MS = 100;

/** How much of the loss they may differ by: in 8 bits other rounding before may move a number by a whole step. */
const agreement = { float32: 1e-3, int8: 1e-2 } as const;

interface Side {
  readonly passes: number;
  readonly child: Child;
  readonly seconds: number[];
}

/**
 * Measures a step in each number of passes, alternating round by round.
 * @throws Error where they compute different losses
 */
export async function measurePasses(
  { name, encoder, method, batch, tokens, frozenPrecision }: PassesCase,
  folder: string,
  { threads, rounds }: Pick<BenchOptions, 'threads' | 'rounds'>,
): Promise<readonly Comparison[]> {
  const plan: StepPlan = {
    ...filesOf(folder, encoder, name.replaceAll('/', '-')),
    ...{ method, options: methodOptions[method], dropout: 0.1, batch, tokens, threads, frozenPrecision },
    ...{ learningRate: 1e-5, weightDecay: 0.01 },
  };
  await writeStart(plan, { config: encoders[encoder], hasPooler: true });
  const sides = counts.map((passes): Side => {
    const own = JSON.stringify({ ...plan, tokensOfPass: (batch * tokens) / passes });
    return {
      passes,
      child: startChild(process.execPath, [join(import.meta.dirname, 'step-worker.ts'), own]),
      seconds: [],
    };
  });
  try {
    for (let round = -1; round < rounds; round++) {
      const losses: number[] = [];
      for (const { child, seconds } of sides) {
        await pause(SETTLE_MS);
        const step = stepped.parse(await child.ask({ do: 'steps', count: 1 }));
        losses.push(step.losses[0] ?? NaN);
        if (round >= 0) seconds.push(step.seconds); // The first round only warms up.
      }
      const [whole = NaN] = losses;
      if (!losses.every((loss) => Math.abs(loss - whole) <= agreement[frozenPrecision] * Math.abs(whole)))
        throw new Error(`${name}: the losses in ${counts.join(', ')} passes are ${losses.join(', ')}`);
    }
    const measured = sides.map(({ passes, seconds }) => ({
      name: passes === 1 ? 'one pass' : `${passes} passes`,
      value: median(seconds),
      rounds: seconds,
    }));
    const [whole, ...parts] = measured;
    if (whole === undefined) throw new Error('nothing was measured');
    const details = { method, encoder, batch, tokens, dropout: plan.dropout, frozenPrecision, rounds };
    return parts.map((each) => compare(`${name}/${each.name}`, 'seconds', each, [whole], details));
  } finally {
    await Promise.all(sides.map(({ child }) => child.end()));
  }
}

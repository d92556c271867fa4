// What training.recompute saves and costs: our step with it beside our step without it.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { startChild, type Child } from './child.ts';
import { compare, median, type Comparison, type Measured } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import { encoders } from './random-checkpoint.ts';
import { filesOf, methodOptions, writeStart, type StepPlan } from './step-plan.ts';

/** A step to measure with recomputation and without it. */
export interface RecomputeCase {
  readonly name: string;
  readonly encoder: keyof typeof encoders;
  readonly method: keyof typeof methodOptions;
  readonly batch: number;
}

const TOKENS = 128;

export const recomputeCases: readonly RecomputeCase[] = (
  [
    { encoder: 'bert-base', method: 'lora', batch: 16 },
    { encoder: 'bert-base', method: 'lora', batch: 64 },
    { encoder: 'bert-base', method: 'full', batch: 16 },
  ] as const
).map((each) => ({ ...each, name: `recompute/${each.encoder}/${each.method}/${each.batch}x${TOKENS}` }));

interface Side {
  readonly name: string;
  readonly child: Child;
  readonly seconds: number[];
  readonly cpuSeconds: number[];
}

const stepped = z.object({ seconds: z.number(), cpuSeconds: z.number(), losses: z.array(z.number()) });
const remembered = z.object({ bytes: z.int() });

/** Idle threads of the side that just worked may spin for a moment. */
const SETTLE_MS = 100;

/**
 * Measures the two steps, alternating round by round: their time on the clock and on the processors, and the memory of their processes.
 * @throws Error where they compute different losses
 */
export async function measureRecomputation(
  { name, encoder, method, batch }: RecomputeCase,
  folder: string,
  { threads, rounds }: Pick<BenchOptions, 'threads' | 'rounds'>,
): Promise<readonly Comparison[]> {
  const plan: StepPlan = {
    ...filesOf(folder, encoder, name.replaceAll('/', '-')),
    method,
    options: methodOptions[method],
    dropout: 0.1,
    batch,
    tokens: TOKENS,
    threads,
    learningRate: 1e-5,
    weightDecay: 0.01,
  };
  await writeStart(plan, { config: encoders[encoder], hasPooler: true });
  const side = (recompute: boolean): Side => ({
    name: recompute ? 'recomputed' : 'kept',
    child: startChild(process.execPath, [
      join(import.meta.dirname, 'step-worker.ts'),
      JSON.stringify({ ...plan, recompute }),
    ]),
    seconds: [],
    cpuSeconds: [],
  });
  const [ours, kept] = [side(true), side(false)];
  try {
    for (let round = -1; round < rounds; round++) {
      const losses: number[] = [];
      for (const { child, seconds, cpuSeconds } of [ours, kept]) {
        await pause(SETTLE_MS);
        const step = stepped.parse(await child.ask({ do: 'steps', count: 1 }));
        losses.push(step.losses[0] ?? NaN);
        if (round < 0) continue; // It only warms up.
        seconds.push(step.seconds);
        cpuSeconds.push(step.cpuSeconds);
      }
      const [own = NaN, other = NaN] = losses;
      if (!(Math.abs(own - other) <= 1e-5 * Math.abs(other)))
        throw new Error(`${name}: recomputed the loss is ${own}, else ${other}`);
    }
    const details = { method, encoder, batch, tokens: TOKENS, dropout: plan.dropout, rounds };
    const timed = (of: 'seconds' | 'cpuSeconds') =>
      [ours, kept].map((each): Measured => ({ name: each.name, value: median(each[of]), rounds: each[of] }));
    const memory: Measured[] = [];
    for (const { name, child } of [ours, kept])
      memory.push({ name, value: remembered.parse(await child.ask({ do: 'memory' })).bytes });
    const compared = (what: string, unit: Comparison['unit'], [first, ...others]: readonly Measured[]): Comparison => {
      if (first === undefined) throw new Error('nothing was measured');
      return compare(what, unit, first, others, details);
    };
    return [
      compared(name, 'seconds', timed('seconds')),
      compared(`${name}/processor-time`, 'seconds', timed('cpuSeconds')),
      compared(`${name}/memory`, 'bytes', memory),
    ];
  } finally {
    await Promise.all([ours, kept].map(({ child }) => child.end()));
  }
}

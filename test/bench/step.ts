import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { startChild, type Child } from './child.ts';
import { compare, median, type Comparison, type Measured } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import { mklOnItsIntelPath, peerFolder, type Python } from './python.ts';
import { encoders } from './random-checkpoint.ts';
import { filesOf, methodOptions, writeStart, type StepPlan } from './step-plan.ts';

/** A step to measure: which model, method and dropout. */
export interface StepCase {
  readonly name: string;
  readonly encoder: keyof typeof shapes;
  readonly method: keyof typeof methodOptions;
  readonly dropout: number;
  readonly frozenPrecision: 'float32' | 'int8';
}

const shapes = {
  'bert-base': { batch: 16, tokens: 128, stepsPerRound: 1 },
  'bert-tiny': { batch: 32, tokens: 64, stepsPerRound: 20 },
} as const satisfies Partial<Record<keyof typeof encoders, unknown>>;

const variants = [
  { method: 'lora', dropout: 0.1, frozenPrecision: 'float32' },
  { method: 'lora', dropout: 0, frozenPrecision: 'float32' },
  { method: 'slash', dropout: 0, frozenPrecision: 'float32' }, // It turns dropout off, as its paper does.
  { method: 'full', dropout: 0.1, frozenPrecision: 'float32' },
  { method: 'full', dropout: 0, frozenPrecision: 'float32' },
  { method: 'lora', dropout: 0.1, frozenPrecision: 'int8' },
  { method: 'slash', dropout: 0, frozenPrecision: 'int8' },
] as const;

export const stepCases: readonly StepCase[] = (['bert-base', 'bert-tiny'] as const).flatMap((encoder) =>
  variants.map(({ method, dropout, frozenPrecision }) => ({
    name: [
      `step/${encoder}/${method}/${dropout === 0 ? 'no-dropout' : `dropout-${dropout}`}`,
      ...(frozenPrecision === 'int8' ? ['int8'] : []),
    ].join('/'),
    ...{ encoder, method, dropout, frozenPrecision },
  })),
);

const described = z.object({ trained: z.int(), compileSeconds: z.number().optional() });
const stepped = z.object({ seconds: z.number(), losses: z.array(z.number()) });
const remembered = z.object({ bytes: z.int() });

interface Side {
  readonly name: string;
  readonly aside: boolean;
  readonly child: Child;
  readonly seconds: number[];
  losses: readonly number[];
  trained: number;
}

/** Steps at the beginning whose losses both sides must agree on. */
const COMPARED_STEPS = 3;
/** How much of the loss they may differ by. */
const agreement = { float32: 1e-3, int8: 2e-2 } as const;
/** Idle threads of the side that just worked may spin for a moment. */
const SETTLE_MS = 100;

function sidesOf(plan: StepPlan, folder: string, options: BenchOptions, python: Python | undefined): readonly Side[] {
  const side = (name: string, child: Child, aside = false): Side => ({
    ...{ name, aside, child },
    ...{ seconds: [], losses: [], trained: 0 },
  });
  const ours = side(
    'ours',
    startChild(process.execPath, [join(import.meta.dirname, 'step-worker.ts'), JSON.stringify(plan)]),
  );
  if (python === undefined) return [ours];
  const library = plan.method === 'lora' ? 'PyTorch + peft' : 'PyTorch';
  const peer = (name: string, compile: boolean, environment?: Readonly<Record<string, string>>): Side => {
    const args = [join(peerFolder, 'step.py'), JSON.stringify({ ...plan, compile, attention: 'sdpa' })];
    return side(`${library}, ${name}`, startChild(python.path, args, environment), environment !== undefined);
  };
  const sides = [ours, peer('eager', false)];
  if (options.quick) return sides;
  if (python.compiles) sides.push(peer('torch.compile', true));
  const intel = mklOnItsIntelPath(python, folder);
  if (intel !== undefined) sides.push(peer('eager, MKL on its Intel path', false, intel));
  return sides;
}

function checkAgreement({ name, dropout, frozenPrecision }: StepCase, sides: readonly Side[]): void {
  const [ours, ...peers] = sides;
  for (const side of sides) {
    if (!side.losses.every((loss) => Number.isFinite(loss)))
      throw new Error(`${name}: ${side.name} computes losses that are no numbers`);
    if (side.trained !== ours?.trained)
      throw new Error(`${name}: ${side.name} trains ${side.trained} numbers, we ${ours?.trained ?? 0}`);
  }
  if (dropout !== 0) return; // Masks differ, so losses do.
  for (const peer of peers) {
    for (let step = 0; step < COMPARED_STEPS; step++) {
      const [own, other] = [ours?.losses[step] ?? NaN, peer.losses[step] ?? NaN];
      if (!(Math.abs(own - other) <= agreement[frozenPrecision] * Math.abs(other)))
        throw new Error(`${name}: after ${step} steps the loss of ${peer.name} is ${other}, ours ${own}`);
    }
  }
}

/** What both sides are told of a step. */
export function planOf(
  { encoder, method, dropout, frozenPrecision, name }: StepCase,
  folder: string,
  options: Pick<BenchOptions, 'threads'>,
): StepPlan {
  const { batch, tokens } = shapes[encoder];
  return {
    ...filesOf(folder, encoder, name.replaceAll('/', '-')),
    method,
    options: methodOptions[method],
    dropout,
    batch,
    tokens,
    threads: options.threads,
    learningRate: 1e-5,
    weightDecay: 0.01,
    frozenPrecision,
  };
}

/** Measures one step on both sides, alternating round by round: its time and its memory. */
export async function measureStep(
  step: StepCase,
  folder: string,
  options: BenchOptions,
  python: Python | undefined,
): Promise<readonly Comparison[]> {
  const { encoder, name } = step;
  const plan = planOf(step, folder, options);
  await writeStart(plan, { config: encoders[encoder], hasPooler: true });
  const sides = sidesOf(plan, folder, options, python);
  try {
    for (const side of sides) {
      side.trained = described.parse(await side.child.ask({ do: 'describe' })).trained;
      side.losses = stepped.parse(await side.child.ask({ do: 'steps', count: COMPARED_STEPS })).losses;
    }
    checkAgreement(step, sides);
    for (let round = -1; round < options.rounds; round++) {
      for (const side of sides) {
        await pause(SETTLE_MS);
        const { seconds } = stepped.parse(await side.child.ask({ do: 'steps', count: shapes[encoder].stepsPerRound }));
        if (round >= 0) side.seconds.push(seconds); // The first round only warms up.
      }
    }
    const times = sides.map(({ name, aside, seconds }) => ({ name, aside, value: median(seconds), rounds: seconds }));
    const memory: Measured[] = [];
    for (const { name, aside, child } of sides)
      memory.push({ name, aside, value: remembered.parse(await child.ask({ do: 'memory' })).bytes });
    const { method, dropout, batch, tokens, frozenPrecision } = plan;
    const details = {
      method,
      encoder,
      batch,
      tokens,
      dropout,
      frozenPrecision,
      trained: sides[0]?.trained,
      rounds: options.rounds,
    };
    const compared = (what: string, unit: Comparison['unit'], measured: readonly Measured[]): Comparison => {
      const [ours, ...peers] = measured;
      if (ours === undefined) throw new Error('nothing was measured');
      return compare(what, unit, ours, peers, details);
    };
    return [compared(name, 'seconds', times), compared(`${name}/memory`, 'bytes', memory)];
  } finally {
    await Promise.all(sides.map(({ child }) => child.end()));
  }
}

import { join } from 'node:path';
import { z } from 'zod';
import { startChild } from './child.ts';
import { compare, median, type Comparison } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import { peerFolder, type Python } from './python.ts';
import { encoders } from './random-checkpoint.ts';
import { planOf, stepCases, type StepCase } from './step.ts';
import { writeStart } from './step-plan.ts';

/** A step whose compilation is timed: from the model's sizes to a session that can run. */
export const compileCases: readonly StepCase[] = stepCases
  .filter(({ encoder, method, dropout }) => encoder === 'bert-base' && (dropout !== 0 || method === 'slash'))
  .map((step) => ({
    ...step,
    name: [`compile/${step.encoder}/${step.method}`, ...(step.frozenPrecision === 'int8' ? ['int8'] : [])].join('/'),
  }));

const described = z.object({ compileSeconds: z.number() });
const stepped = z.object({ seconds: z.number() });

/** Our compilation in fresh processes; the peer is the first step under torch.compile, which is when that compiles. */
export async function measureCompilation(
  step: StepCase,
  folder: string,
  options: BenchOptions,
  python: Python | undefined,
): Promise<Comparison> {
  const plan = planOf(step, folder, options);
  await writeStart(plan, { config: encoders[step.encoder], hasPooler: true });
  const rounds: number[] = [];
  for (let round = 0; round < Math.min(3, options.rounds); round++) {
    const child = startChild(process.execPath, [join(import.meta.dirname, 'step-worker.ts'), JSON.stringify(plan)]);
    try {
      rounds.push(described.parse(await child.ask({ do: 'describe' })).compileSeconds);
    } finally {
      await child.end();
    }
  }
  const peers: { readonly name: string; readonly value: number }[] = [];
  if (python?.compiles === true && !options.quick) {
    const child = startChild(
      python.path,
      [join(peerFolder, 'step.py'), JSON.stringify({ ...plan, compile: true, attention: 'sdpa' })],
      { TORCHINDUCTOR_FORCE_DISABLE_CACHES: '1' }, // Else it is timed only once a machine.
    );
    try {
      const { seconds } = stepped.parse(await child.ask({ do: 'steps', count: 1 }));
      peers.push({ name: 'torch.compile, first step', value: seconds });
    } finally {
      await child.end();
    }
  }
  return compare(step.name, 'seconds', { name: 'ours', value: median(rounds) }, peers, {
    method: step.method,
    encoder: step.encoder,
    dropout: step.dropout,
    rounds: rounds.length,
  });
}

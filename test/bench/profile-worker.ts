// A process that takes steps under the runtime's profiler, and between them computes one large matrix product: the rate to measure them by.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { input, matmul } from '../../src/engine/graph/operations.ts';
import { answerQuestions } from './answer.ts';
import { median } from './comparison.ts';
import { readKernelTimes, type KernelTimes } from './kernel-times.ts';
import { openStep } from './opened-step.ts';
import { stepPlan } from './step-plan.ts';

/** Rows and columns of the large product: 17 G operations, far more than any product of a step. */
const LARGE = 2048;
const WARM_UP = 1;

const plan = stepPlan.parse(JSON.parse(process.argv[2] ?? ''));
const question = z.object({ do: z.literal('profile'), rounds: z.int().positive() });

/** What a step of several passes takes. */
function ofStep({ kernels, ...pass }: KernelTimes, passes: number): KernelTimes {
  return {
    seconds: passes * pass.seconds,
    kernels: kernels.map((kernel) => ({ ...kernel, seconds: passes * kernel.seconds })),
    productSeconds: passes * pass.productSeconds,
    productOperations: passes * pass.productOperations,
  };
}

async function profileSteps(rounds: number): Promise<Readonly<Record<string, unknown>>> {
  const folder = await mkdtemp(join(tmpdir(), 'peft-lab-profile-'));
  try {
    const opened = await openStep(plan, join(folder, 'step'));
    const shape = [LARGE, LARGE] as const;
    const product = await onnxBackend.compile(
      { c: matmul(input('a', 'float32', shape), input('b', 'float32', shape)) },
      new Map(),
      { provider: 'cpu', threads: plan.threads },
    );
    const ones = { dtype: 'float32', shape, data: new Float32Array(LARGE * LARGE).fill(1) } as const;
    const large: number[] = [];
    for (let round = -WARM_UP; round < rounds; round++) {
      await opened.step();
      const began = performance.now();
      await product.run({ a: ones, b: ones });
      if (round >= 0) large.push((performance.now() - began) / 1000);
    }
    await product.dispose();
    await opened.dispose(); // Now the profile is written.
    const [file] = await readdir(folder);
    if (file === undefined) throw new Error('the runtime wrote no profile');
    const passes = opened.passes();
    const ofPass = await readKernelTimes(join(folder, file), WARM_UP * passes);
    return { ...ofStep(ofPass, passes), largeRate: (2 * LARGE ** 3) / median(large) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await answerQuestions((asked) => profileSteps(question.parse(asked).rounds));

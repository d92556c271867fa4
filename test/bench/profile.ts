// Where the time of a step goes, operation by operation, and how it grows with the sizes of the encoder and of the batch.
import { join } from 'node:path';
import { z } from 'zod';
import type { EncoderConfig } from '../../src/engine/encoders/config.ts';
import { startChild } from './child.ts';
import { compare, type Comparison } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import { encoders, writeRandomBert } from './random-checkpoint.ts';
import { filesOf, methodOptions, writeStart, type StepPlan } from './step-plan.ts';
import { header, milliseconds, row, type Column } from './table.ts';

/** A step whose operations are timed. */
export interface ProfileCase {
  readonly name: string;
  readonly method: keyof typeof methodOptions;
  readonly config: EncoderConfig;
  readonly batch: number;
  readonly tokens: number;
}

const steps = [
  ['bert-base', 'lora', 16, 128],
  ['bert-base', 'slash', 16, 128],
  ['bert-base', 'full', 16, 128],
  ['minilm-l6', 'lora', 32, 64],
  ['minilm-l6', 'lora', 32, 16], // SST-2's phrases are about as short.
] as const;

export const profileCases: readonly ProfileCase[] = steps.map(([encoder, method, batch, tokens]) => ({
  name: `profile/${encoder}/${method}/${batch}x${tokens}`,
  config: encoders[encoder],
  ...{ method, batch, tokens },
}));

/** The point that the sizes vary around, one at a time; its attention heads have 64 rows, as BERT's. */
const middle = { layers: 4, width: 512, tokens: 128, batch: 8 } as const;

const varied = {
  layers: [2, 4, 8, 12],
  width: [256, 512, 768, 1024],
  tokens: [32, 64, 128, 256, 512],
  batch: [2, 4, 8, 16, 32],
} as const satisfies Readonly<Record<keyof typeof middle, readonly number[]>>;

function scaled(size: keyof typeof varied, value: number): ProfileCase {
  const sizes: Record<keyof typeof varied, number> = { ...middle };
  sizes[size] = value;
  const { layers, width, tokens, batch } = sizes;
  return {
    name: `scale/${size}/${value}`,
    method: 'lora',
    config: {
      ...encoders['bert-tiny'],
      ...{ embeddingSize: width, hiddenSize: width, intermediateSize: 4 * width, layers, attentionHeads: width / 64 },
    },
    ...{ tokens, batch },
  };
}

export const scaleCases: readonly ProfileCase[] = (['layers', 'width', 'tokens', 'batch'] as const).flatMap((size) =>
  varied[size].map((value) => scaled(size, value)),
);

const profiled = z.object({
  seconds: z.number(),
  kernels: z.array(z.object({ operation: z.string(), nodes: z.int(), seconds: z.number() })),
  productSeconds: z.number(),
  productOperations: z.number(),
  largeRate: z.number(),
});

export interface MeasuredProfile extends z.output<typeof profiled> {
  readonly name: string;
  readonly method: string;
  readonly batch: number;
  readonly tokens: number;
  /** The time that the step's products would take at the large product's rate, over the step's time. */
  readonly ofLargeRate: number;
}

/** Takes steps of a case under the profiler, in a process of its own. */
export async function measureProfile(
  { name, method, config, batch, tokens }: ProfileCase,
  folder: string,
  { threads, rounds }: Pick<BenchOptions, 'threads' | 'rounds'>,
): Promise<MeasuredProfile> {
  const own = name.replaceAll('/', '-');
  const plan: StepPlan = {
    ...filesOf(folder, own, `${own}-start`),
    method,
    options: methodOptions[method],
    dropout: 0,
    ...{ batch, tokens, threads },
    learningRate: 1e-5,
    weightDecay: 0.01,
  };
  await writeRandomBert(plan.checkpoint, config);
  await writeStart(plan, { config, hasPooler: true });
  const child = startChild(process.execPath, [join(import.meta.dirname, 'profile-worker.ts'), JSON.stringify(plan)]);
  try {
    const measured = profiled.parse(await child.ask({ do: 'profile', rounds }));
    const { seconds, productOperations, largeRate } = measured;
    return { ...measured, ...{ name, method, batch, tokens }, ofLargeRate: productOperations / largeRate / seconds };
  } finally {
    await child.end();
  }
}

/** A step beside the time that its matrix products alone would take at the rate of a large one. */
export function compareProfile({ name, seconds, ...details }: MeasuredProfile): Comparison {
  const value = details.productOperations / details.largeRate;
  const peer = { name: "its products at a large product's rate", value };
  return compare(name, 'seconds', { name: 'ours', value: seconds }, [peer], details);
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const giga = (number: number): string => (number / 1e9).toFixed(number < 1e10 ? 2 : 1);

const columns: readonly Column[] = [
  ['step', 34],
  ['time', 10],
  ['G operations', 12],
  ['G a second', 10],
  ['large product', 13],
  ['products', 9],
  ['at its rate', 11],
];

/**
 * The heads of the table's columns: a step's time, the operations of its matrix products, what these reach a second and what a large product does,
 * the products' share of the step's time, and the share that they would take at the large product's rate.
 */
export const profileHeader = header(columns);

/** Operations that take a smaller share of a step are left out of the table for people. */
const LEAST_SHARE = 0.005;

/** A step as a row of the table, with its operations below it where `isWhole`. */
export function formatProfile(measured: MeasuredProfile, isWhole: boolean): string {
  const { name, seconds, kernels, productSeconds, productOperations, largeRate, ofLargeRate } = measured;
  const line = row(columns, [
    name,
    milliseconds(seconds),
    giga(productOperations),
    giga(productOperations / productSeconds),
    giga(largeRate),
    percent(productSeconds / seconds),
    percent(ofLargeRate),
  ]);
  if (!isWhole) return line;
  const told = kernels.filter((kernel) => kernel.seconds >= LEAST_SHARE * seconds);
  const lines = told.map(
    (kernel) =>
      `  ${kernel.operation.padEnd(32)} ${percent(kernel.seconds / seconds).padStart(10)}  ${kernel.nodes} nodes`,
  );
  return [line, ...lines].join('\n');
}

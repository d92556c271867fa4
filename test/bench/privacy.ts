// What differential privacy costs: the trainer's private step beside its ordinary one, on the same examples.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { startChild, type Child } from './child.ts';
import { compare, median, type Comparison } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import type { PrivacyPlan } from './privacy-plan.ts';
import type { encoders } from './random-checkpoint.ts';
import { againstBar, header, mebibytes, milliseconds, range, row, type Column } from './table.ts';

/** A method whose private step is measured. */
export interface PrivacyCase {
  readonly name: string;
  readonly encoder: keyof typeof encoders;
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** The bar that time and memory are promised to keep, as ratios to the step without privacy. */
  readonly bar?: number;
}

const shape = { batch: 32, tokens: 64 } as const;
const PROMISED = 1.3;

export const privacyCases: readonly PrivacyCase[] = [
  ...(['slash', 'pasta', 'bitfit', 'lora', 'compacter'] as const).map((method) => ({ method, bar: PROMISED })),
  ...(['adapter-pfeiffer', 'full'] as const).map((method) => ({ method })),
].map((each) => ({ name: `privacy/${each.method}`, encoder: 'minilm-l6', options: {}, ...each }));

export interface MeasuredPrivacy extends PrivacyCase {
  readonly trained: number;
  /** Median seconds of a step. */
  readonly plain: number;
  readonly private: number;
  /** The private step over the ordinary one: the median of the rounds, and their range. */
  readonly time: number;
  readonly timeRange: readonly [least: number, greatest: number];
  /** The same of the processor time that steps take: what to go by on a busy machine. */
  readonly cpu: number;
  readonly plainBytes: number;
  readonly privateBytes: number;
  readonly memory: number;
  readonly batch: number;
  readonly tokens: number;
}

const described = z.object({ trained: z.int() });
const took = z.object({ seconds: z.number(), cpuSeconds: z.number() });
const remembered = z.object({ bytes: z.int() });

/** Idle threads of the process that just worked may spin for a moment. */
const SETTLE_MS = 50;

interface Side {
  readonly child: Child;
  readonly seconds: number[];
  readonly cpuSeconds: number[];
}

function startSide(each: PrivacyCase, isPrivate: boolean, folder: string, threads: number): Side {
  const { method, options, encoder } = each;
  const plan: PrivacyPlan = {
    checkpoint: join(folder, encoder),
    method,
    options,
    private: isPrivate,
    ...shape,
    threads,
  };
  const child = startChild(process.execPath, [join(import.meta.dirname, 'privacy-worker.ts'), JSON.stringify(plan)]);
  return { child, seconds: [], cpuSeconds: [] };
}

/** Measures a method's two steps, alternating round by round. */
export async function measurePrivacy(
  each: PrivacyCase,
  folder: string,
  { threads, rounds }: Pick<BenchOptions, 'threads' | 'rounds'>,
): Promise<MeasuredPrivacy> {
  const plain = startSide(each, false, folder, threads);
  const hidden = startSide(each, true, folder, threads);
  try {
    for (let round = -1; round < rounds; round++) {
      for (const side of [plain, hidden]) {
        await pause(SETTLE_MS);
        const { seconds, cpuSeconds } = took.parse(await side.child.ask({ do: 'round' }));
        if (round < 0) continue; // It only warms up.
        side.seconds.push(seconds);
        side.cpuSeconds.push(cpuSeconds);
      }
    }
    const over = (own: readonly number[], other: readonly number[]): readonly number[] =>
      own.map((value, round) => value / (other[round] ?? NaN));
    const times = over(hidden.seconds, plain.seconds);
    const bytesOf = async ({ child }: Side): Promise<number> =>
      remembered.parse(await child.ask({ do: 'memory' })).bytes;
    const [plainBytes, privateBytes] = [await bytesOf(plain), await bytesOf(hidden)];
    return {
      ...each,
      trained: described.parse(await hidden.child.ask({ do: 'describe' })).trained,
      plain: median(plain.seconds),
      private: median(hidden.seconds),
      time: median(times),
      timeRange: [Math.min(...times), Math.max(...times)],
      cpu: median(over(hidden.cpuSeconds, plain.cpuSeconds)),
      plainBytes,
      privateBytes,
      memory: privateBytes / plainBytes,
      ...shape,
    };
  } finally {
    await Promise.all([plain, hidden].map(({ child }) => child.end()));
  }
}

/** A private step beside the ordinary one: its time, and its memory. */
export function comparePrivacy({
  name,
  plain,
  plainBytes,
  privateBytes,
  ...details
}: MeasuredPrivacy): readonly Comparison[] {
  const { private: seconds, ...rest } = details;
  const beside = (of: string, unit: 'seconds' | 'bytes', own: number, other: number): Comparison =>
    compare(of, unit, { name: 'private', value: own }, [{ name: 'the ordinary step', value: other }], rest);
  return [beside(name, 'seconds', seconds, plain), beside(`${name}/memory`, 'bytes', privateBytes, plainBytes)];
}

const columns: readonly Column[] = [
  ['method', 18],
  ['parameters', 11],
  ['step', 10],
  ['private', 10],
  ['ratio', 7],
  ['by round', 13],
  ['CPU', 6],
  ['memory', 9],
  ['private', 9],
  ['ratio', 7],
];

/** The heads of the table's columns; CPU is the ratio of processor time. */
export const privacyHeader = header(columns);

/** A method as a row of the table for people; what is above its bar is marked. */
export function formatPrivacy(measured: MeasuredPrivacy): string {
  const { name, bar, trained, plain, time, timeRange, cpu, plainBytes, privateBytes, memory } = measured;
  return row(columns, [
    name.replace('privacy/', ''),
    trained.toLocaleString('en'),
    milliseconds(plain),
    milliseconds(measured.private),
    againstBar(time, bar),
    range(timeRange),
    againstBar(cpu, bar),
    mebibytes(plainBytes),
    mebibytes(privateBytes),
    againstBar(memory, bar),
  ]);
}

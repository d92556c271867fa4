// All methods beside LoRA on one encoder: what a step costs, what it keeps in memory, and what is left of it in inference.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { startChild, type Child } from './child.ts';
import { compare, median, type Comparison } from './comparison.ts';
import type { InferenceTimes } from './inference.ts';
import type { BenchOptions } from './options.ts';
import { encoders } from './random-checkpoint.ts';
import { filesOf, writeStart, type StepPlan } from './step-plan.ts';
import { againstBar, header, mebibytes, milliseconds, range, row, type Column } from './table.ts';

/** One method in the form that is measured. */
export interface MethodCase {
  readonly name: string;
  readonly encoder: keyof typeof encoders;
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** The bar that a step of this method is promised to keep, as a ratio to a LoRA step. */
  readonly bar?: number;
}

const encoder = 'minilm-l6';
const shape = { batch: 32, tokens: 64, stepsPerRound: 1 } as const;

/** A step of these costs at most so much of a LoRA step. */
const PROMISED = 1.15;

type Form = readonly [label: string, method: string, options?: Readonly<Record<string, unknown>>, bar?: number];

const forms: readonly Form[] = [
  ['lora', 'lora'],
  ['full', 'full'],
  ['head', 'head'],
  ['bitfit', 'bitfit'],
  ['ia3', 'ia3'],
  ['slash', 'slash', {}, PROMISED],
  ['jr-warp', 'jr-warp', {}, PROMISED],
  ['warp', 'warp', {}, PROMISED],
  ['pasta', 'pasta', {}, PROMISED],
  ['prompt-tuning', 'prompt-tuning', {}, PROMISED],
  ['prefix-tuning', 'prefix-tuning', {}, PROMISED],
  ['prefix-tuning reparametrised', 'prefix-tuning', { reparametrise: true }, PROMISED],
  ['adapter-houlsby', 'adapter-houlsby'],
  ['adapter-pfeiffer', 'adapter-pfeiffer'],
  ['adapter-parallel', 'adapter-parallel'],
  ['adapter-drop', 'adapter-drop', { drop: 2 }],
  ['adapter-low-rank', 'adapter-low-rank'],
  ['adapter-phm', 'adapter-phm'],
  ['compacter', 'compacter', {}, PROMISED],
  ['compacter++', 'compacter++', {}, PROMISED],
  ['intrinsic-said', 'intrinsic-said'],
  ['unipelt', 'unipelt'],
  ['unipelt-prompt', 'unipelt-prompt'],
  ['union: prefixes and parallel adapters', 'union', { parts: [{ id: 'prefix-tuning' }, { id: 'adapter-parallel' }] }],
];

export const methodCases: readonly MethodCase[] = forms.map(([label, method, options = {}, bar]) => ({
  name: `methods/${label}`,
  encoder,
  method,
  options,
  ...(bar === undefined ? {} : { bar }),
}));

export interface MeasuredMethod extends MethodCase {
  /** Median seconds of a step. */
  readonly ours: number;
  /** A LoRA step's in the same rounds. */
  readonly lora: number;
  /** This step over LoRA's: the median of the rounds, and their range. */
  readonly toLora: number;
  readonly toLoraRange: readonly [least: number, greatest: number];
  /** The same of the processor time that steps take: what to go by on a busy machine. */
  readonly cpuToLora: number;
  readonly trained: number;
  readonly peakBytes: number;
  readonly inference: InferenceTimes;
  readonly batch: number;
  readonly tokens: number;
}

const described = z.object({ trained: z.int() });
const stepped = z.object({ seconds: z.number(), cpuSeconds: z.number(), losses: z.array(z.number()) });
const remembered = z.object({ bytes: z.int() });
const inferred = z.object({
  plain: z.number(),
  trained: z.number(),
  folded: z.number().exactOptional(),
  foldingError: z.number().exactOptional(),
  cpuToPlain: z.number(),
  stays: z.string().exactOptional(),
});

/** Idle threads of the process that just worked may spin for a moment. */
const SETTLE_MS = 50;
/** Methods that are measured round by round beside one LoRA. */
const GROUP = 4;

function planOf({ name, method, options }: MethodCase, folder: string, threads: number): StepPlan {
  return {
    ...filesOf(folder, encoder, name.replaceAll(/\W+/g, '-')),
    method,
    options,
    dropout: 0, // Some methods turn it off; without it steps differ by the methods alone.
    batch: shape.batch,
    tokens: shape.tokens,
    threads,
    learningRate: 1e-4,
    weightDecay: 0.01,
  };
}

async function start(each: MethodCase, folder: string, threads: number): Promise<Child> {
  const plan = planOf(each, folder, threads);
  await writeStart(plan, { config: encoders[encoder], hasPooler: true });
  return startChild(process.execPath, [join(import.meta.dirname, 'step-worker.ts'), JSON.stringify(plan)]);
}

interface Runner {
  readonly each: MethodCase;
  readonly child: Child;
  readonly seconds: number[];
  readonly cpuSeconds: number[];
}

/** Measures methods in groups, each beside a LoRA of its own, all of a group alternating round by round. */
export async function* measureMethods(
  cases: readonly MethodCase[],
  folder: string,
  { threads, rounds }: BenchOptions,
  note: (text: string) => void,
): AsyncGenerator<MeasuredMethod> {
  const [reference] = methodCases;
  if (reference === undefined) throw new Error('there are methods');
  for (let first = 0; first < cases.length; first += GROUP) {
    const group = cases.slice(first, first + GROUP);
    note(group.map(({ name }) => name).join(', '));
    const runners: Runner[] = [];
    try {
      for (const each of [reference, ...group]) {
        runners.push({ each, child: await start(each, folder, threads), seconds: [], cpuSeconds: [] });
      }
      for (let round = -1; round < rounds; round++) {
        for (const { each, child, seconds, cpuSeconds } of runners) {
          await pause(SETTLE_MS);
          const took = stepped.parse(await child.ask({ do: 'steps', count: shape.stepsPerRound }));
          if (!took.losses.every(Number.isFinite)) throw new Error(`${each.name}: the loss is no number`);
          if (round < 0) continue; // It only warms up.
          seconds.push(took.seconds);
          cpuSeconds.push(took.cpuSeconds);
        }
      }
      const [lora, ...measured] = runners;
      if (lora === undefined) throw new Error('LoRA was not measured');
      for (const runner of measured) yield await describe(runner, lora, rounds);
    } finally {
      await Promise.all(runners.map(({ child }) => child.end()));
    }
  }
}

async function describe(
  { each, child, seconds, cpuSeconds }: Runner,
  lora: Runner,
  rounds: number,
): Promise<MeasuredMethod> {
  const over = (own: readonly number[], other: readonly number[]): readonly number[] =>
    own.map((value, round) => value / (other[round] ?? NaN));
  const ratios = over(seconds, lora.seconds);
  const { trained } = described.parse(await child.ask({ do: 'describe' }));
  const { bytes } = remembered.parse(await child.ask({ do: 'memory' }));
  return {
    ...each,
    ours: median(seconds),
    lora: median(lora.seconds),
    toLora: median(ratios),
    toLoraRange: [Math.min(...ratios), Math.max(...ratios)],
    cpuToLora: median(over(cpuSeconds, lora.cpuSeconds)),
    trained,
    peakBytes: bytes,
    inference: inferred.parse(await child.ask({ do: 'inference', rounds: 2 * rounds })),
    batch: shape.batch,
    tokens: shape.tokens,
  };
}

/** A method's step beside LoRA's, and its pass in inference, folded where it folds, beside that of an encoder without a method. */
export function compareMethod({ name, ours, lora, inference, ...details }: MeasuredMethod): readonly Comparison[] {
  const pass = inference.folded ?? inference.trained;
  return [
    compare(name, 'seconds', { name: 'ours', value: ours }, [{ name: 'a LoRA step', value: lora }], details),
    compare(
      `${name}/inference`,
      'seconds',
      { name: 'ours', value: pass },
      [{ name: 'a plain pass', value: inference.plain }],
      { method: details.method, ...inference },
    ),
  ];
}

const columns: readonly Column[] = [
  ['method', 38],
  ['parameters', 11],
  ['step', 9],
  ['to LoRA', 8],
  ['by round', 13],
  ['CPU', 5],
  ['memory', 9],
  ['plain', 8],
  ['trained', 8],
  ['folded', 8],
  ['to plain', 8],
  ['CPU', 5],
];

/** The heads of the table's columns; the last five are passes of inference; CPU is processor time, to LoRA's and to the plain encoder's. */
export const methodHeader = header(columns);

/** A method as a row of the table for people. */
export function formatMethod(measured: MeasuredMethod): string {
  const { name, bar, trained, ours, toLora, toLoraRange, cpuToLora, peakBytes, inference } = measured;
  const final = inference.folded ?? inference.trained;
  return row(columns, [
    name.replace('methods/', ''),
    trained.toLocaleString('en'),
    milliseconds(ours),
    againstBar(toLora, bar),
    range(toLoraRange),
    cpuToLora.toFixed(2),
    mebibytes(peakBytes),
    milliseconds(inference.plain),
    milliseconds(inference.trained),
    inference.folded === undefined ? '-' : milliseconds(inference.folded),
    (final / inference.plain).toFixed(2),
    inference.cpuToPlain.toFixed(2),
  ]);
}

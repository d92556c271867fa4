import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../src/base/errors.ts';
import { stratifiedSubset } from '../../src/engine/data/subset.ts';
import { journalEvent } from '../../src/runs/events.ts';
import { loadSplit } from '../../src/tasks/read/load.ts';
import { findTask } from '../../src/tasks/registry.ts';
import { compare, median, type Comparison, type Measured } from './comparison.ts';
import type { BenchOptions } from './options.ts';
import { runWatched } from './process-tree.ts';
import { mklOnItsIntelPath, peerFolder, type Python } from './python.ts';

export const endToEndName = 'end-to-end/sst2/lora';

/** What our side multiplies the frozen matrices as. */
type Precision = 'float32' | 'int8';

/** The run that both sides are given. */
interface EndToEndPlan {
  readonly encoder: string;
  /** A folder with the very sentences to train on and to evaluate, as train.tsv and dev.tsv. */
  readonly data: string;
  readonly threads: number;
  readonly seed: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly maxLength: number;
  readonly learningRate: number;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly rank: number;
  readonly alpha: number;
}

const peerOutcome = z.object({
  accuracy: z.number(),
  trained: z.int(),
  peakBytes: z.int(),
  seconds: z.record(z.string(), z.number()),
});

type Outcome = Omit<z.output<typeof peerOutcome>, 'peakBytes'> & { readonly peakBytes?: number };

interface Side {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly aside: boolean;
  /** What a run told, from its output. */
  readonly read: (stdout: string) => Promise<Outcome>;
  readonly seconds: number[];
  readonly bytes: number[];
  readonly accuracies: number[];
  phases: Readonly<Record<string, number>>;
}

const besideCheckout = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'sst2');

/** The folder with SST-2, if one is named or lies where the project keeps it. @throws UserError when a named one lacks the files */
export function findSst2(asked: string | undefined): string | undefined {
  const folder = resolve(asked ?? besideCheckout);
  if (existsSync(join(folder, 'train.tsv')) && existsSync(join(folder, 'dev.tsv'))) return folder;
  if (asked !== undefined) throw new UserError(`${folder} does not hold train.tsv and dev.tsv`);
  return undefined;
}

/** Writes the sentences that both sides train on, the proportion of labels kept, and the whole of the development set. */
async function writeData(from: string, to: string, examples: number, seed: number): Promise<void> {
  const task = findTask('sst2');
  const whole = await loadSplit(task, from, 'train');
  const labels = Float64Array.from(whole.examples, ({ label }) => label);
  const kept = stratifiedSubset(labels, task.kind, Math.min(examples, labels.length), seed);
  const lines = [...kept].flatMap((index) => {
    const example = whole.examples[index];
    return example === undefined ? [] : [`${example.text}\t${example.label}`];
  });
  await mkdir(to, { recursive: true });
  await writeFile(join(to, 'train.tsv'), `${['sentence\tlabel', ...lines].join('\n')}\n`);
  await copyFile(join(from, 'dev.tsv'), join(to, 'dev.tsv'));
}

/** Our side's configuration file. */
async function writeConfiguration(plan: EndToEndPlan, file: string, frozenPrecision: Precision): Promise<void> {
  const { encoder, data, maxLength, rank, alpha, threads, ...training } = plan;
  const configuration = {
    model: encoder,
    task: { id: 'sst2', data, maxLength },
    method: { id: 'lora', rank, alpha },
    training: { ...training, schedule: 'linear', frozenPrecision },
    device: { provider: 'cpu', threads },
  };
  await writeFile(file, JSON.stringify(configuration));
}

const listed = z.object({ runs: z.tuple([z.object({ folder: z.string() })]) });

/** What a run of ours told, from its journal. */
async function readJournal(stdout: string): Promise<Outcome> {
  const { runs } = listed.parse(JSON.parse(stdout));
  const lines = (await readFile(join(runs[0].folder, 'journal.jsonl'), 'utf8')).trim().split('\n');
  const events = lines.map((line) => journalEvent.parse(JSON.parse(line)));
  const find = <T extends (typeof events)[number]['type']>(type: T) => {
    const found = events.find((event): event is Extract<typeof event, { type: T }> => event.type === type);
    if (found === undefined) throw new Error(`the journal of ${runs[0].folder} has no event ${type}`);
    return found;
  };
  const [started, evaluation, finished] = [find('started'), find('evaluation'), find('finished')];
  return {
    accuracy: z.number().parse(finished.last['accuracy']),
    trained: started.parameters.total,
    seconds: { train: finished.trainSeconds, evaluate: evaluation.seconds },
  };
}

function readPeer(stdout: string): Promise<Outcome> {
  return Promise.resolve(peerOutcome.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')));
}

/** Trains LoRA for an epoch on real sentences and evaluates, from the start of the process to its end, ours and both peers in turn. */
export async function measureEndToEnd(
  sources: { readonly sst2: string; readonly encoder: string },
  folder: string,
  options: BenchOptions,
  python: Python | undefined,
): Promise<readonly Comparison[]> {
  const plan: EndToEndPlan = {
    encoder: resolve(sources.encoder),
    data: join(folder, 'sst2'),
    threads: options.threads,
    seed: 0,
    epochs: 1,
    batchSize: 32,
    maxLength: 128,
    learningRate: 1e-3,
    warmup: 0.06,
    weightDecay: 0.01,
    maxGradNorm: 1,
    rank: 8,
    alpha: 16,
  };
  await writeData(sources.sst2, plan.data, options.examples, plan.seed);
  const workspace = join(folder, 'workspace');
  await mkdir(workspace);
  const side = (name: string, program: string, args: readonly string[], read: Side['read']): Side => ({
    ...{ name, program, args, environment: {}, aside: false, read },
    ...{ seconds: [], bytes: [], accuracies: [], phases: {} },
  });
  const peers = (): readonly Side[] => {
    if (python === undefined) return [];
    const peer = (name: string, padding: 'max' | 'dynamic'): Side => {
      const args = [join(peerFolder, 'end_to_end.py'), JSON.stringify({ ...plan, padding })];
      return side(`PyTorch + peft, ${name}`, python.path, args, readPeer);
    };
    const grouped = 'dynamic padding, grouped by length';
    const usual = [peer('padded to 128', 'max'), peer(grouped, 'dynamic')];
    const intel = options.quick ? undefined : mklOnItsIntelPath(python, folder);
    if (intel === undefined) return usual;
    return [...usual, { ...peer(`${grouped}, MKL on its Intel path`, 'dynamic'), environment: intel, aside: true }];
  };
  const program = join(import.meta.dirname, '..', '..', 'bin', 'peft-lab.mjs');
  const ours = async (name: string, frozenPrecision: Precision): Promise<Side> => {
    const configuration = join(folder, `sst2-${frozenPrecision}.peft.json`);
    await writeConfiguration(plan, configuration, frozenPrecision);
    const args = [program, '--json', '--folder', workspace, 'run', configuration];
    return side(name, process.execPath, args, readJournal);
  };
  const [exact, rounded] = [await ours('peft-lab run', 'float32'), await ours('peft-lab run, int8', 'int8')];
  const others = peers();
  const sides = [exact, rounded, ...others];
  for (let round = 0; round < (options.quick ? 1 : 2); round++) {
    for (const each of sides) {
      const { stdout, seconds, peakBytes } = await runWatched(each.program, each.args, each.environment);
      const result = await each.read(stdout);
      each.seconds.push(seconds);
      each.bytes.push(peakBytes ?? result.peakBytes ?? NaN);
      each.accuracies.push(result.accuracy);
      each.phases = result.seconds;
    }
  }
  const details = {
    examples: options.examples,
    batchSize: plan.batchSize,
    epochs: plan.epochs,
    learningRate: plan.learningRate,
    accuracy: Object.fromEntries(sides.map(({ name, accuracies }) => [name, median(accuracies)])),
    phases: Object.fromEntries(sides.map(({ name, phases }) => [name, phases])),
  };
  const compared = (
    name: string,
    unit: Comparison['unit'],
    own: Side,
    values: (side: Side) => readonly number[],
  ): Comparison => {
    const of = (each: Side): Measured => ({
      ...{ name: each.name, aside: each.aside },
      ...{ value: median(values(each)), rounds: values(each) },
    });
    return compare(name, unit, of(own), others.map(of), details);
  };
  return [[endToEndName, exact] as const, [`${endToEndName}/int8`, rounded] as const].flatMap(([name, own]) => [
    compared(name, 'seconds', own, ({ seconds }) => seconds),
    compared(`${name}/memory`, 'bytes', own, ({ bytes }) => bytes),
  ]);
}

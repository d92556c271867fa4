import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { installedCatalogue } from '../../src/runs/catalogue.ts';
import { parseConfiguration } from '../../src/runs/configuration.ts';
import { planRuns } from '../../src/runs/plan-runs.ts';
import { readJournal } from '../../src/runs/journal.ts';
import { createRun, openWorkspace, runFolder, type Workspace } from '../../src/runs/run-folder.ts';
import { compare, median, type Comparison } from './comparison.ts';
import type { BenchOptions } from './options.ts';

/** A run whose start is timed: the task whose data it reads, and the form in which the program is there. */
export interface StartCase {
  readonly name: string;
  readonly task: 'wordnet-supersense' | 'sst2';
  readonly program: 'source' | 'bundle';
}

export const startCases: readonly StartCase[] = (['wordnet-supersense', 'sst2'] as const).flatMap((task) =>
  (['source', 'bundle'] as const).map((program) => ({ name: `start/${task}/${program}`, task, program })),
);

const root = join(import.meta.dirname, '..', '..');
const programs = { source: join(root, 'src', 'runs', 'trainer-process.ts'), bundle: join(root, 'dist', 'trainer.js') };

/** Whether the program is there in this form. */
export function canStart({ program }: StartCase): boolean {
  return existsSync(programs[program]);
}

/** Real training data; of the evaluation's a few rows, which cost next to nothing after the step. */
async function dataOf({ task }: StartCase, sst2: string | undefined, folder: string) {
  const ending = task === 'sst2' ? 'tsv' : 'tsv.gz';
  const from = task === 'sst2' ? sst2 : join(root, 'samples', task);
  if (from === undefined) return undefined;
  const bytes = readFileSync(join(from, `dev.${ending}`));
  const lines = (task === 'sst2' ? bytes : gunzipSync(bytes)).toString('utf8').split('\n');
  const dev = join(folder, `${task}-dev.tsv`);
  await writeFile(dev, `${lines.slice(0, 33).join('\n')}\n`);
  return { train: join(from, `train.${ending}`), dev };
}

interface Start {
  /** From the start of the process to the end of its first step. */
  readonly seconds: number;
  /** What the process computed in its whole life, on all cores together. */
  readonly processorSeconds: number;
}

const usage = z.object({ user: z.number(), system: z.number() });

/** Tells at the end what the process has computed; nobody else can ask for that. */
const teller = 'process.on("exit", () => process.stdout.write(JSON.stringify(process.cpuUsage())))';

/** Trains a run of one step in a process of its own, as a supervisor starts it. */
async function start(
  { program }: StartCase,
  folder: string,
  environment: Readonly<Record<string, string>>,
): Promise<Start> {
  const { NODE_COMPILE_CACHE: _, NODE_DISABLE_COMPILE_CACHE: __, ...outside } = process.env;
  const began = Date.now();
  const args = ['--import', `data:text/javascript,${encodeURIComponent(teller)}`, programs[program], folder];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...outside, ...environment },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (ended) => resolve(ended ?? 1));
  });
  const step = readJournal(folder).events.find((event) => event.type === 'step');
  if (code !== 0 || step === undefined) throw new Error(`the trainer of ${folder} ended with ${code}`);
  const { user, system } = usage.parse(JSON.parse(output));
  return { seconds: (step.time - began) / 1000, processorSeconds: (user + system) / 1e6 };
}

/** A run with LoRA on the encoder that ships, which has not begun. */
async function newRun(workspace: Workspace, each: StartCase, data: object, threads: number): Promise<string> {
  const settings = {
    model: 'peft-lab-mini',
    task: { id: each.task, data },
    method: 'lora',
    training: { steps: 1, examples: 3000 },
    device: { provider: 'cpu', threads },
  };
  const file = join(workspace.folder, 'start.peft.json');
  const [run] = await planRuns(parseConfiguration(JSON.stringify(settings), file, installedCatalogue));
  if (run === undefined) throw new Error('the configuration describes no run');
  return runFolder(workspace, createRun(workspace, run));
}

/**
 * From a process to its first step where earlier runs have left tokenised data and compiled code, beside a process that finds nothing,
 * alternating.
 * @returns nothing where the data are missing
 */
export async function measureStart(
  each: StartCase,
  folder: string,
  options: BenchOptions,
  sst2: string | undefined,
): Promise<readonly Comparison[]> {
  const own = join(folder, each.name.replaceAll('/', '-'));
  await mkdir(own);
  const data = await dataOf(each, sst2, own);
  if (data === undefined) return [];
  const workspace = openWorkspace(own);
  const compiled = { NODE_COMPILE_CACHE: join(own, 'compiled') };
  const uncached = async (): Promise<Start> => {
    const run = await newRun(workspace, each, data, options.threads);
    await rm(join(workspace.peft, 'cache'), { recursive: true, force: true });
    return start(each, run, { NODE_DISABLE_COMPILE_CACHE: '1' });
  };
  const cached = async (): Promise<Start> =>
    start(each, await newRun(workspace, each, data, options.threads), compiled);
  const [cold, warm]: [Start[], Start[]] = [[], []];
  for (let round = 0; round < options.rounds; round++) {
    cold.push(await uncached());
    // What the first round threw away has to be made again before it can be found.
    await cached();
    warm.push(await cached());
  }
  const of = (name: string, starts: readonly Start[], value: keyof Start) => {
    const rounds = starts.map((each) => each[value]);
    return { name, value: median(rounds), rounds };
  };
  const compared = (name: string, value: keyof Start): Comparison =>
    compare(name, 'seconds', of('with caches', warm, value), [of('nothing cached', cold, value)]);
  return [compared(each.name, 'seconds'), compared(`${each.name}/processor`, 'processorSeconds')];
}

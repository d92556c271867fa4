import { askProgram, type Patience } from '../ask-program.ts';

/** What NVIDIA's own tool tells of the GPUs: memory, use, and what each process holds. */

export interface NvidiaGpu {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly driverVersion: string;
  /** Undefined where the tool does not tell, as for a GPU that shares the machine's memory. */
  readonly memoryBytes: number | undefined;
  readonly usedBytes: number | undefined;
  /** How much of the last moment it computed, 0 to 1. */
  readonly utilisation: number | undefined;
}

export interface NvidiaProcess {
  readonly processId: number;
  readonly gpu: string;
  readonly usedBytes: number | undefined;
}

export interface NvidiaReading {
  readonly gpus: readonly NvidiaGpu[];
  readonly processes: readonly NvidiaProcess[];
}

const gpuFields = [
  'index',
  'uuid',
  'name',
  'driver_version',
  'memory.total',
  'memory.used',
  'utilization.gpu',
] as const;
const processFields = ['pid', 'gpu_uuid', 'used_memory'] as const;

function rowsOf(text: string, fields: number): readonly (readonly string[])[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.trim()))
    .filter((cells) => cells.length === fields);
}

/** A number, or nothing for `[N/A]`, `[Not Supported]`, `[Insufficient Permissions]` and their like. */
function numberOf(cell: string | undefined): number | undefined {
  return cell !== undefined && /^\d+(\.\d+)?$/.test(cell) ? Number(cell) : undefined;
}

function bytesOf(mebibytes: string | undefined): number | undefined {
  const value = numberOf(mebibytes);
  return value === undefined ? undefined : value * 2 ** 20;
}

/** Reads what `--query-gpu` with our fields and `--format=csv,noheader,nounits` prints. */
export function parseGpus(text: string): readonly NvidiaGpu[] {
  return rowsOf(text, gpuFields.length).flatMap(([index, uuid, name, driverVersion, memory, used, busy]) => {
    const position = numberOf(index);
    if (position === undefined || uuid === undefined || name === undefined || driverVersion === undefined) return [];
    const share = numberOf(busy);
    return [
      {
        index: position,
        uuid,
        name,
        driverVersion,
        memoryBytes: bytesOf(memory),
        usedBytes: bytesOf(used),
        utilisation: share === undefined ? undefined : share / 100,
      },
    ];
  });
}

/** Reads what `--query-compute-apps` with our fields prints: a line for each process on each GPU, none when nothing computes. */
export function parseProcesses(text: string): readonly NvidiaProcess[] {
  return rowsOf(text, processFields.length).flatMap(([pid, gpu, used]) => {
    const processId = numberOf(pid);
    return processId === undefined || gpu === undefined ? [] : [{ processId, gpu, usedBytes: bytesOf(used) }];
  });
}

/** Longer than a healthy driver takes; a hanging one must not hold up a view. */
const usualPatience: Patience = { milliseconds: 4000 };

/** Programs that were given up and have not ended: another would hang beside them, and a view asks every few seconds. */
const hanging = new Set<string>();

/** What it prints, also where it then fails: with one of several GPUs lost, or a damaged one, it does so after it has told of the others. */
async function ask(
  program: string,
  args: readonly string[],
  patience: Patience,
): Promise<{ readonly text: string; readonly failed: boolean }> {
  const nothing = { text: '', failed: true };
  if (hanging.has(program)) return nothing;
  const answer = await askProgram(program, [...args, '--format=csv,noheader,nounits'], patience);
  if (answer.kind !== 'silent') return { text: answer.stdout, failed: answer.kind === 'failed' };
  hanging.add(program);
  void answer.ended.then(() => hanging.delete(program));
  return nothing;
}

/**
 * Asks nvidia-smi.
 * @param program another one in tests
 * @returns nothing where it is absent, hangs, or fails without a GPU
 */
export async function readNvidia(
  program = 'nvidia-smi',
  patience: Patience = usualPatience,
): Promise<NvidiaReading | undefined> {
  const { text, failed } = await ask(program, [`--query-gpu=${gpuFields.join()}`], patience);
  const gpus = parseGpus(text);
  if (failed && gpus.length === 0) return undefined;
  const processes = await ask(program, [`--query-compute-apps=${processFields.join()}`], patience);
  return { gpus, processes: parseProcesses(processes.text) };
}

import { readDisplayAdapters, type DisplayAdapter } from './display-adapters.ts';
import { readGpus, type Gpu } from './gpus.ts';
import { readNvidia, type NvidiaReading } from './nvidia-smi.ts';

/** What the GPUs do at this moment, as far as the platform tells. */

export interface GpuUse {
  readonly name: string;
  /** Undefined where nothing tells it. */
  readonly driverVersion: string | undefined;
  readonly memoryBytes: number | undefined;
  readonly usedBytes: number | undefined;
  /** How much of the last moment it computed, 0 to 1. */
  readonly utilisation: number | undefined;
}

export interface GpuUseReading {
  readonly gpus: readonly GpuUse[];
  /** Memory of GPUs that processes hold, by their numbers. */
  readonly processes: ReadonlyMap<number, number>;
}

/** What the kernel's files tell, what NVIDIA's tool tells, and what other systems call their adapters: each GPU once. */
export function joinReadings(
  gpus: readonly Gpu[],
  nvidia: NvidiaReading | undefined,
  adapters: readonly DisplayAdapter[] = [],
): GpuUseReading {
  const told = nvidia?.gpus ?? [];
  // Of a GPU that Windows lends, the kernel tells no more than that it is there.
  const others = gpus.filter(
    ({ vendor, driver }) => told.length === 0 || (vendor !== 'nvidia' && driver !== 'dxgkrnl'),
  );
  const processes = new Map<number, number>();
  for (const { processId, usedBytes } of nvidia?.processes ?? [])
    if (usedBytes !== undefined) processes.set(processId, (processes.get(processId) ?? 0) + usedBytes);
  return {
    gpus: [
      ...told.map(({ name, driverVersion, memoryBytes, usedBytes, utilisation }) => {
        return { name, driverVersion, memoryBytes, usedBytes, utilisation };
      }),
      ...others.map(({ name, driverVersion, memoryBytes, usedBytes, utilisation }) => {
        return { name, driverVersion, memoryBytes, usedBytes, utilisation };
      }),
      ...adapters
        .filter(({ name, software }) => !software && told.every((gpu) => gpu.name !== name))
        .map(({ name, driverVersion }) => {
          return { name, driverVersion, memoryBytes: undefined, usedBytes: undefined, utilisation: undefined };
        }),
    ],
    processes,
  };
}

let adapters: Promise<readonly DisplayAdapter[]> | undefined;

/** The adapters as they were at first: the tools that tell of them take a second, and a view asks every few. */
export function knownAdapters(): Promise<readonly DisplayAdapter[]> {
  return (adapters ??= readDisplayAdapters());
}

/** Reads it anew. Programs are asked only where their GPU may be; one that is absent or hangs leaves its numbers out. */
export async function readGpuUse(): Promise<GpuUseReading> {
  const gpus = process.platform === 'linux' ? readGpus().gpus : [];
  const mayBeNvidia =
    process.platform === 'win32' || gpus.some(({ vendor, driver }) => vendor === 'nvidia' || driver === 'dxgkrnl');
  return joinReadings(gpus, mayBeNvidia ? await readNvidia() : undefined, await knownAdapters());
}

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

/** What the kernel's files tell and what NVIDIA's tool tells, each of its own GPUs. */
export function joinReadings(gpus: readonly Gpu[], nvidia: NvidiaReading | undefined): GpuUseReading {
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
    ],
    processes,
  };
}

/** Reads it anew. Programs are asked only where their GPU may be; one that is absent or hangs leaves its numbers out. */
export async function readGpuUse(): Promise<GpuUseReading> {
  const gpus = process.platform === 'linux' ? readGpus().gpus : [];
  const mayBeNvidia =
    process.platform === 'win32' || gpus.some(({ vendor, driver }) => vendor === 'nvidia' || driver === 'dxgkrnl');
  return joinReadings(gpus, mayBeNvidia ? await readNvidia() : undefined);
}

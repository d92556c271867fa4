import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Probe } from './device.ts';
import { readMachine } from './graphics/machine.ts';
import type { MachineFacts } from './graphics/outlook.ts';
import { measuredDevice } from './probe-result.ts';

/** What came of trying a device, kept for the other runs of a sweep: trying it again costs each of them a process and a driver's start. */

const REMEMBERED_MS = 3_600_000;

const tried = z.object({ time: z.number(), result: measuredDevice });

const fileSchema = z.object({ machine: z.string(), devices: z.record(z.string(), tried) });

type Remembered = z.output<typeof fileSchema>;

/** What decides which GPUs and libraries a driver shows to a program. */
const relevant = /^(CUDA|NVIDIA|VK|LD_LIBRARY_PATH|PEFT_|ROCR|HIP|HSA|DRI_|MESA|ZE_|GGML|ORT_)/;

/** The machine without what changes from one moment to the next, which amdgpu's files tell. */
function lasting({ gpus, ...facts }: MachineFacts): MachineFacts {
  if (gpus === undefined) return facts;
  const still = gpus.gpus.map(({ usedBytes: _used, utilisation: _busy, ...gpu }) => gpu);
  return { ...facts, gpus: { ...gpus, gpus: still } };
}

/**
 * Another for every machine, start of the machine, set of drivers and version of the program; nothing of it can be read back.
 * @param versions of the program, its runtime, and the machine's start
 */
export function machineKey(
  versions: readonly (string | undefined)[],
  facts: MachineFacts = readMachine(),
  environment: NodeJS.ProcessEnv = process.env,
): string {
  const chosen = Object.entries(environment)
    .filter(([name]) => relevant.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([versions, lasting(facts), process.versions.node, chosen]);
  return createHash('sha256').update(text).digest('hex');
}

async function recall(file: string, machine: string): Promise<Remembered> {
  try {
    const parsed = fileSchema.safeParse(JSON.parse(await readFile(file, 'utf8')));
    if (parsed.success && parsed.data.machine === machine) return parsed.data;
  } catch {
    // There is none, or it is damaged: the device is tried.
  }
  return { machine, devices: {} };
}

async function remember(file: string, content: Remembered): Promise<void> {
  const beside = `${file}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(beside, `${JSON.stringify(content)}\n`, { mode: 0o600 });
    await rename(beside, file);
  } catch {
    // The next run tries the device itself.
    await rm(beside, { force: true }).catch(() => undefined);
  }
}

/**
 * A probe that takes another's word for a device that worked within the last hour on this machine, as it is now. One that failed is tried
 * again each time: the user may have mended it.
 * @param machine see {@link machineKey}
 * @param now milliseconds since 1970
 */
export function remembering(probe: Probe, file: string, machine: string, now: () => number = Date.now): Probe {
  return async (provider, threads, precision) => {
    const device = `${provider} ${threads} ${precision}`;
    const known = (await recall(file, machine)).devices[device];
    const sinceMs = known === undefined ? NaN : now() - known.time;
    if (known !== undefined && sinceMs >= 0 && sinceMs < REMEMBERED_MS) return { ...known.result, sinceMs };
    const result = await probe(provider, threads, precision);
    if (result.kind === 'works') {
      // Read again: another run may have tried another device meanwhile.
      const { devices } = await recall(file, machine);
      const { rate, cpuRate, secondsPerOperation } = result;
      const kept = { time: now(), result: { kind: 'works', rate, cpuRate, secondsPerOperation } as const };
      await remember(file, { machine, devices: { ...devices, [device]: kept } });
    }
    return result;
  };
}

import { arch, cpus, platform, release } from 'node:os';
import { report, versions } from 'node:process';
import { z } from 'zod';
import { counted } from '../base/format.ts';
import type { Device } from '../engine/device.ts';
import { packageVersions, programVersion } from './program.ts';

const reportHeader = z.object({ header: z.object({ glibcVersionRuntime: z.string() }) });

/** The library of mathematical functions that native code calls: of the C library where it says its version, else the system's own. */
function mathLibrary(): string {
  const parsed = reportHeader.safeParse(report.getReport());
  return parsed.success ? `glibc ${parsed.data.header.glibcVersionRuntime}` : `${platform()} ${release()}`;
}

/**
 * What the last digits of a run's sums depend on besides its configuration, model and data: where any of it is another, the same noise
 * must not come to them again. JavaScript's engine is among it, since logarithms, powers and cosines, which noise, optimiser and schedule
 * take, are its own.
 * @returns undefined for GPUs, which do not even give the same digits twice
 */
export function arithmeticOf({ provider, threads }: Pick<Device, 'provider' | 'threads'>): string | undefined {
  if (provider !== 'cpu') return undefined;
  const runtimes = Object.entries(packageVersions(['onnxruntime-node'])).map((each) => each.join(' '));
  return [
    cpus()[0]?.model ?? 'unknown processor',
    arch(),
    counted(threads, 'thread'),
    `peft-lab ${programVersion()}`,
    ...runtimes,
    `V8 ${versions.v8}`,
    mathLibrary(),
  ].join(', ');
}

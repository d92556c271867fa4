import { availableParallelism } from 'node:os';
import { bytes } from '../base/format.ts';
import { installedProviders, startAdvice } from '../engine/backends/onnx/providers.ts';
import type { DisplayAdapter } from '../engine/graphics/display-adapters.ts';
import { knownAdapters, readGpuUse, type GpuUse } from '../engine/graphics/gpu-use.ts';
import { readMachine } from '../engine/graphics/machine.ts';
import { cudaOutlook, webgpuOutlook, type MachineFacts, type Outlook } from '../engine/graphics/outlook.ts';
import { LEAST_GAIN, shareOfThreads, type ProbeResult } from '../engine/device.ts';
import { runProbe } from '../engine/run-probe.ts';
import { bad, doubtful, good, type Check } from './check.ts';

/** What `doctor` says of GPUs and of the providers that compute on them. */

function gpuText({ name, driverVersion, memoryBytes, usedBytes, utilisation }: GpuUse): string {
  const parts = [
    ...(driverVersion === undefined ? [] : [`driver ${driverVersion}`]),
    ...(memoryBytes === undefined
      ? []
      : [usedBytes === undefined ? bytes(memoryBytes) : `${bytes(usedBytes)} of ${bytes(memoryBytes)} used`]),
    ...(utilisation === undefined ? [] : [`${Math.round(100 * utilisation)} % busy`]),
  ];
  return parts.length === 0 ? name : `${name} (${parts.join(', ')})`;
}

/** The GPUs by name, with drivers, memory and use as far as anything tells them, and what draws in place of one. */
export function checkGpus(
  facts: MachineFacts,
  gpus: readonly GpuUse[],
  adapters: readonly DisplayAdapter[],
): readonly Check[] {
  const standIns = adapters.filter(({ software }) => software).map(({ name }) => `${name}, no GPU`);
  const driven = facts.gpus?.gpus ?? [];
  const kernels = driven.map(
    ({ name, driver }) => `${name}: ${driver === undefined ? 'no driver of the kernel' : `kernel driver ${driver}`}`,
  );
  const checks = [good('GPU', [...gpus.map(gpuText), ...standIns].join('; ') || 'none')];
  if (kernels.length > 0) checks.push(good('GPU drivers', kernels.join('; ')));
  const drivers = facts.vulkan?.drivers ?? [];
  if (facts.vulkan !== undefined && (driven.length > 0 || drivers.length > 0)) {
    const listed = drivers.map(
      ({ library, kind }) =>
        `${library.split('/').at(-1) ?? library}${kind === 'software' ? ' (computes on the CPU)' : ''}`,
    );
    const by =
      facts.vulkan.restrictedBy === undefined ? '' : `; ${facts.vulkan.restrictedBy} names the only ones to use`;
    checks.push(
      good('Vulkan', `${facts.vulkan.loader ? 'loader' : 'no loader'}; drivers: ${listed.join(', ') || 'none'}${by}`),
    );
  }
  return checks;
}

const rate = (value: number): string => `${(value / 1e9).toFixed(0)} GFLOP/s`;

/** Providers of one platform that runs take by name alone: what they reach, webgpu reaches too. */
const byName = ['dml', 'coreml'] as const;

/** A provider that `auto` leaves alone, tried in float32: neither that it fails nor that it is slow keeps a run from anything. */
export function checkNamed(provider: (typeof byName)[number], result: ProbeResult): Check {
  return result.kind === 'works'
    ? good(
        provider,
        `computes right; matrix products at ${rate(result.rate)}, on the CPU ${rate(result.cpuRate)}; runs take it by its name alone`,
      )
    : {
        name: provider,
        level: 'ok',
        message: `not to be used: ${result.reason}`,
        advice: 'Device auto never takes it, and webgpu computes on the same GPUs.',
      };
}

/** A provider that should work, tried in float32 and, where that works, in float16. */
export function checkTried(provider: string, on: string, result: ProbeResult, inHalf?: ProbeResult): Check {
  if (result.kind === 'fails') {
    // Its libraries are what CUDA lacks most; of WebGPU all that is not the runtime's own is the driver.
    const remedy = provider === 'webgpu' ? `Update the driver of ${on}.` : startAdvice(provider, result.reason);
    return bad(provider, `on ${on}: ${result.reason}`, `Device auto passes it over. ${remedy}`);
  }
  const half =
    inHalf === undefined ? '' : inHalf.kind === 'works' ? `, in float16 at ${rate(inHalf.rate)}` : ', not in float16';
  const text = `on ${on}: computes right; matrix products at ${rate(result.rate)}${half}, on the CPU ${rate(result.cpuRate)}`;
  if (result.rate >= LEAST_GAIN * result.cpuRate) return good(provider, text);
  const than = result.rate > result.cpuRate ? 'hardly faster' : 'slower';
  return doubtful(provider, text, `It is ${than} than the CPU, so device auto takes the CPU.`);
}

/** What keeps a provider from working. That there is no GPU, or that CUDA was not added, is nothing to worry about. */
export function checkUnlikely(provider: string, outlook: Outlook & { readonly state: 'unlikely' }): Check {
  const { obstacle, message, advice } = outlook;
  const fine = obstacle === 'no GPU' || obstacle === 'only software' || obstacle === 'not in the runtime';
  return fine || advice === undefined
    ? { name: provider, level: 'ok', message: `not to be used: ${message}`, advice: advice ?? null }
    : doubtful(provider, `cannot be used: ${message}`, advice);
}

/** Tries it against the CPU with the threads that a run by itself would have, as `auto` does. */
async function tried(provider: string, on: string): Promise<Check> {
  const threads = shareOfThreads(availableParallelism());
  const result = await runProbe(provider, threads, 'float32');
  const inHalf = result.kind === 'works' ? await runProbe(provider, threads, 'float16') : undefined;
  return checkTried(provider, on, result, inHalf);
}

/** GPUs, what drives them, and whether what `auto` would take works. */
export async function checkDevices(): Promise<readonly Check[]> {
  const facts = readMachine();
  const { gpus } = await readGpuUse();
  const adapters = await knownAdapters();
  const checks = [...checkGpus(facts, gpus, adapters)];
  for (const [provider, outlook] of [
    ['webgpu', webgpuOutlook(facts)],
    ['cuda', cudaOutlook(facts)],
  ] as const)
    checks.push(outlook.state === 'likely' ? await tried(provider, outlook.on) : checkUnlikely(provider, outlook));
  const installed = installedProviders();
  for (const provider of byName.filter((name) => installed.includes(name)))
    checks.push(checkNamed(provider, await runProbe(provider, shareOfThreads(availableParallelism()), 'float32')));
  return checks;
}

import { installedProviders } from '../backends/onnx/providers.ts';
import { readGpus } from './gpus.ts';
import type { MachineFacts } from './outlook.ts';
import { findVulkan } from './vulkan.ts';

/** What there is on this machine to compute with, as far as its files tell. It starts nothing and loads no library. */
export function readMachine(): MachineFacts {
  const { platform, arch } = process;
  const linux = platform === 'linux';
  return {
    platform,
    arch,
    providers: installedProviders(),
    ...(linux ? { gpus: readGpus(), vulkan: findVulkan() } : {}),
  };
}

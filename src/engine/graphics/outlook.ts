import { installAdvice } from '../backends/onnx/providers.ts';
import type { Gpu, GpuFacts } from './gpus.ts';
import type { VulkanDriver, VulkanInstallation } from './vulkan.ts';

/** What the files of a machine promise of its GPUs, before any driver is loaded; whether they keep it, only a computation shows. */

export interface MachineFacts {
  readonly platform: string;
  readonly arch: string;
  /** Providers of the runtime, those installed beside it among them. */
  readonly providers: readonly string[];
  /** Read on Linux; elsewhere the system brings the driver and asks for no files. */
  readonly gpus?: GpuFacts;
  readonly vulkan?: VulkanInstallation;
}

/** Why a provider has nothing to compute with; each asks for another remedy. */
export type Obstacle =
  | 'not in the runtime'
  | 'no GPU'
  | 'no kernel driver'
  | 'no permission'
  | 'no Vulkan loader'
  | 'no Vulkan driver'
  | 'only software';

export type Outlook =
  | { readonly state: 'likely'; readonly on: string }
  | {
      readonly state: 'unlikely';
      readonly obstacle: Obstacle;
      readonly message: string;
      /** What to do about it; nothing where nothing can be done. */
      readonly advice?: string;
    };

function unlikely(obstacle: Obstacle, message: string, advice?: string): Outlook {
  return { state: 'unlikely', obstacle, message, ...(advice === undefined ? {} : { advice }) };
}

function serves({ kind, library }: VulkanDriver, { vendor, driver }: Gpu): boolean {
  if (kind !== vendor) return false;
  // Both drivers of NVIDIA's GPUs want the kernel's part of their own.
  return vendor !== 'nvidia' || (driver === 'nouveau') === /nouveau/i.test(library);
}

function vulkanAdvice(gpus: readonly Gpu[]): string {
  if (gpus.some(({ driver }) => driver === 'dxgkrnl'))
    return "Install Mesa's driver dzn, or train in Windows itself, where WebGPU uses Direct3D 12.";
  if (gpus.some(({ driver }) => driver === 'nvidia'))
    return "Install the Vulkan part of NVIDIA's driver (Debian: nvidia-vulkan-icd; Ubuntu: libnvidia-gl-VERSION); in a container, start it with NVIDIA_DRIVER_CAPABILITIES=all.";
  return "Install Mesa's Vulkan drivers (Debian, Ubuntu: mesa-vulkan-drivers; Fedora: mesa-vulkan-drivers; Arch: vulkan-radeon or vulkan-intel).";
}

function kernelAdvice(gpus: readonly Gpu[]): string {
  return gpus.some(({ vendor }) => vendor === 'nvidia')
    ? "Install NVIDIA's driver, or let the kernel's nouveau take the GPU."
    : 'Install the firmware that the kernel wants for it (Debian: firmware-amd-graphics or firmware-misc-nonfree), and see dmesg.';
}

/** The GPUs that programs can open, or what keeps them from it. */
function reachable({ gpus, denied, open }: GpuFacts): { readonly gpus: readonly Gpu[] } | Outlook {
  if (gpus.length === 0) return unlikely('no GPU', 'there is no GPU');
  const names = gpus.map(({ name }) => name).join(', ');
  const driven = gpus.filter(({ driver }) => driver !== undefined);
  if (driven.length === 0)
    return unlikely('no kernel driver', `no driver of the kernel has taken ${names}`, kernelAdvice(gpus));
  if (open.length === 0 && denied.length > 0)
    return unlikely(
      'no permission',
      `this user may not open ${denied.join(', ')}`,
      'As root: usermod -aG render,video USER; then log in anew.',
    );
  if (open.length === 0)
    return unlikely(
      'no kernel driver',
      `${names}: its driver offers nothing to compute with in /dev`,
      'In a container, hand the devices to it (docker run --device /dev/dri, or --gpus all).',
    );
  return { gpus: driven };
}

/** Whether WebGPU will find a GPU. Which one of several, the runtime chooses: it offers no choice. */
export function webgpuOutlook({ platform, arch, providers, gpus, vulkan }: MachineFacts): Outlook {
  if (!providers.includes('webgpu'))
    return unlikely('not in the runtime', `onnxruntime-node has no WebGPU for ${platform}-${arch}`);
  if (gpus === undefined || vulkan === undefined) return { state: 'likely', on: "the system's GPU" };
  const real = vulkan.drivers.filter(({ kind }) => kind !== 'software');
  const restricted = vulkan.restrictedBy === undefined ? '' : ` (${vulkan.restrictedBy} names the only ones)`;
  const reached = reachable(gpus);
  if ('state' in reached) {
    if (
      reached.state === 'unlikely' &&
      reached.obstacle === 'no GPU' &&
      vulkan.loader &&
      vulkan.drivers.length > real.length
    )
      return unlikely('only software', `there is no GPU, only a driver that computes on the CPU${restricted}`);
    return reached;
  }
  const names = reached.gpus.map(({ name }) => name).join(', ');
  if (!vulkan.loader)
    return unlikely(
      'no Vulkan loader',
      `Vulkan's loader, libvulkan.so.1, is missing: ${names} cannot be used`,
      'Install it (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader; Arch: vulkan-icd-loader).',
    );
  const usable = reached.gpus.filter((gpu) => real.some((driver) => serves(driver, gpu)));
  if (usable.length === 0)
    return unlikely(
      'no Vulkan driver',
      `there is no Vulkan driver for ${names}${restricted}`,
      vulkanAdvice(reached.gpus),
    );
  return { state: 'likely', on: usable.map(({ name }) => name).join(', ') };
}

/** Whether CUDA will find a GPU; its libraries are loaded only when it computes. */
export function cudaOutlook({ platform, arch, providers, gpus }: MachineFacts): Outlook {
  const own = gpus?.gpus.filter(({ vendor, driver }) => vendor === 'nvidia' || driver === 'dxgkrnl') ?? [];
  if (gpus !== undefined && own.length === 0) return unlikely('no GPU', 'there is no NVIDIA GPU');
  if (gpus === undefined || !providers.includes('cuda'))
    return unlikely(
      'not in the runtime',
      "onnxruntime's CUDA provider is not installed",
      installAdvice('cuda', platform, arch),
    );
  const reached = reachable({ ...gpus, gpus: own });
  if ('state' in reached) return reached;
  const proper = reached.gpus.filter(({ driver }) => driver !== 'nouveau');
  return proper.length === 0
    ? unlikely(
        'no kernel driver',
        "CUDA needs NVIDIA's own driver, and nouveau has taken the GPU",
        "Install NVIDIA's driver.",
      )
    : { state: 'likely', on: proper.map(({ name }) => name).join(', ') };
}

/** A provider that could compute on a GPU of this machine, were it not for something that a person can mend. */
export interface Hindrance {
  readonly provider: 'webgpu' | 'cuda';
  readonly message: string;
  readonly advice: string;
}

/** What keeps the GPUs that are there from being used, and what to do about it. */
export function hindrances(facts: MachineFacts): readonly Hindrance[] {
  if ((facts.gpus?.gpus.length ?? 0) === 0) return [];
  const outlooks = [
    ['webgpu', webgpuOutlook(facts)],
    ['cuda', cudaOutlook(facts)],
  ] as const;
  return outlooks.flatMap(([provider, outlook]) =>
    outlook.state === 'likely' || outlook.advice === undefined
      ? []
      : [{ provider, message: outlook.message, advice: outlook.advice }],
  );
}

/** A provider that `auto` may take, in the order in which it tries them. */
export interface Candidate {
  readonly provider: 'cuda' | 'webgpu';
  readonly on: string;
}

/**
 * What `auto` tries before the CPU. TensorRT is not among them, for it takes minutes to compile a graph; nor DirectML and CoreML, which reach
 * the same GPUs as WebGPU and leave more of a training graph to the CPU.
 */
export function candidates(facts: MachineFacts): readonly Candidate[] {
  const outlooks = [
    ['cuda', cudaOutlook(facts)],
    ['webgpu', webgpuOutlook(facts)],
  ] as const;
  return outlooks.flatMap(([provider, outlook]) => (outlook.state === 'likely' ? [{ provider, on: outlook.on }] : []));
}

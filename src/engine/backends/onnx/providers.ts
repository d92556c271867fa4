import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { runtimeRequire } from './runtime-location.ts';

/** Execution providers of onnxruntime-node, told from its files: the library itself stays unloaded. */

/** What is built into the runtime's own library, by platform. */
const builtIn: Readonly<Record<string, readonly string[]>> = {
  'linux-x64': ['cpu', 'webgpu'],
  'linux-arm64': ['cpu'],
  'win32-x64': ['cpu', 'dml', 'webgpu'],
  'win32-arm64': ['cpu', 'dml', 'webgpu'],
  'darwin-arm64': ['cpu', 'webgpu', 'coreml'],
};

/** The folder of the runtime's libraries for this platform. */
export function runtimeFolder(): string {
  const entry = runtimeRequire().resolve('onnxruntime-node');
  return path.join(path.dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch);
}

/** Providers that were installed beside the runtime, as libraries of their own: `cuda`, `tensorrt`. */
export function addedProviders(): readonly string[] {
  let files: readonly string[];
  try {
    files = readdirSync(runtimeFolder());
  } catch {
    return [];
  }
  const names = files.flatMap((file) => /onnxruntime_providers_(\w+)\./.exec(file)?.[1] ?? []);
  return names.filter((name) => name !== 'shared');
}

/** All that can be asked for on this platform; whether a device is there for one is another question. */
export function installedProviders(): readonly string[] {
  return [...(builtIn[`${process.platform}-${process.arch}`] ?? ['cpu']), ...addedProviders()];
}

const cudaInstall = 'peft-lab doctor --install cuda';

const cudaNeeds: Readonly<Record<string, string>> = {
  cuda: "CUDA 12's libraries and cuDNN 9",
  tensorrt: "CUDA 12's libraries, cuDNN 9 and TensorRT 10",
};

/** How to get a provider that the runtime has not, or where it is; nothing for a name that means none. */
export function installAdvice(provider: string, platform: string, arch: string): string | undefined {
  const needs = cudaNeeds[provider];
  if (needs !== undefined)
    return platform === 'linux' && arch === 'x64'
      ? `${cudaInstall} brings it, some hundred megabytes; it needs ${needs} on the machine.`
      : 'onnxruntime-node has it for Linux x64 alone; webgpu computes on NVIDIA GPUs too.';
  if (provider === 'dml') return 'DirectML is part of Windows; elsewhere webgpu computes on any GPU.';
  if (provider === 'coreml') return 'CoreML is part of macOS; elsewhere webgpu computes on any GPU.';
  if (provider === 'webgpu') return `onnxruntime-node has no WebGPU for ${platform}-${arch}.`;
  return undefined;
}

/** What CUDA says where its libraries are there, and what to do about it. */
const cudaRefusals: readonly (readonly [RegExp, string])[] = [
  [
    /invalid device ordinal/i,
    'There is no GPU of that device.index: they are counted from 0, among those that CUDA_VISIBLE_DEVICES leaves.',
  ],
  [
    /no CUDA-capable device/i,
    'CUDA sees no GPU: look at CUDA_VISIBLE_DEVICES, and in a container at whether GPUs were handed to it.',
  ],
  [/driver version is insufficient/i, "Update NVIDIA's driver: CUDA 12 wants a newer one."],
];

/** The folders that are to be searched for libraries and are not there, as a sentence. */
function missingFolders(): string {
  const searched = (process.env['LD_LIBRARY_PATH'] ?? '').split(path.delimiter);
  const missing = searched.filter((folder) => folder !== '' && !existsSync(folder));
  return missing.length === 0 ? '' : ` LD_LIBRARY_PATH names folders that are not there: ${missing.join(', ')}.`;
}

/**
 * What to look at when a provider that is there does not start.
 * @param said why it did not, in its own words
 */
export function startAdvice(provider: string, said = ''): string {
  const needs = cudaNeeds[provider];
  if (needs === undefined) return 'See what is missing with: peft-lab doctor. The provider cpu works everywhere.';
  const known = cudaRefusals.find(([pattern]) => pattern.test(said))?.[1];
  if (known !== undefined) return known;
  const folders = /cannot open shared object file/.test(said) ? missingFolders() : '';
  return `It needs ${needs} where programs find libraries: LD_LIBRARY_PATH, or in VS Code peft.libraryFolders, names further folders.${folders} The provider cpu works everywhere.`;
}

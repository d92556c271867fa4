import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

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
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
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

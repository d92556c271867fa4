import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import type { GpuVendor } from './gpus.ts';

/** The Vulkan drivers of a Linux machine: what WebGPU computes with there. */

/** Whom a driver serves: the GPUs of a vendor, no GPU at all (it computes on the CPU), or it can't be told from its name. */
export type DriverKind = GpuVendor | 'software';

export interface VulkanDriver {
  /** The manifest that the loader reads. */
  readonly manifest: string;
  readonly library: string;
  readonly kind: DriverKind;
}

export interface VulkanInstallation {
  /** Whether the loader, `libvulkan.so.1`, is there. */
  readonly loader: boolean;
  readonly drivers: readonly VulkanDriver[];
  /** The environment variable that names the only drivers to use, where one is set. */
  readonly restrictedBy: string | undefined;
}

/** By the library's name, without its folder. */
const kinds: readonly (readonly [RegExp, DriverKind])[] = [
  [/swiftshader|_lvp|lavapipe|llvmpipe/i, 'software'],
  [/nvidia|nouveau/i, 'nvidia'],
  [/radeon|amdvlk/i, 'amd'],
  [/intel|igvk/i, 'intel'],
  [/asahi/i, 'apple'],
];

/** Whom the driver in this library serves. */
export function driverKind(library: string): DriverKind {
  return kinds.find(([pattern]) => pattern.test(basename(library)))?.[1] ?? 'other';
}

/** The library that a driver's manifest names (the format of the Vulkan loader: `{"ICD": {"library_path": …}}`); nothing where it names none. */
export function libraryOfManifest(text: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(text);
    if (typeof manifest !== 'object' || manifest === null || !('ICD' in manifest)) return undefined;
    const { ICD: driver } = manifest;
    if (typeof driver !== 'object' || driver === null || !('library_path' in driver)) return undefined;
    return typeof driver.library_path === 'string' ? driver.library_path : undefined;
  } catch {
    return undefined;
  }
}

function readDriver(manifest: string): readonly VulkanDriver[] {
  try {
    const library = libraryOfManifest(readFileSync(manifest, 'utf8'));
    return library === undefined ? [] : [{ manifest, library, kind: driverKind(library) }];
  } catch {
    return [];
  }
}

function manifestsIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

function listed(text: string | undefined): readonly string[] {
  return (text ?? '').split(delimiter).filter((path) => path !== '');
}

/** Each entry is a manifest or a folder of them. */
function manifestsAt(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => (path.endsWith('.json') ? [path] : manifestsIn(path)));
}

/** Where the loader looks for manifests when no variable says otherwise, in its order. */
function usualFolders(environment: Environment, root: string): readonly string[] {
  const home = environment['HOME'];
  const below = (bases: readonly string[]): readonly string[] => bases.map((base) => join(base, 'vulkan', 'icd.d'));
  const or = (text: string | undefined, usual: readonly string[]): readonly string[] =>
    text === undefined || text === '' ? usual.map((path) => join(root, path)) : listed(text);
  return [
    ...below(home === undefined ? [] : [environment['XDG_CONFIG_HOME'] ?? join(home, '.config')]),
    ...below(or(environment['XDG_CONFIG_DIRS'], ['/etc/xdg'])),
    ...below([join(root, '/etc')]),
    ...below(home === undefined ? [] : [environment['XDG_DATA_HOME'] ?? join(home, '.local', 'share')]),
    ...below(or(environment['XDG_DATA_DIRS'], ['/usr/local/share', '/usr/share'])),
  ];
}

const libraryFolders = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/lib/x86_64-linux-gnu',
  '/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/lib64',
  '/usr/lib',
  '/lib',
  '/usr/local/lib',
  '/run/opengl-driver/lib',
];

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Looks for Vulkan as its loader does: `VK_DRIVER_FILES` (formerly `VK_ICD_FILENAMES`) names the only drivers, `VK_ADD_DRIVER_FILES` further ones.
 * @param root the machine's file system; another one in tests
 */
export function findVulkan(environment: Environment = process.env, root = '/'): VulkanInstallation {
  const restrictedBy = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'].find((name) => (environment[name] ?? '') !== '');
  const manifests =
    restrictedBy !== undefined
      ? manifestsAt(listed(environment[restrictedBy]))
      : [
          ...manifestsAt(listed(environment['VK_ADD_DRIVER_FILES'])),
          ...usualFolders(environment, root).flatMap(manifestsIn),
        ];
  const folders = [...listed(environment['LD_LIBRARY_PATH']), ...libraryFolders.map((path) => join(root, path))];
  return {
    loader: folders.some((folder) => existsSync(join(folder, 'libvulkan.so.1'))),
    drivers: manifests.filter(readable).flatMap(readDriver),
    restrictedBy,
  };
}

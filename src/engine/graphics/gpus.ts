import { accessSync, constants, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The GPUs that a Linux machine's kernel knows, read from its files: no program is started and no driver is loaded. */

export type GpuVendor = 'nvidia' | 'amd' | 'intel' | 'apple' | 'other';

export interface Gpu {
  readonly vendor: GpuVendor;
  readonly name: string;
  /** On the PCI bus, `0000:01:00.0`; nothing where it is not there. */
  readonly address: string | undefined;
  /** The kernel's driver for it; nothing where none has taken it. */
  readonly driver: string | undefined;
  readonly driverVersion?: string;
  readonly memoryBytes?: number;
  readonly usedBytes?: number;
  /** How busy it is, 0 to 1. */
  readonly utilisation?: number;
}

export interface GpuFacts {
  readonly gpus: readonly Gpu[];
  /** Devices in `/dev` by which programs reach a GPU, and that this process may not open. */
  readonly denied: readonly string[];
  /** Those that it may open. */
  readonly open: readonly string[];
}

const vendors: Readonly<Record<string, GpuVendor>> = {
  '0x10de': 'nvidia',
  '0x1002': 'amd',
  '0x8086': 'intel',
  '0x106b': 'apple',
};

/** Makers of display adapters that only show pictures: of servers' consoles (ASPEED, Matrox) and of virtual machines. */
const displaysOnly = new Set([
  '0x1a03',
  '0x102b',
  '0x1234',
  '0x1013',
  '0x1b36',
  '0x15ad',
  '0x80ee',
  '0x1414',
  '0x1d0f',
]);

const vendorNames: Readonly<Record<GpuVendor, string>> = {
  nvidia: 'NVIDIA',
  amd: 'AMD',
  intel: 'Intel',
  apple: 'Apple',
  other: 'unknown',
};

function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function line(...path: readonly string[]): string | undefined {
  return quietly(() => readFileSync(join(...path), 'utf8').trim());
}

function namesIn(...path: readonly string[]): readonly string[] {
  return quietly(() => readdirSync(join(...path)).sort()) ?? [];
}

function number(text: string | undefined): number | undefined {
  const value = text === undefined || text === '' ? NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/**
 * The version in `/proc/driver/nvidia/version`: `NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Wed …`, or with the open
 * modules `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build …`.
 */
export function nvidiaDriverVersion(text: string): string | undefined {
  return /^NVRM version:.*?\s{2}(\d+\.[\d.]+)\s/m.exec(text)?.[1];
}

/** The field `Model:` of `/proc/driver/nvidia/gpus/ADDRESS/information`. */
export function nvidiaModel(text: string): string | undefined {
  return /^Model:\s*(\S.*)$/m.exec(text)?.[1]?.trim();
}

function pciGpus(root: string): readonly Gpu[] {
  const devices = join(root, 'sys', 'bus', 'pci', 'devices');
  const nvidiaVersion = line(root, 'proc', 'driver', 'nvidia', 'version');
  return namesIn(devices).flatMap((address): readonly Gpu[] => {
    const folder = join(devices, address);
    const code = line(folder, 'vendor') ?? '';
    const isDisplay = line(folder, 'class')?.startsWith('0x03') === true;
    // Paravirtual adapters have a driver with 3D or none that computes; what serves them, Vulkan's drivers tell.
    if (!isDisplay || displaysOnly.has(code)) return [];
    const vendor = vendors[code] ?? 'other';
    const link = quietly(() => readlinkSync(join(folder, 'driver')));
    const model = quietly(() =>
      nvidiaModel(readFileSync(join(root, 'proc', 'driver', 'nvidia', 'gpus', address, 'information'), 'utf8')),
    );
    const version = vendor === 'nvidia' && nvidiaVersion !== undefined ? nvidiaDriverVersion(nvidiaVersion) : undefined;
    // The kernel's amdgpu driver tells these; others may follow its names.
    const memoryBytes = number(line(folder, 'mem_info_vram_total'));
    const usedBytes = number(line(folder, 'mem_info_vram_used'));
    const busy = number(line(folder, 'gpu_busy_percent'));
    return [
      {
        vendor,
        name:
          model ?? line(folder, 'product_name') ?? `${vendorNames[vendor]} GPU ${code}:${line(folder, 'device') ?? ''}`,
        address,
        driver: link === undefined ? undefined : basename(link),
        ...(version === undefined ? {} : { driverVersion: version }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
        ...(usedBytes === undefined ? {} : { usedBytes }),
        ...(busy === undefined ? {} : { utilisation: busy / 100 }),
      },
    ];
  });
}

/** GPUs that are no PCI devices: of the machine that runs this Linux (WSL), of a container, of a system on a chip. */
function otherGpus(root: string, found: readonly Gpu[]): readonly Gpu[] {
  const gpu = (vendor: GpuVendor, name: string, driver: string): Gpu => ({ vendor, name, address: undefined, driver });
  if (existsSync(join(root, 'dev', 'dxg'))) return [gpu('other', 'the GPU of Windows (WSL)', 'dxgkrnl')];
  // A container may hide the bus and still be given the devices.
  if (!found.some(({ vendor }) => vendor === 'nvidia') && existsSync(join(root, 'dev', 'nvidiactl')))
    return [gpu('nvidia', 'NVIDIA GPU', 'nvidia')];
  const cards = namesIn(root, 'dev', 'dri').filter((name) => name.startsWith('renderD'));
  if (found.length > 0 || cards.length === 0) return [];
  return cards.map((card) => {
    const link = quietly(() => readlinkSync(join(root, 'sys', 'class', 'drm', card, 'device', 'driver')));
    const driver = link === undefined ? 'unknown' : basename(link);
    return gpu(driver === 'asahi' ? 'apple' : 'other', `GPU of the driver ${driver}`, driver);
  });
}

/**
 * Reads which GPUs there are, which drivers hold them, and whether this process may use them.
 * @param root the machine's file system; another one in tests
 */
export function readGpus(root = '/'): GpuFacts {
  const onBus = pciGpus(root);
  const devices = [
    ...namesIn(root, 'dev', 'dri')
      .filter((name) => name.startsWith('renderD'))
      .map((name) => join(root, 'dev', 'dri', name)),
    ...['nvidiactl', 'dxg'].map((name) => join(root, 'dev', name)).filter((path) => existsSync(path)),
  ];
  const opens = (path: string): boolean =>
    quietly(() => {
      accessSync(path, constants.R_OK | constants.W_OK);
      return true;
    }) === true;
  return {
    gpus: [...onBus, ...otherGpus(root, onBus)],
    denied: devices.filter((path) => !opens(path)),
    open: devices.filter(opens),
  };
}

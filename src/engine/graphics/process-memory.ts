import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a process of a Linux machine holds, read from its files. */

export interface ProcessMemory {
  readonly residentBytes: number;
  /** Of GPUs whose kernel driver tells (amdgpu, i915, xe, nouveau); undefined where none does. */
  readonly gpuBytes: number | undefined;
}

/** The resident size in a process's `status`: `VmRSS:   123456 kB`. */
export function residentBytes(status: string): number | undefined {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/**
 * A client of a GPU by its file descriptor's `fdinfo`, as the kernel's drm-usage-stats defines it: `drm-client-id`, and for each memory
 * region `drm-total-REGION: N KiB`, or with older drivers `drm-memory-REGION`. System memory of the GPU's counts as the process's own.
 */
export function drmClient(text: string): { readonly id: string; readonly bytes: number } | undefined {
  const id = /^drm-client-id:\s*(\S+)/m.exec(text)?.[1];
  if (id === undefined) return undefined;
  const regions = new Map<string, number>();
  for (const [, kind, region, size, unit] of text.matchAll(/^drm-(total|memory)-(\w+):\s*(\d+)(?:\s+(\w+))?$/gm)) {
    if (region === undefined || /^(system|gtt|cpu)/.test(region)) continue;
    const bytes = Number(size) * (unit === undefined ? 1 : (units[unit] ?? 1));
    if (kind === 'total' || !regions.has(region)) regions.set(region, bytes);
  }
  const device = /^drm-pdev:\s*(\S+)/m.exec(text)?.[1] ?? '';
  return { id: `${device} ${id}`, bytes: [...regions.values()].reduce((sum, size) => sum + size, 0) };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** @param root the machine's file system; another one in tests @returns nothing where the process is gone or the system does not tell */
export function readProcessMemory(processId: number, root = '/'): ProcessMemory | undefined {
  const folder = join(root, 'proc', `${processId}`);
  const resident = residentBytes(readIfThere(join(folder, 'status')));
  if (resident === undefined) return undefined;
  // Several descriptors may be of one client, and one may be closed while it is looked at.
  const clients = new Map<string, number>();
  for (const name of namesIn(join(folder, 'fdinfo'))) {
    const client = drmClient(readIfThere(join(folder, 'fdinfo', name)));
    if (client !== undefined) clients.set(client.id, client.bytes);
  }
  const gpuBytes = clients.size === 0 ? undefined : [...clients.values()].reduce((sum, size) => sum + size, 0);
  return { residentBytes: resident, gpuBytes };
}

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A Linux machine's files, in a folder that stands for its root. `links` lead somewhere by name alone, as a device's driver does. */
export function machineFiles(
  files: Readonly<Record<string, string>>,
  links: Readonly<Record<string, string>> = {},
): string {
  const root = mkdtempSync(join(tmpdir(), 'machine-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const place = (path: string): string => {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    return full;
  };
  for (const [path, text] of Object.entries(files)) writeFileSync(place(path), text);
  for (const [path, target] of Object.entries(links)) symlinkSync(target, place(path));
  return root;
}

interface Card {
  readonly vendor: string;
  readonly device: string;
  readonly driver?: string;
  readonly files?: Readonly<Record<string, string>>;
}

/** The files of display adapters on the PCI bus, as the kernel writes them. */
export function cardFiles(cards: Readonly<Record<string, Card>>): {
  readonly files: Readonly<Record<string, string>>;
  readonly links: Readonly<Record<string, string>>;
} {
  const folder = (address: string): string => `sys/bus/pci/devices/${address}`;
  return {
    files: Object.fromEntries(
      Object.entries(cards).flatMap(([address, { vendor, device, files = {} }]) => [
        [`${folder(address)}/class`, '0x030000\n'],
        [`${folder(address)}/vendor`, `${vendor}\n`],
        [`${folder(address)}/device`, `${device}\n`],
        ...Object.entries(files).map(([name, text]) => [`${folder(address)}/${name}`, text] as const),
      ]),
    ),
    links: Object.fromEntries(
      Object.entries(cards).flatMap(([address, { driver }]) =>
        driver === undefined ? [] : [[`${folder(address)}/driver`, `../../../../bus/pci/drivers/${driver}`]],
      ),
    ),
  };
}

/** A Vulkan driver's manifest, as distributions package it. */
export function manifest(library: string): string {
  return JSON.stringify({ ICD: { api_version: '1.3.230', library_path: library }, file_format_version: '1.0.0' });
}

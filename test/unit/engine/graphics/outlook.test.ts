import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nvidiaDriverVersion, nvidiaModel, readGpus } from '../../../../src/engine/graphics/gpus.ts';
import {
  candidates,
  cudaOutlook,
  hindrances,
  webgpuOutlook,
  type MachineFacts,
  type Outlook,
} from '../../../../src/engine/graphics/outlook.ts';
import { driverKind, findVulkan, libraryOfManifest } from '../../../../src/engine/graphics/vulkan.ts';
import { cardFiles, machineFiles, manifest } from '../../../support/machine-files.ts';

const loader = { 'usr/lib/x86_64-linux-gnu/libvulkan.so.1': '' };
const mesa = (name: string): Readonly<Record<string, string>> => ({
  [`usr/share/vulkan/icd.d/${name}_icd.x86_64.json`]: manifest(`/usr/lib/x86_64-linux-gnu/libvulkan_${name}.so`),
});
const lavapipe = mesa('lvp');

function factsOf(root: string, environment: Readonly<Record<string, string>> = {}): MachineFacts {
  return {
    platform: 'linux',
    arch: 'x64',
    providers: ['cpu', 'webgpu', 'cuda'],
    gpus: readGpus(root),
    vulkan: findVulkan(environment, root),
  };
}

function obstacle(outlook: Outlook): string | undefined {
  return outlook.state === 'unlikely' ? outlook.obstacle : undefined;
}

const radeon = { vendor: '0x1002', device: '0x744c', driver: 'amdgpu' };
const geforce = { vendor: '0x10de', device: '0x2684', driver: 'nvidia' };

/** NVIDIA's own files, as its driver 570 writes them. */
const nvidiaFiles = {
  'proc/driver/nvidia/version':
    'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build  (dvs-builder@U16-I3-B03-07-3)  Fri Jan 24 04:00:00 UTC 2025\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n',
  'proc/driver/nvidia/gpus/0000:01:00.0/information':
    'Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 159\nGPU UUID: \t GPU-0a1b2c3d-0000-1111-2222-333344445555\nVideo BIOS: \t 95.02.18.80.c1\nBus Type: \t PCIe\nDMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\nBus Location: \t 0000:01:00.0\nDevice Minor: \t 0\n',
};

// Names of PCI addresses hold colons, which Windows' files cannot.
describe.skipIf(process.platform === 'win32')('what the files of a machine promise of its GPU', () => {
  it('no GPU: nothing, and nothing to install', () => {
    const facts = factsOf(machineFiles({ 'sys/bus/pci/devices/0000:00:02.0/class': '0x018000' }));
    expect(webgpuOutlook(facts)).toEqual({ state: 'unlikely', obstacle: 'no GPU', message: 'there is no GPU' });
    expect(candidates(facts)).toEqual([]);
  });

  it('no GPU and a driver that computes on the CPU: that, and never a candidate', () => {
    const facts = factsOf(machineFiles({ ...loader, ...lavapipe }));
    expect(obstacle(webgpuOutlook(facts))).toBe('only software');
    expect(candidates(facts)).toEqual([]);
    const swift = machineFiles({ ...loader, 'opt/swift.json': manifest('./libvk_swiftshader.so') });
    const asked = webgpuOutlook(factsOf(swift, { VK_DRIVER_FILES: join(swift, 'opt/swift.json') }));
    expect(asked).toMatchObject({ obstacle: 'only software' });
    expect(asked.state === 'unlikely' && asked.message).toContain('VK_DRIVER_FILES');
  });

  it('what keeps a GPU from being used is told with its remedy, and nothing where there is none', () => {
    const own = { 'usr/share/vulkan/icd.d/nvidia_icd.json': manifest('libGLX_nvidia.so.0') };
    const bus = cardFiles({ '0000:01:00.0': geforce });
    const files = { ...bus.files, ...loader, ...nvidiaFiles, 'dev/nvidiactl': '' };
    const without = { ...factsOf(machineFiles(files, bus.links)), arch: 'x64', providers: ['cpu', 'webgpu'] };
    expect(hindrances(without)).toEqual([
      {
        provider: 'webgpu',
        message: 'there is no Vulkan driver for NVIDIA GeForce RTX 4090',
        advice: expect.stringContaining('Vulkan part') as string,
      },
      {
        provider: 'cuda',
        message: "onnxruntime's CUDA provider is not installed",
        advice: expect.stringContaining('doctor --install cuda') as string,
      },
    ]);
    expect(hindrances(factsOf(machineFiles({ ...files, ...own }, bus.links)))).toEqual([]);
    expect(hindrances(factsOf(machineFiles(lavapipe)))).toEqual([]);
  });

  it('a console of a server or a virtual machine is no GPU', () => {
    for (const vendor of ['0x1a03', '0x102b', '0x1234', '0x15ad']) {
      const { files, links } = cardFiles({ '0000:03:00.0': { vendor, device: '0x2000', driver: 'ast' } });
      expect(obstacle(webgpuOutlook(factsOf(machineFiles(files, links))))).toBe('no GPU');
    }
  });

  it('each thing that can be missing is told from the others, with its remedy', () => {
    const advice = (files: Readonly<Record<string, string>>, card = radeon): Outlook => {
      const bus = cardFiles({ '0000:03:00.0': card });
      return webgpuOutlook(factsOf(machineFiles({ ...bus.files, ...files }, bus.links)));
    };
    const { driver: _, ...bare } = radeon;
    const noKernel = cardFiles({ '0000:03:00.0': bare });
    expect(webgpuOutlook(factsOf(machineFiles(noKernel.files)))).toMatchObject({ obstacle: 'no kernel driver' });
    expect(advice({})).toMatchObject({ obstacle: 'no kernel driver' });
    const device = { 'dev/dri/renderD128': '' };
    expect(advice(device)).toMatchObject({ obstacle: 'no Vulkan loader' });
    const none = advice({ ...device, ...loader, ...lavapipe });
    expect(none).toMatchObject({ obstacle: 'no Vulkan driver' });
    expect(none.state === 'unlikely' && none.advice).toContain('mesa-vulkan-drivers');
    const other = advice({ 'dev/nvidiactl': '', ...loader, ...mesa('radeon') }, geforce);
    expect(other).toMatchObject({ obstacle: 'no Vulkan driver' });
    expect(other.state === 'unlikely' && other.advice).toContain('NVIDIA_DRIVER_CAPABILITIES');
    expect(advice({ ...device, ...loader, ...lavapipe, ...mesa('radeon') })).toEqual({
      state: 'likely',
      on: 'AMD GPU 0x1002:0x744c',
    });
  });

  it.skipIf(process.getuid?.() === 0)('a device that this user may not open', () => {
    const bus = cardFiles({ '0000:03:00.0': radeon });
    const root = machineFiles({ ...bus.files, ...loader, ...mesa('radeon'), 'dev/dri/renderD128': '' }, bus.links);
    chmodSync(join(root, 'dev/dri/renderD128'), 0);
    expect(webgpuOutlook(factsOf(root))).toMatchObject({ obstacle: 'no permission' });
  });

  it('the closed NVIDIA driver is served by its own Vulkan driver, nouveau by that of Mesa', () => {
    const own = { 'usr/share/vulkan/icd.d/nvidia_icd.json': manifest('libGLX_nvidia.so.0') };
    const devices = { 'dev/nvidiactl': '', ...loader };
    const bus = cardFiles({ '0000:01:00.0': geforce });
    const closed = factsOf(machineFiles({ ...bus.files, ...devices, ...own, ...nvidiaFiles }, bus.links));
    expect(webgpuOutlook(closed)).toEqual({ state: 'likely', on: 'NVIDIA GeForce RTX 4090' });
    expect(candidates(closed).map(({ provider }) => provider)).toEqual(['cuda', 'webgpu']);
    expect(closed.gpus?.gpus[0]).toMatchObject({ driverVersion: '570.86.10', vendor: 'nvidia' });
    const wrong = factsOf(machineFiles({ ...bus.files, ...devices, ...mesa('nouveau') }, bus.links));
    expect(webgpuOutlook(wrong)).toMatchObject({ obstacle: 'no Vulkan driver' });
    const open = cardFiles({ '0000:01:00.0': { ...geforce, driver: 'nouveau' } });
    const nouveau = factsOf(
      machineFiles({ ...open.files, ...loader, ...mesa('nouveau'), 'dev/dri/renderD128': '' }, open.links),
    );
    expect(webgpuOutlook(nouveau)).toMatchObject({ state: 'likely' });
    expect(cudaOutlook(nouveau)).toMatchObject({ obstacle: 'no kernel driver' });
  });

  it('a container that hides the bus, and Windows beneath Linux', () => {
    const container = factsOf(machineFiles({ 'dev/nvidiactl': '' }));
    expect(cudaOutlook(container)).toEqual({ state: 'likely', on: 'NVIDIA GPU' });
    const wsl = factsOf(machineFiles({ 'dev/dxg': '', ...loader, ...lavapipe }));
    expect(cudaOutlook(wsl)).toMatchObject({ state: 'likely' });
    expect(webgpuOutlook(wsl)).toMatchObject({ obstacle: 'no Vulkan driver' });
  });

  it('a runtime without a provider says so, whatever the GPU', () => {
    const bare: MachineFacts = { platform: 'linux', arch: 'arm64', providers: ['cpu'] };
    expect(webgpuOutlook(bare)).toMatchObject({
      obstacle: 'not in the runtime',
      message: 'onnxruntime-node has no WebGPU for linux-arm64',
    });
    expect(cudaOutlook(bare)).toMatchObject({ obstacle: 'not in the runtime' });
    const mac: MachineFacts = { platform: 'darwin', arch: 'arm64', providers: ['cpu', 'webgpu', 'coreml'] };
    expect(candidates(mac)).toEqual([{ provider: 'webgpu', on: "the system's GPU" }]);
  });

  it('memory and use of an AMD GPU, as its kernel driver tells them', () => {
    const bus = cardFiles({
      '0000:03:00.0': {
        ...radeon,
        files: {
          mem_info_vram_total: '25753026560\n',
          mem_info_vram_used: '1288490188\n',
          gpu_busy_percent: '37\n',
          product_name: 'Radeon RX 7900 XTX\n',
        },
      },
    });
    expect(readGpus(machineFiles(bus.files, bus.links)).gpus).toEqual([
      {
        vendor: 'amd',
        name: 'Radeon RX 7900 XTX',
        address: '0000:03:00.0',
        driver: 'amdgpu',
        memoryBytes: 25_753_026_560,
        usedBytes: 1_288_490_188,
        utilisation: 0.37,
      },
    ]);
  });
});

describe.skipIf(process.platform === 'win32')('files of drivers', () => {
  it('the version of NVIDIA, of the closed modules and the open ones', () => {
    expect(
      nvidiaDriverVersion(
        'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version:  gcc version 11.4.0\n',
      ),
    ).toBe('535.183.01');
    expect(nvidiaDriverVersion(nvidiaFiles['proc/driver/nvidia/version'])).toBe('570.86.10');
    expect(nvidiaDriverVersion('')).toBeUndefined();
    expect(nvidiaModel(nvidiaFiles['proc/driver/nvidia/gpus/0000:01:00.0/information'])).toBe(
      'NVIDIA GeForce RTX 4090',
    );
  });

  it('a manifest names a library, or is passed over', () => {
    expect(libraryOfManifest(manifest('libGLX_nvidia.so.0'))).toBe('libGLX_nvidia.so.0');
    for (const text of ['', '{', '[]', 'null', '{"ICD": 3}', '{"ICD": {"library_path": 3}}'])
      expect(libraryOfManifest(text)).toBeUndefined();
    const kinds = [
      'libvulkan_lvp.so',
      './libvk_swiftshader.so',
      'libGLX_nvidia.so.0',
      'amdvlk64.so',
      'libvulkan_intel_hasvk.so',
      'libvulkan_virtio.so',
    ];
    expect(kinds.map(driverKind)).toEqual(['software', 'software', 'nvidia', 'amd', 'intel', 'other']);
  });

  it('variables of the loader take the place of its folders, or add to them', () => {
    const root = machineFiles({
      ...loader,
      ...lavapipe,
      'opt/a.json': manifest('libvulkan_radeon.so'),
      'opt/b/c.json': manifest('libvulkan_intel.so'),
    });
    const found = (environment: Readonly<Record<string, string>>) =>
      findVulkan(environment, root).drivers.map(({ kind }) => kind);
    expect(found({})).toEqual(['software']);
    expect(found({ VK_DRIVER_FILES: `${root}/opt/a.json:${root}/opt/b` })).toEqual(['amd', 'intel']);
    expect(found({ VK_ICD_FILENAMES: `${root}/opt/none.json` })).toEqual([]);
    expect(found({ VK_ADD_DRIVER_FILES: `${root}/opt/a.json` })).toEqual(['amd', 'software']);
  });
});

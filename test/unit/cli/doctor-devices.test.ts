import { describe, expect, it } from 'vitest';
import { checkGpus, checkNamed, checkTried, checkUnlikely } from '../../../src/cli/doctor-devices.ts';
import type { MachineFacts } from '../../../src/engine/graphics/outlook.ts';

const bare: MachineFacts = { platform: 'linux', arch: 'x64', providers: ['cpu', 'webgpu'] };

describe('what doctor says of GPUs', () => {
  it('none, and no word of drivers for it', () => {
    const facts: MachineFacts = {
      ...bare,
      gpus: { gpus: [], denied: [], open: [] },
      vulkan: { loader: true, drivers: [], restrictedBy: undefined },
    };
    expect(checkGpus(facts, [], [])).toEqual([{ name: 'GPU', level: 'ok', message: 'none', advice: null }]);
  });

  it('an adapter of the system that draws on the CPU is told apart', () => {
    const adapters = [
      { name: 'NVIDIA H200', driverVersion: '32.0.15.7086', software: false },
      { name: 'Microsoft Basic Display Adapter', driverVersion: undefined, software: true },
    ];
    const use = { name: 'NVIDIA H200', driverVersion: '570.86', memoryBytes: 1e9, usedBytes: 5e8, utilisation: 0 };
    expect(checkGpus({ ...bare, platform: 'win32' }, [use], adapters)[0]?.message).toBe(
      'NVIDIA H200 (driver 570.86, 500.0 MB of 1.0 GB used, 0 % busy); Microsoft Basic Display Adapter, no GPU',
    );
  });

  it('names, versions, memory and use, and the drivers of kernel and Vulkan', () => {
    const facts: MachineFacts = {
      ...bare,
      gpus: {
        gpus: [
          { vendor: 'nvidia', name: 'NVIDIA H200', address: '0000:01:00.0', driver: 'nvidia' },
          { vendor: 'amd', name: 'AMD GPU 0x1002:0x744c', address: '0000:03:00.0', driver: undefined },
        ],
        denied: [],
        open: ['/dev/nvidiactl'],
      },
      vulkan: {
        loader: true,
        drivers: [{ manifest: 'a.json', library: '/usr/lib/libvulkan_lvp.so', kind: 'software' }],
        restrictedBy: 'VK_DRIVER_FILES',
      },
    };
    const use = {
      name: 'NVIDIA H200',
      driverVersion: '570.86.10',
      memoryBytes: 150e9,
      usedBytes: 12e9,
      utilisation: 0.934,
    };
    expect(checkGpus(facts, [use], []).map(({ message }) => message)).toEqual([
      'NVIDIA H200 (driver 570.86.10, 12.0 GB of 150.0 GB used, 93 % busy)',
      'NVIDIA H200: kernel driver nvidia; AMD GPU 0x1002:0x744c: no driver of the kernel',
      'loader; drivers: libvulkan_lvp.so (computes on the CPU); VK_DRIVER_FILES names the only ones to use',
    ]);
  });

  it('a provider that works, one that is slower, and one that fails', () => {
    const tried = (rate: number) =>
      checkTried('webgpu', 'a GPU', { kind: 'works', rate, cpuRate: 4e11, secondsPerOperation: 1e-5 });
    expect(tried(2e13)).toMatchObject({ level: 'ok', message: expect.stringContaining('20000 GFLOP/s') as string });
    expect(tried(1e11)).toMatchObject({
      level: 'warning',
      advice: expect.stringContaining('slower than the CPU') as string,
    });
    // What auto would not take either.
    expect(tried(5e11)).toMatchObject({ level: 'warning', advice: expect.stringContaining('hardly faster') as string });
    expect(tried(6e11).level).toBe('ok');
    const works = { kind: 'works', rate: 2e13, cpuRate: 4e11, secondsPerOperation: 1e-5 } as const;
    expect(checkTried('webgpu', 'a GPU', works, { ...works, rate: 5e13 }).message).toContain(
      'in float16 at 50000 GFLOP/s',
    );
    const none = { kind: 'fails', reason: 'it does not compute in float16' } as const;
    expect(checkTried('webgpu', 'a GPU', works, none)).toMatchObject({
      level: 'ok',
      message: expect.stringContaining('20000 GFLOP/s, not in float16') as string,
    });
    expect(checkTried('cuda', 'a GPU', { kind: 'fails', reason: 'libcudnn.so.9 is missing' })).toMatchObject({
      level: 'problem',
      message: 'on a GPU: libcudnn.so.9 is missing',
      advice: expect.stringContaining('cuDNN 9 where programs find libraries') as string,
    });
    const said = (reason: string) => checkTried('cuda', 'a GPU', { kind: 'fails', reason }).advice;
    expect(said('CUDA failure 101: invalid device ordinal ; GPU=3')).toContain('counted from 0');
    expect(said('CUDA failure 100: no CUDA-capable device is detected')).toContain('CUDA_VISIBLE_DEVICES');
    const old = 'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version';
    expect(said(old)).toContain("Update NVIDIA's driver");
    expect(checkTried('webgpu', 'a GPU', none).advice).toContain('Update the driver of a GPU');
  });

  it('a provider that runs take by name alone is no trouble, whatever comes of it', () => {
    const works = { kind: 'works', rate: 2e12, cpuRate: 4e11, secondsPerOperation: 1e-5 } as const;
    expect(checkNamed('dml', works)).toMatchObject({
      level: 'ok',
      message:
        'computes right; matrix products at 2000 GFLOP/s, on the CPU 400 GFLOP/s; runs take it by its name alone',
    });
    expect(checkNamed('coreml', { kind: 'fails', reason: 'its numbers are wrong' })).toEqual({
      name: 'coreml',
      level: 'ok',
      message: 'not to be used: its numbers are wrong',
      advice: expect.stringContaining('webgpu computes on the same GPUs') as string,
    });
  });

  it('only what can be mended is a warning', () => {
    const level = (obstacle: 'no GPU' | 'no Vulkan driver' | 'not in the runtime', advice?: string) =>
      checkUnlikely('webgpu', {
        state: 'unlikely',
        obstacle,
        message: 'm',
        ...(advice === undefined ? {} : { advice }),
      });
    expect(level('no GPU')).toMatchObject({ level: 'ok', advice: null });
    expect(level('not in the runtime', 'install it')).toMatchObject({ level: 'ok', advice: 'install it' });
    expect(level('no Vulkan driver', 'install it')).toMatchObject({ level: 'warning', advice: 'install it' });
  });
});

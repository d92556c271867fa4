import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseSystemProfiler, parseVideoControllers } from '../../../../src/engine/graphics/display-adapters.ts';
import { joinReadings } from '../../../../src/engine/graphics/gpu-use.ts';
import { parseGpus, parseProcesses, readNvidia } from '../../../../src/engine/graphics/nvidia-smi.ts';
import { drmClient, readProcessMemory, residentBytes } from '../../../../src/engine/graphics/process-memory.ts';
import { machineFiles } from '../../../support/machine-files.ts';
import { until } from '../../../support/until.ts';

const MiB = 2 ** 20;

/** What the tool prints for two large GPUs, of which one is busy; for one that shares the machine's memory; and in a container. */
const twoGpus =
  '0, GPU-5a1cbb3f-7d24-9d0f-3d6e-0d4d8a1f7c11, NVIDIA H200, 570.86.10, 143771, 12034, 93\n' +
  '1, GPU-8f10c7aa-11d1-4a0e-9a54-6f2a5e8b9c22, NVIDIA H200, 570.86.10, 143771, 4, 0\n';
const shared = '0, GPU-1b2c3d4e-0000-0000-0000-000000000000, NVIDIA GB10, 580.95.05, [N/A], [N/A], 3\n';
const processes =
  '41233, GPU-5a1cbb3f-7d24-9d0f-3d6e-0d4d8a1f7c11, 11896\n' +
  '41233, GPU-8f10c7aa-11d1-4a0e-9a54-6f2a5e8b9c22, 512\n' +
  '52001, GPU-5a1cbb3f-7d24-9d0f-3d6e-0d4d8a1f7c11, [Insufficient Permissions]\n';

describe("NVIDIA's tool", () => {
  it('tells memory in MiB and use in percent', () => {
    expect(parseGpus(twoGpus)).toMatchObject([
      {
        index: 0,
        name: 'NVIDIA H200',
        driverVersion: '570.86.10',
        memoryBytes: 143_771 * MiB,
        usedBytes: 12_034 * MiB,
        utilisation: 0.93,
      },
      { index: 1, usedBytes: 4 * MiB, utilisation: 0 },
    ]);
  });

  it('does not always tell', () => {
    expect(parseGpus(shared)).toEqual([
      {
        index: 0,
        uuid: 'GPU-1b2c3d4e-0000-0000-0000-000000000000',
        name: 'NVIDIA GB10',
        driverVersion: '580.95.05',
        memoryBytes: undefined,
        usedBytes: undefined,
        utilisation: 0.03,
      },
    ]);
    const failed = [
      '',
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n",
      'No devices were found\n',
    ];
    for (const text of failed) expect([parseGpus(text), parseProcesses(text)]).toEqual([[], []]);
    expect(parseProcesses(processes).map(({ processId, usedBytes }) => [processId, usedBytes])).toEqual([
      [41_233, 11_896 * MiB],
      [41_233, 512 * MiB],
      [52_001, undefined],
    ]);
  });

  it("joins the kernel's own readings: each GPU once, each process over all its GPUs", () => {
    const gpu = { name: 'x', address: '0000:01:00.0', driver: 'd' } as const;
    const kernel = [
      { ...gpu, vendor: 'nvidia' } as const,
      { ...gpu, vendor: 'amd', name: 'Radeon', memoryBytes: 8e9 } as const,
    ];
    const nvidia = { gpus: parseGpus(twoGpus), processes: parseProcesses(processes) };
    const { gpus, processes: held } = joinReadings(kernel, nvidia);
    expect(gpus.map(({ name }) => name)).toEqual(['NVIDIA H200', 'NVIDIA H200', 'Radeon']);
    expect([...held]).toEqual([[41_233, (11_896 + 512) * MiB]]);
    const lent = { ...gpu, vendor: 'other', name: 'the GPU of Windows (WSL)', driver: 'dxgkrnl' } as const;
    expect(joinReadings([lent], nvidia).gpus.map(({ name }) => name)).toEqual(['NVIDIA H200', 'NVIDIA H200']);
    expect(joinReadings([lent], undefined).gpus).toHaveLength(1);
    expect(joinReadings(kernel, undefined).gpus.map(({ name }) => name)).toEqual(['x', 'Radeon']);
    // Windows names those again that NVIDIA's tool has told of, and what is none.
    const adapters = [
      { name: 'NVIDIA H200', driverVersion: '32.0.15.7086', software: false },
      { name: 'Intel(R) UHD Graphics 770', driverVersion: '31.0.101.4502', software: false },
      { name: 'Microsoft Basic Display Adapter', driverVersion: undefined, software: true },
    ];
    expect(
      joinReadings([], nvidia, adapters).gpus.map(({ name, driverVersion }) => `${name} ${driverVersion}`),
    ).toEqual(['NVIDIA H200 570.86.10', 'NVIDIA H200 570.86.10', 'Intel(R) UHD Graphics 770 31.0.101.4502']);
    expect(joinReadings([], undefined, adapters).gpus).toHaveLength(2);
  });

  const program = (script: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'smi-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, 'nvidia-smi'), 0o755);
    return join(folder, 'nvidia-smi');
  };

  it.skipIf(process.platform === 'win32')(
    'is asked with fields by name, and is nothing where it is absent or fails',
    async () => {
      const answering = program(
        `case "$1 $2" in\n` +
          `"--query-gpu=index,uuid,name,driver_version,memory.total,memory.used,utilization.gpu --format=csv,noheader,nounits") printf '${twoGpus}' ;;\n` +
          `"--query-compute-apps=pid,gpu_uuid,used_memory --format=csv,noheader,nounits") printf '${processes}' ;;\n` +
          `*) exit 2 ;;\nesac`,
      );
      const reading = await readNvidia(answering);
      expect([reading?.gpus.length, reading?.processes.length]).toEqual([2, 3]);
      expect(await readNvidia('/nowhere/nvidia-smi')).toBeUndefined();
      expect(await readNvidia(program('echo "No devices were found"; exit 6'))).toBeUndefined();
      // As it warns of a damaged GPU beside one that works, with 14.
      const warning = 'WARNING: infoROM is corrupted at gpu 0000:41:00.0';
      const damaged = await readNvidia(program(`printf '${twoGpus}${warning}\\n'; exit 14`));
      expect(damaged?.gpus.map(({ usedBytes }) => usedBytes)).toEqual([12_034 * MiB, 4 * MiB]);
    },
  );

  it.skipIf(process.platform === 'win32')(
    'is given up when it hangs, and asked again only once that one has ended',
    async () => {
      // No signal ends one that hangs in the driver.
      const hanging = program(`echo >> "$0.starts"; while [ ! -e "$0.mended" ]; do sleep 0.05; done`);
      const patience = { milliseconds: 500, killSignal: 'SIGCONT' } as const;
      const starts = (): number => readFileSync(`${hanging}.starts`, 'utf8').length;
      expect(await readNvidia(hanging, patience)).toBeUndefined();
      expect(await readNvidia(hanging, patience)).toBeUndefined();
      expect(starts()).toBe(1);
      writeFileSync(`${hanging}.mended`, '');
      await until('an answer', () => readNvidia(hanging, { milliseconds: 60_000 }));
    },
  );
});

describe('the adapters of Windows and macOS', () => {
  it('one, several, and those that are none', () => {
    expect(parseVideoControllers('{"Name":"AMD Radeon RX 6800 XT","DriverVersion":"31.0.24027.1012"}')).toEqual([
      { name: 'AMD Radeon RX 6800 XT', driverVersion: '31.0.24027.1012', software: false },
    ]);
    const several =
      '[{"Name":"Microsoft Remote Display Adapter","DriverVersion":"10.0.22621.3672"},{"Name":"Intel(R) UHD Graphics 770","DriverVersion":"31.0.101.4502"},{"Name":"Microsoft Basic Display Adapter","DriverVersion":null}]';
    expect(parseVideoControllers(several).map(({ software }) => software)).toEqual([true, false, true]);
    for (const text of ['', 'null', '[]', '3', '[null]', '{"Name":7}']) expect(parseVideoControllers(text)).toEqual([]);
  });

  it("macOS's report", () => {
    const report = `{
  "SPDisplaysDataType" : [
    {
      "_name" : "Apple M2 Pro",
      "spdisplays_mtlgpufamilysupport" : "spdisplays_metal3",
      "spdisplays_ndrvs" : [{ "_name" : "Color LCD", "_spdisplays_pixels" : "3024 x 1964" }],
      "spdisplays_vendor" : "sppci_vendor_Apple",
      "sppci_bus" : "spdisplays_builtin",
      "sppci_cores" : "19",
      "sppci_device_type" : "spdisplays_gpu",
      "sppci_model" : "Apple M2 Pro"
    }
  ]
}`;
    expect(parseSystemProfiler(report)).toEqual([{ name: 'Apple M2 Pro', driverVersion: undefined, software: false }]);
    expect(parseSystemProfiler('')).toEqual([]);
  });
});

describe.skipIf(process.platform === 'win32')('what a process holds', () => {
  const amdgpu =
    'pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1287\ndrm-driver:\tamdgpu\ndrm-client-id:\t172\ndrm-pdev:\t0000:03:00.0\n' +
    'pasid:\t32773\ndrm-total-cpu:\t0\ndrm-total-gtt:\t40192 KiB\ndrm-total-vram:\t1536 MiB\n' +
    'drm-memory-vram:\t1572864 KiB\ndrm-memory-gtt: \t40192 KiB\ndrm-engine-gfx:\t105478392 ns\n';
  const older = 'drm-driver:\tamdgpu\ndrm-client-id:\t9\ndrm-memory-vram:\t2048 KiB\n';
  const i915 =
    'drm-driver:\ti915\ndrm-client-id:\t31\ndrm-pdev:\t0000:00:02.0\ndrm-total-system0:\t65536 KiB\ndrm-total-local0:\t8 MiB\n';

  it("of a GPU by the kernel's own statistics, the machine's memory left out", () => {
    expect(drmClient(amdgpu)).toEqual({ id: '0000:03:00.0 172', bytes: 1536 * MiB });
    expect(drmClient(older)?.bytes).toBe(2 * MiB);
    expect(drmClient(i915)?.bytes).toBe(8 * MiB);
    expect(drmClient('pos:\t0\nflags:\t0100002\n')).toBeUndefined();
  });

  it('in all, each client of a GPU once', () => {
    const status = 'Name:\tnode\nVmPeak:\t 9999999 kB\nVmRSS:\t  123456 kB\nThreads:\t11\n';
    expect(residentBytes(status)).toBe(123_456 * 1024);
    const root = machineFiles({
      'proc/7/status': status,
      'proc/7/fdinfo/0': 'pos:\t0\n',
      'proc/7/fdinfo/20': amdgpu,
      'proc/7/fdinfo/21': amdgpu,
      'proc/7/fdinfo/22': i915,
      'proc/8/status': status,
      'proc/8/fdinfo/0': 'pos:\t0\n',
    });
    expect(readProcessMemory(7, root)).toEqual({ residentBytes: 123_456 * 1024, gpuBytes: 1544 * MiB });
    expect(readProcessMemory(8, root)).toEqual({ residentBytes: 123_456 * 1024, gpuBytes: undefined });
    expect(readProcessMemory(9, root)).toBeUndefined();
  });

  it.skipIf(process.platform !== 'linux')('this process holds something', () => {
    expect(readProcessMemory(process.pid)?.residentBytes).toBeGreaterThan(1e6);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import {
  checkFeeds,
  checkWeight,
  checkedOutputs,
  findWrongNumber,
  knownNumbers,
} from '../../../src/engine/device-check.ts';
import {
  chooseDevice,
  likelyProvider,
  shareOfThreads,
  type Probe,
  type ProbeResult,
} from '../../../src/engine/device.ts';
import type { Gpu } from '../../../src/engine/graphics/gpus.ts';
import type { MachineFacts } from '../../../src/engine/graphics/outlook.ts';
import { machineKey, remembering } from '../../../src/engine/remembered-probe.ts';
import { probeWith, runProbe } from '../../../src/engine/run-probe.ts';
import { interpret } from '../../support/interpreter.ts';

const auto = { provider: 'auto', threads: 2 };
const nvidia = {
  gpus: [{ vendor: 'nvidia', name: 'H200', address: '0000:01:00.0', driver: 'nvidia' }],
  denied: [],
  open: ['/dev/nvidiactl'],
} as const;
const vulkan = {
  loader: true,
  drivers: [{ manifest: 'nvidia_icd.json', library: 'libGLX_nvidia.so.0', kind: 'nvidia' }],
  restrictedBy: undefined,
} as const;
const machine: MachineFacts = {
  platform: 'linux',
  arch: 'x64',
  providers: ['cpu', 'webgpu', 'cuda'],
  gpus: nvidia,
  vulkan,
};
const nothing: MachineFacts = {
  ...machine,
  providers: ['cpu', 'webgpu'],
  gpus: { gpus: [], denied: [], open: [] },
  vulkan: { loader: false, drivers: [], restrictedBy: undefined },
};
const software: MachineFacts = {
  ...nothing,
  vulkan: { ...vulkan, drivers: [{ manifest: 'lvp.json', library: 'libvulkan_lvp.so', kind: 'software' }] },
};

function probing(results: Readonly<Record<string, ProbeResult>>): { readonly probe: Probe; readonly tried: string[] } {
  const tried: string[] = [];
  return {
    tried,
    probe: (provider, _threads, precision) => {
      tried.push(precision === 'float32' ? provider : `${provider} in ${precision}`);
      return Promise.resolve(results[provider] ?? { kind: 'fails', reason: 'unknown' });
    },
  };
}

const fast = { kind: 'works', rate: 2e13, cpuRate: 4e11, secondsPerOperation: 2e-5 } as const;
const slow = { ...fast, rate: 5e11 } as const;

describe('the choice of a device', () => {
  it('takes the first candidate that works and is faster, and says why', async () => {
    const { probe, tried } = probing({ cuda: fast, webgpu: fast });
    const { device, warnings } = await chooseDevice(auto, undefined, machine, probe);
    expect(tried).toEqual(['cuda']);
    expect(device).toEqual({
      provider: 'cuda',
      threads: 2,
      reason:
        'automatic: cuda on H200 computes a graph and its gradients right, matrix products at 20.0 TFLOP/s, against 400 GFLOP/s on the CPU',
    });
    expect(warnings).toEqual([]);
  });

  it('tries a device in the precision that a step is computed in', async () => {
    const { probe, tried } = probing({ cuda: { kind: 'fails', reason: 'no' }, webgpu: fast });
    const work = { flops: 7e11, operations: 1900, precision: 'float16' } as const;
    const { device } = await chooseDevice(auto, work, machine, probe);
    expect(device.provider).toBe('webgpu');
    expect(tried).toEqual(['cuda in float16', 'webgpu in float16']);
  });

  it('falls back to the next with a warning for each that fails', async () => {
    const broken = { kind: 'fails', reason: 'libcudnn.so.9: cannot open shared object file' } as const;
    const next = await chooseDevice(auto, undefined, machine, probing({ cuda: broken, webgpu: fast }).probe);
    expect(next.device.provider).toBe('webgpu');
    expect(next.warnings).toEqual([
      'cuda on H200 cannot be used: libcudnn.so.9: cannot open shared object file; webgpu trains',
    ]);
    const last = await chooseDevice(auto, undefined, machine, probing({ cuda: broken }).probe);
    expect(last.device.provider).toBe('cpu');
    expect(last.device.reason).toContain('cuda on H200 cannot be used');
    expect(last.warnings).toHaveLength(2);
    expect(last.warnings.every((warning) => warning.endsWith('; the CPU trains'))).toBe(true);
  });

  it('divides the threads among the runs that compute at once', () => {
    expect([
      shareOfThreads(8),
      shareOfThreads(8, 3),
      shareOfThreads(2, 4),
      shareOfThreads(64),
      shareOfThreads(64, 2),
    ]).toEqual([8, 2, 1, 16, 16]);
  });

  it('leaves a device that is hardly faster than the CPU, without alarm', async () => {
    const { device, warnings } = await chooseDevice(
      auto,
      undefined,
      machine,
      probing({ cuda: slow, webgpu: slow }).probe,
    );
    expect(device.provider).toBe('cpu');
    expect(device.reason).toContain('webgpu on H200 works, with matrix products at 500 GFLOP/s');
    expect(warnings).toEqual([]);
  });

  it('weighs a step: a large one is worth the operations of a GPU, a small one is not', async () => {
    const { probe } = probing({ cuda: fast });
    const large = await chooseDevice(auto, { flops: 7e11, operations: 1900 }, machine, probe);
    expect(large.device.provider).toBe('cuda');
    expect(large.device.reason).toContain('about 73 ms a step, against 1.8 s');
    const small = await chooseDevice(auto, { flops: 1e9, operations: 600 }, { ...machine, providers: ['cuda'] }, probe);
    expect(small.device.provider).toBe('cpu');
    expect(small.device.reason).toContain('about 12 ms a step, against 2.5 ms');
    expect(small.warnings).toEqual([]);
  });

  it('tries nothing where there is no GPU, nor a driver that computes on the CPU', async () => {
    for (const facts of [nothing, software]) {
      const { probe, tried } = probing({ webgpu: fast });
      const { device, warnings } = await chooseDevice(auto, undefined, facts, probe);
      expect([device.provider, tried, warnings, likelyProvider(facts)]).toEqual(['cpu', [], [], 'cpu']);
      expect(device.reason).toMatch(/^automatic; there is no GPU/);
    }
    expect(likelyProvider(machine)).toBe('cuda');
  });

  it('is the CPU without a try where products are wanted in 8 bits', async () => {
    const none: Probe = () => Promise.reject(new Error('nothing is to be tried'));
    const { device, warnings } = await chooseDevice(auto, { flops: 1, operations: 1, eightBit: true }, machine, none);
    expect(device).toMatchObject({ provider: 'cpu', reason: 'automatic: only the CPU computes in 8 bits' });
    expect(warnings).toEqual([]);
  });

  it('tells of a GPU that lies idle for want of a driver', async () => {
    const facts = { ...machine, providers: ['cpu', 'webgpu'], vulkan: { ...vulkan, drivers: [] } };
    const { device, warnings } = await chooseDevice(auto, undefined, facts, probing({}).probe);
    expect(device.provider).toBe('cpu');
    expect(warnings).toEqual([expect.stringContaining('the GPU is not used: there is no Vulkan driver for H200.')]);
  });

  it('asks nobody where a provider is named, and warns of one that will be slow', async () => {
    const { probe, tried } = probing({});
    const asked = await chooseDevice({ provider: 'webgpu', threads: 1 }, undefined, software, probe);
    expect(asked.device).toEqual({ provider: 'webgpu', threads: 1, reason: 'asked for' });
    expect(asked.warnings).toEqual([expect.stringContaining('slower than the CPU')]);
    expect((await chooseDevice({ provider: 'webgpu', threads: 1 }, undefined, machine, probe)).warnings).toEqual([]);
    expect(tried).toEqual([]);
  });

  it('says beforehand what the machine lacks for a provider that is named', async () => {
    const warningsOf = async (provider: string, facts: MachineFacts) =>
      (await chooseDevice({ provider, threads: 1 }, undefined, facts, probing({}).probe)).warnings;
    const withCuda = { ...nothing, providers: machine.providers };
    expect(await warningsOf('webgpu', nothing)).toEqual(['webgpu will hardly start: there is no GPU']);
    expect(await warningsOf('cuda', withCuda)).toEqual(['cuda will hardly start: there is no NVIDIA GPU']);
    expect(await warningsOf('tensorrt', withCuda)).toEqual(['tensorrt will hardly start: there is no NVIDIA GPU']);
    const driverless = { ...machine, vulkan: { ...vulkan, drivers: [] } };
    expect(await warningsOf('webgpu', driverless)).toEqual([
      expect.stringMatching(/^webgpu will hardly start: there is no Vulkan driver for H200\. Install the Vulkan part/),
    ]);
    for (const provider of ['cuda', 'cpu', 'tfjs']) expect(await warningsOf(provider, driverless)).toEqual([]);
    // That a provider is not in the runtime is an error of its own.
    expect(await warningsOf('webgpu', { ...nothing, providers: ['cpu'] })).toEqual([]);
  });
});

describe('the graph that a device must get right', () => {
  it('has the numbers that float64 gives', () => {
    const feeds = Object.fromEntries(
      Object.entries(checkFeeds).map(([name, { shape, data }]) => [name, { shape, data: Array.from(data, Number) }]),
    );
    const exact = interpret(checkedOutputs(), feeds, { frozen: checkWeight });
    expect(Object.keys(exact)).toEqual(Object.keys(knownNumbers));
    for (const [name, known] of Object.entries(knownNumbers)) {
      const numbers = Array.from(exact[name]?.data ?? []);
      expect(numbers.map((number, i) => Math.abs(number - (known[i] ?? NaN)) < 1e-6)).toEqual(known.map(() => true));
    }
  });

  it('passes on the CPU, and tells the first number that is wrong', async () => {
    const cpu = { provider: 'cpu', threads: 1 };
    expect(await findWrongNumber(onnxBackend, cpu)).toBeUndefined();
    const skewed: typeof onnxBackend = {
      name: 'skewed',
      compile: async (outputs, weights, options) => {
        const right = await onnxBackend.compile(outputs, weights, options);
        return {
          dispose: () => right.dispose(),
          run: async (feeds) => {
            const results = await right.run(feeds);
            const { scale } = results;
            if (scale?.dtype === 'float32') scale.data[2] = (scale.data[2] ?? 0) + 1e-3;
            return results;
          },
        };
      },
    };
    expect(await findWrongNumber(skewed, cpu)).toContain('number 3 of the gradient of scale');
    expect(await findWrongNumber(onnxBackend, { ...cpu, precision: 'float16' })).toBeUndefined();
  });
});

describe('a device that another run has tried', () => {
  const file = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'devices-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, 'cache', 'devices.json');
  };
  const minute = 60_000;

  it('is not tried again within the hour, and the reason says so', async () => {
    const place = file();
    const { probe, tried } = probing({ cuda: fast, webgpu: fast });
    const at = (minutes: number) => remembering(probe, place, 'this machine', () => 1e12 + minutes * minute);
    const first = await chooseDevice(auto, undefined, machine, at(0));
    expect(first.device.reason).not.toContain('another run');
    const second = await chooseDevice(auto, undefined, machine, at(20));
    expect(second.device).toMatchObject({ provider: first.device.provider, threads: 2 });
    expect(second.device.reason).toContain('(tried by another run 20 min ago)');
    expect(tried).toEqual(['cuda']);
    await at(20)('cuda', 3, 'float32');
    await at(21)('webgpu', 2, 'float32');
    expect(tried).toEqual(['cuda', 'cuda', 'webgpu']);
    await at(21)('webgpu', 2, 'float16');
    expect(tried.splice(3)).toEqual(['webgpu in float16']);
    expect(await at(59)('cuda', 2, 'float32')).toEqual({ ...fast, sinceMs: 59 * minute });
    await at(60)('cuda', 2, 'float32');
    // Its clock was set back.
    await at(-1)('cuda', 2, 'float32');
    expect(tried).toHaveLength(5);
  });

  it('is tried again where it failed, the machine is another, or the record is damaged', async () => {
    const place = file();
    const failing = probing({});
    for (let time = 0; time < 2; time++)
      expect(await remembering(failing.probe, place, 'a')('cuda', 1, 'float32')).toEqual({
        kind: 'fails',
        reason: 'unknown',
      });
    expect(failing.tried).toHaveLength(2);
    const { probe, tried } = probing({ cuda: fast });
    for (const key of ['a', 'b', 'b', 'a']) await remembering(probe, place, key)('cuda', 1, 'float32');
    expect(tried).toHaveLength(3);
    for (const damage of [
      '',
      '{',
      '{"machine":"a","devices":{"cuda 1 float32":{"time":1,"result":{"kind":"works"}}}}',
    ]) {
      writeFileSync(place, damage);
      expect(await remembering(probe, place, 'a')('cuda', 1, 'float32')).toEqual(fast);
    }
    expect(tried).toHaveLength(6);
  });

  it('is known by versions, drivers and what shows them to a program', () => {
    const key = machineKey(['1'], machine, { PATH: '/bin' });
    expect(machineKey(['1'], machine, { PATH: '/other' })).toBe(key);
    const others = [
      machineKey(['2'], machine, { PATH: '/bin' }),
      machineKey(['1'], software, { PATH: '/bin' }),
      machineKey(['1'], machine, { PATH: '/bin', CUDA_VISIBLE_DEVICES: '1' }),
    ];
    expect(new Set([key, ...others]).size).toBe(4);
  });

  it('is the same machine however busy its GPU is', () => {
    const radeon: Gpu = { vendor: 'amd', name: 'Radeon', address: '0000:03:00.0', driver: 'amdgpu', memoryBytes: 16e9 };
    const keyWith = (use: Partial<Gpu>): string => {
      const gpus = { gpus: [{ ...radeon, ...use }], denied: [], open: ['/dev/dri/renderD128'] };
      return machineKey(['1'], { ...machine, gpus }, {});
    };
    const idle = keyWith({ usedBytes: 2e8, utilisation: 0 });
    expect(keyWith({ usedBytes: 9e9, utilisation: 0.97 })).toBe(idle);
    expect(keyWith({ driver: 'vfio-pci' })).not.toBe(idle);
  });
});

describe('trying a device in a process of its own', () => {
  const program = (source: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'probe-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'probe.mjs'), source);
    return join(folder, 'probe.mjs');
  };

  it('gives rates for the CPU, and the reason for a provider that is not there', async () => {
    const result = await runProbe('cpu', 1, 'float32');
    expect(result.kind).toBe('works');
    expect(result.kind === 'works' && Math.min(result.rate, result.cpuRate, result.secondsPerOperation) > 0).toBe(true);
    expect(await runProbe('tensorrt', 1, 'float32')).toMatchObject({
      kind: 'fails',
      reason: expect.stringContaining('tensorrt') as string,
    });
  });

  it.skipIf(process.platform === 'win32')('survives a driver that crashes, hangs, or talks nonsense', async () => {
    const crash = probeWith(
      program("console.error('driver: boom'); process.kill(process.pid, 'SIGSEGV'); setInterval(() => 0, 1e6)"),
    );
    expect(await crash('webgpu', 1, 'float32')).toEqual({
      kind: 'fails',
      reason: 'trying it ended with SIGSEGV: driver: boom',
    });
    const hang = probeWith(program('setInterval(() => 0, 1e6)'), 1500);
    expect(await hang('webgpu', 1, 'float32')).toEqual({ kind: 'fails', reason: 'it did not answer within 1.5 s' });
    const nonsense = probeWith(program('console.log(\'{"kind": 7}\')'));
    expect(await nonsense('webgpu', 1, 'float32')).toMatchObject({ kind: 'fails' });
  });
});

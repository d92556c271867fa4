import { messageOf } from '../base/errors.ts';
import type { Precision } from './backends/backend.ts';
import { onnxBackend } from './backends/onnx/onnx-backend.ts';
import { findWrongNumber, measureOperationTime, measureProductRate } from './device-check.ts';
import type { ProbeResult } from './device.ts';

/**
 * The program that tries a device, `node device-probe.ts PROVIDER THREADS [float16|float32]`, in a process of its own: a driver may crash,
 * or never answer. It prints one line of JSON, a ProbeResult.
 */

async function probe(provider: string, threads: number, precision: Precision): Promise<ProbeResult> {
  try {
    const wrong =
      (await findWrongNumber(onnxBackend, { provider, threads })) ??
      (precision === 'float16' ? await findWrongNumber(onnxBackend, { provider, threads, precision }) : undefined);
    if (wrong !== undefined) return { kind: 'fails', reason: `it computes wrongly: ${wrong}` };
    return {
      kind: 'works',
      rate: await measureProductRate(onnxBackend, { provider, threads, precision }),
      cpuRate: await measureProductRate(onnxBackend, { provider: 'cpu', threads }),
      secondsPerOperation: await measureOperationTime(onnxBackend, { provider, threads }),
    };
  } catch (error) {
    return { kind: 'fails', reason: messageOf(error).split('\n')[0] ?? '' };
  }
}

const [, , provider, threads, precision] = process.argv;
if (provider === undefined || threads === undefined) {
  process.stderr.write('usage: device-probe PROVIDER THREADS [float16|float32]\n');
  process.exitCode = 2;
} else {
  const result = await probe(provider, Number(threads), precision === 'float16' ? 'float16' : 'float32');
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

import { messageOf } from '../base/errors.ts';
import { onnxBackend } from './backends/onnx/onnx-backend.ts';
import { findWrongNumber, measureOperationTime, measureProductRate, tellsOverflow } from './device-check.ts';
import type { ProbeResult } from './device.ts';
import type { Precision } from './graph/float-types.ts';

/**
 * The program that tries a device, `node device-probe.ts PROVIDER THREADS [float16|float32]`, in a process of its own: a driver may crash,
 * or never answer. It prints one line of JSON, a ProbeResult.
 */

/** What is wrong with a device in float16 that computes right in float32, or nothing. */
async function findHalfPrecisionFault(provider: string, threads: number): Promise<string | undefined> {
  const options = { provider, threads, precision: 'float16' } as const;
  try {
    const wrong = await findWrongNumber(onnxBackend, options);
    if (wrong !== undefined) return `it computes wrongly in float16: ${wrong}`;
    return (await tellsOverflow(onnxBackend, options))
      ? undefined
      : 'it does not tell when a number leaves the range of float16';
  } catch (error) {
    return firstLine(error);
  }
}

function firstLine(error: unknown): string {
  return messageOf(error).split('\n')[0] ?? '';
}

async function probe(provider: string, threads: number, precision: Precision): Promise<ProbeResult> {
  try {
    const wrong = await findWrongNumber(onnxBackend, { provider, threads });
    if (wrong !== undefined) return { kind: 'fails', reason: `it computes wrongly: ${wrong}` };
    const inHalf = precision === 'float16' ? await findHalfPrecisionFault(provider, threads) : undefined;
    if (inHalf !== undefined)
      return { kind: 'fails', reason: `${inHalf}; with training.precision "float32" it would do` };
    return {
      kind: 'works',
      rate: await measureProductRate(onnxBackend, { provider, threads, precision }),
      cpuRate: await measureProductRate(onnxBackend, { provider: 'cpu', threads }),
      secondsPerOperation: await measureOperationTime(onnxBackend, { provider, threads }),
    };
  } catch (error) {
    return { kind: 'fails', reason: firstLine(error) };
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

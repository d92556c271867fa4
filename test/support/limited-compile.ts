// Usage: prlimit is run on this process, so Linux alone: node limited-compile.ts MEGABYTES...
// Compiles a graph with a frozen matrix of 256 MB, with so much memory left to the process, and prints for each what came of it.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { UserError } from '../../src/base/errors.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { symbol } from '../../src/engine/graph/dims.ts';
import { gemm, input, weight } from '../../src/engine/graph/operations.ts';

const width = 8192;
const product = gemm(input('x', 'float32', [symbol('batch'), width]), weight('w', [width, width]));
const weights = new Map([
  ['w', { kind: 'data', shape: [width, width], data: new Float32Array(width * width) } as const],
]);
const small = input('x', 'float32', [1]);
const options = { provider: 'cpu', threads: 1 };
// What every graph takes is there before the limit is.
await (await onnxBackend.compile({ small }, new Map(), options)).dispose();

const limit = (bytes: string): unknown => execFileSync('prlimit', [`--pid=${process.pid}`, `--as=${bytes}:unlimited`]);
for (const megabytes of process.argv.slice(2).map(Number)) {
  const held = Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  limit(`${held + megabytes * 1e6}`);
  let told = 'compiled';
  try {
    await (await onnxBackend.compile({ product }, weights, options)).dispose();
  } catch (error) {
    told = `${error instanceof UserError ? 'UserError' : 'defect'}: ${String(error)}`;
  }
  limit('unlimited');
  process.stdout.write(`${told.replaceAll('\n', ' ')}\n`);
}

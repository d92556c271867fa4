// Usage: node webgpu-memory.ts
// Computes a batch on WebGPU whose product is larger than any buffer that SwiftShader gives (1 GiB), and prints as JSON what was told and what came
// out. A process of its own, because a driver may crash.
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { joinExamples, runInParts, unlimitedRoom } from '../../src/engine/batch-parts.ts';
import { symbol } from '../../src/engine/graph/dims.ts';
import { input, multiply, slice } from '../../src/engine/graph/operations.ts';

const ROWS = 8;
const COLUMNS = 34e6;

const x = input('x', 'float32', [symbol('batch'), 1]);
const y = input('y', 'float32', [1, symbol('columns')]);
const options = { provider: 'webgpu', threads: 1 };
const executable = await onnxBackend.compile({ first: slice(multiply(x, y), 1, 0, 1) }, new Map(), options);
const columns = { dtype: 'float32', shape: [1, COLUMNS], data: new Float32Array(COLUMNS).fill(2) } as const;
const told: string[] = [];
try {
  const room = unlimitedRoom({ onChange: (message) => told.push(message) });
  const parts = await runInParts([ROWS, COLUMNS], room, (from, to) => {
    const data = Float32Array.from({ length: to - from }, (_, row) => from + row);
    return executable.run({ x: { dtype: 'float32', shape: [to - from, 1], data }, y: columns });
  });
  const sizes = parts.map(({ from, to }) => to - from);
  process.stdout.write(`${JSON.stringify({ told, sizes, first: [...joinExamples(parts, 'first')] })}\n`);
} finally {
  await executable.dispose();
}

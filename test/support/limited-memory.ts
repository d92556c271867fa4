// Usage: prlimit is run on this process, so Linux alone: node limited-memory.ts MEGABYTES
// Computes a step of a large batch, with so much memory left to the process and then whole, and prints how the two agree and what was told.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { unlimitedRoom } from '../../src/engine/batch-parts.ts';
import { frozenWeights, openEncoder, startValues } from '../../src/engine/encoder-checkpoint.ts';
import { buildModel, gradientsOf } from '../../src/engine/model-graph.ts';
import { modelPlanOf } from '../../src/engine/training-setup.ts';
import { computeGradient, trainedFeeds } from '../../src/engine/training-step.ts';
import { findTask } from '../../src/tasks/registry.ts';
import { makeSequences } from './method-model.ts';
import { stepSetup } from './step-setup.ts';
import { makeTinyEncoder } from './tiny-encoder.ts';

const examples = 8192;
const encoder = await makeTinyEncoder();
try {
  const checkpoint = await openEncoder(encoder.folder);
  const setup = stepSetup(checkpoint, 'lora', findTask('sst2'), makeSequences(examples, 1));
  const model = buildModel(modelPlanOf(setup), { dropout: 'off' });
  const feeds = trainedFeeds(model, await startValues(model, checkpoint, 0));
  const outputs = { loss: model.loss, ...gradientsOf(model) };
  const weights = frozenWeights(model, checkpoint, 0);
  const all = Uint32Array.from({ length: examples }, (_, i) => i);
  const messages: string[] = [];
  const room = unlimitedRoom({ onChange: (message) => messages.push(message) });
  const step = async (batch: Uint32Array) => {
    const executable = await onnxBackend.compile(outputs, weights, setup.device);
    try {
      return await computeGradient({ setup, model, executable, feeds, room }, [batch], 1);
    } finally {
      await executable.dispose();
    }
  };
  // What every step takes is there before the limit is.
  await step(all.subarray(0, 8));
  const limit = (bytes: string): unknown =>
    execFileSync('prlimit', [`--pid=${process.pid}`, `--as=${bytes}:unlimited`]);
  const held = Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  limit(`${held + Number(process.argv[2]) * 1e6}`);
  const inParts = await step(all);
  limit('unlimited');
  const { tooMany } = room;
  room.tooMany = Infinity;
  const told = messages.length;
  const whole = await step(all);
  process.stdout.write(
    JSON.stringify({
      messages,
      toldWithoutLimit: messages.length - told,
      tooMany,
      losses: [whole.loss, inParts.loss],
      norms: [whole.norm, inParts.norm],
    }),
  );
} finally {
  await encoder.remove();
}

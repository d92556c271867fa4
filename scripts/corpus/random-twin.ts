// Usage: node scripts/corpus/random-twin.ts MODEL OUTPUT
// Writes an encoder of MODEL's architecture and vocabulary with random weights: what a pretrained one is measured against.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeStartEncoder } from '../../src/engine/pretraining/start-encoder.ts';

const [model, output] = process.argv.slice(2);
if (model === undefined || output === undefined) {
  process.stderr.write('usage: node scripts/corpus/random-twin.ts MODEL OUTPUT\n');
  process.exitCode = 2;
} else {
  const file = join(model, 'config.json');
  const vocabulary = (await readFile(join(model, 'vocab.txt'), 'utf8')).trimEnd().split('\n');
  await writeStartEncoder(output, JSON.parse(await readFile(file, 'utf8')), file, vocabulary, 0);
}

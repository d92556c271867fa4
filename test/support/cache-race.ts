import { createHash } from 'node:crypto';
import { assembleBatch, trainingOrder } from '../../src/engine/data/batches.ts';
import { lengthsOf } from '../../src/engine/data/dataset.ts';
import { prepareTraining, type TrainingRequest } from '../../src/engine/prepare.ts';

/**
 * `cache-race.ts REQUEST CACHE LIMIT ROUNDS`: prepares a training again and again with a cache, and prints for each round what came of it: a
 * digest of an epoch's batches, and what was noted.
 */
const [request = '', folder = '', limit = '', rounds = ''] = process.argv.slice(2);
for (let round = 0; round < Number(rounds); round++) {
  const { setup, notes } = await prepareTraining(JSON.parse(request) as TrainingRequest, {
    data: { folder, limitBytes: Number(limit) },
  });
  const hash = createHash('sha256');
  for (const dataset of [setup.train, ...setup.evaluations.map((evaluation) => evaluation.dataset)]) {
    const order = trainingOrder(lengthsOf(dataset), { batchSize: 8, seed: 1 });
    for (let left = Math.ceil(dataset.count / 8); left > 0; left--) {
      const { inputIds, labels } = assembleBatch(dataset, order.next().value.indices, { padId: 0 });
      hash.update(inputIds).update(labels);
    }
  }
  process.stdout.write(`${JSON.stringify({ digest: hash.digest('hex'), notes })}\n`);
}

import { evaluateTask, predictionsOf } from '../tasks/metrics.ts';
import { outputCount, type Task } from '../tasks/task.ts';
import type { Executable } from './backends/backend.ts';
import { evaluationBatches, scatterRows } from './data/batches.ts';
import type { Dataset } from './data/dataset.ts';
import type { EncoderConfig } from './encoders/config.ts';
import { batchFeeds, type NamedTensors } from './feeds.ts';
import { LOSS_SCALE } from './model-graph.ts';

export interface Evaluation {
  /** Mean loss over the examples. */
  readonly loss: number;
  /** Every metric of the task by name; `score` is the single number. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Head outputs, row-major `[examples, outputs]`, in the order of the data set. */
  readonly outputs: Float32Array;
}

/**
 * Runs a model over a data set and scores it.
 * @param executable gives `logits` and each example's `losses`
 * @param trained the trained tensors, as feeds
 */
export async function evaluate(
  executable: Executable,
  task: Task,
  dataset: Dataset,
  trained: NamedTensors,
  options: {
    readonly batchSize: number;
    readonly config: EncoderConfig;
    readonly maskToken: number | undefined;
    /** How many special tokens of each example the method shifts. */
    readonly specialTokens: number;
  },
): Promise<Evaluation> {
  const { batchSize, config, maskToken, specialTokens } = options;
  const width = outputCount(task);
  const outputs = new Float32Array(dataset.count * width);
  let lossSum = 0;
  for (const batch of evaluationBatches(dataset, batchSize, { padId: config.padTokenId })) {
    const results = await executable.run({
      ...trained,
      ...batchFeeds(batch, config, maskToken, specialTokens),
      [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1) },
    });
    const logits = results['logits'];
    const losses = results['losses'];
    if (logits?.dtype !== 'float32' || losses?.dtype !== 'float32') throw new Error('the graph gives no logits');
    scatterRows(outputs, width, batch.indices, logits.data);
    for (const loss of losses.data) lossSum += loss;
  }
  const metrics = evaluateTask(task, predictionsOf(task, outputs), dataset.labels);
  return { loss: lossSum / dataset.count, metrics, outputs };
}

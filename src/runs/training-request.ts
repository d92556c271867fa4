import { UserError } from '../base/errors.ts';
import type { TrainingRequest } from '../engine/prepare.ts';
import { findTask } from '../tasks/registry.ts';
import { sampleFolder } from '../tasks/sample-data.ts';
import type { TrainingSettings } from '../engine/training-setup.ts';
import type { Configuration } from './configuration-schema.ts';

function settingsOf({ training }: Configuration): TrainingSettings {
  const { epochs, steps, earlyStopping, dropout, ...rest } = { epochs: 3, steps: undefined, ...training };
  return {
    ...rest,
    length: steps === undefined ? { kind: 'epochs', epochs } : { kind: 'steps', steps },
    dropout,
    earlyStopping:
      earlyStopping === undefined
        ? undefined
        : { patience: earlyStopping.patience, metric: earlyStopping.metric ?? 'score' },
  };
}

/** What only masked words need. @throws UserError where another task is given it */
function textOptions({ task, privacy }: Configuration): Pick<TrainingRequest['task'], 'masking' | 'textsOf'> {
  const { masking, textsOf } = task;
  if (findTask(task.id).kind === 'masked-words') {
    if (privacy !== undefined)
      throw new UserError(
        'private training of masked words is not supported',
        'What would be protected is a packed sequence, not a document. Take privacy out, or choose another task.',
      );
    return { textsOf, ...(masking === undefined ? {} : { masking }) };
  }
  const given = masking === undefined ? (textsOf === undefined ? undefined : 'textsOf') : 'masking';
  if (given !== undefined)
    throw new UserError(`task.${given} is only for the task mlm`, `Take it out, or set task.id to "mlm".`);
  return {};
}

/**
 * What the engine is asked to do for a resolved configuration.
 * @throws UserError when the configuration names no data
 */
export function trainingRequest(configuration: Configuration): TrainingRequest {
  const { model, task, method, training, device } = configuration;
  const text = textOptions(configuration);
  const data = task.data ?? sampleFolder(findTask(task.textsOf ?? task.id));
  if (data === undefined) {
    throw new UserError(
      `task.data is missing: where the files of ${task.id} are`,
      findTask(task.id).kind === 'masked-words' && task.textsOf === undefined
        ? 'Set it to a text with one document a line, or to an object with train and dev.'
        : 'Set it to the folder that holds train.tsv and dev.tsv (or .jsonl, .csv, .parquet), or to an object with train and dev.',
    );
  }
  const { id, ...options } = method;
  return {
    model: { id: model.id, revision: model.revision },
    task: {
      id: task.id,
      data,
      maxLength: task.maxLength,
      malformedRows: task.malformedRows,
      ...text,
    },
    method: { id, options },
    settings: settingsOf(configuration),
    examples: training.examples,
    device: { provider: device.provider, threads: device.threads, index: device.index },
  };
}

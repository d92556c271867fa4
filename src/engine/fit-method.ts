import { UserError } from '../base/errors.ts';
import type { EncoderCheckpoint } from './encoder-checkpoint.ts';
import { usablePositions } from './encoders/config.ts';
import { isWordModule } from './encoders/tensor-names.ts';
import { buildModel, type ModelGraph, type UsedTensor } from './model-graph.ts';
import { modelPlanOf, type TrainingSetup } from './training-setup.ts';

/** A method on an encoder for a task, as far as it can be told from their sizes. */
export interface FittedMethod {
  readonly model: ModelGraph;
  /** The greatest number of tokens of an example: what was asked for, or what the encoder has positions for. */
  readonly maxLength: number;
}

/**
 * Puts a method on an encoder, without reading a weight.
 * @param asked the greatest number of tokens of an example
 * @throws UserError where the method's options do not fit the encoder's sizes, its rows leave too few positions, or nothing of use would be trained
 */
export function fitMethod(
  { checkpoint, method, task }: Pick<TrainingSetup, 'checkpoint' | 'method' | 'task'>,
  asked: number,
): FittedMethod {
  const model = buildModel(modelPlanOf({ checkpoint, method, task }), { dropout: 'off' });
  requireTrainable(model, checkpoint, method.id);
  const usable = usablePositions(checkpoint.config);
  const maxLength = Math.min(asked, usable);
  if (maxLength > model.positions) {
    throw new UserError(
      `${method.id} takes ${usable - model.positions} of the model's ${usable} positions, so examples of ${maxLength} tokens do not fit`,
      `Set task.maxLength to ${model.positions} or less.`,
    );
  }
  return { model, maxLength };
}

/** @throws UserError where nothing would be trained, or words predicted by what neither the checkpoint has nor the method trains */
function requireTrainable({ trained, encoder }: ModelGraph, { hasWordHead }: EncoderCheckpoint, method: string): void {
  if (trained.length === 0)
    throw new UserError(
      `${method} trains the head that a task puts on the encoder, and masked words are predicted without one`,
      'Choose a method that changes the encoder, as "full" or "lora".',
    );
  const isFrozen = ({ tensor, value }: UsedTensor): boolean =>
    isWordModule(tensor.module) && value.operation.kind === 'weight';
  if (hasWordHead || !encoder.some(isFrozen)) return;
  throw new UserError(
    `the checkpoint lacks what predicts masked words (saved without it), and ${method} does not train that`,
    'Set method to "full", or choose a checkpoint that was saved with it.',
  );
}

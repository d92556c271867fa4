import { FileError } from '../../base/errors.ts';
import { IGNORED_LABEL } from '../../tasks/losses.ts';
import type { TensorData } from '../backends/backend.ts';
import type { EncoderConfig } from '../encoders/config.ts';
import { encoderFeeds, firstPositions, specialPositions, type NamedTensors } from '../feeds.ts';
import { LOSS_SCALE, type ModelGraph, type Objective } from '../model-graph.ts';
import { sameShape } from '../graph/dims.ts';
import type { CaseInputs, InputTensor } from './golden-files.ts';

/** Batch and sequence sizes. */
type BatchShape = readonly [examples: number, tokens: number];

/** Reads one input as integers in a range. @throws FileError when it is missing, ill-shaped, or out of range */
function integers(
  inputs: CaseInputs,
  name: string,
  shape: readonly number[],
  range: { readonly from: number; readonly below: number; readonly or?: number },
): Int32Array {
  const { data } = take(inputs, name, shape, true);
  const outside = data.find((number) => (number < range.from || number >= range.below) && number !== range.or);
  if (outside !== undefined) {
    throw new FileError(inputs.file, undefined, `${name} holds ${outside}, outside ${range.from}..${range.below - 1}`);
  }
  return Int32Array.from(data);
}

function take(inputs: CaseInputs, name: string, shape: readonly number[], whole: boolean): InputTensor {
  const found = inputs.tensors[name];
  if (found === undefined) throw new FileError(inputs.file, undefined, `has no tensor ${name}`);
  if (!sameShape(found.shape, shape)) {
    throw new FileError(
      inputs.file,
      undefined,
      `${name} has the shape [${found.shape.join(', ')}] where [${shape.join(', ')}] is expected`,
    );
  }
  if (found.integers !== whole) {
    throw new FileError(inputs.file, undefined, `${name} must hold ${whole ? 'integers' : 'real numbers'}`);
  }
  return found;
}

function batchShape(inputs: CaseInputs, positions: number): BatchShape {
  const [examples, tokens, ...more] = inputs.tensors['input_ids']?.shape ?? [];
  if (examples === undefined || tokens === undefined || more.length > 0 || examples * tokens === 0) {
    throw new FileError(inputs.file, undefined, 'input_ids must be there, of shape [examples, tokens]');
  }
  if (tokens > positions) {
    throw new FileError(
      inputs.file,
      undefined,
      `${tokens} tokens are more than the model has positions for: ${positions}`,
    );
  }
  return [examples, tokens];
}

function targets(
  inputs: CaseInputs,
  objective: Objective,
  config: EncoderConfig,
  [examples, tokens]: BatchShape,
): NamedTensors {
  const ints = (name: string, shape: readonly number[], below: number, or?: number): TensorData => ({
    dtype: 'int32',
    shape,
    data: integers(inputs, name, shape, { from: 0, below, ...(or === undefined ? {} : { or }) }),
  });
  switch (objective.kind) {
    case 'classification':
      return { labels: ints('labels', [examples], objective.labels) };
    case 'token-classification':
      return { labels: ints('labels', [examples, tokens], objective.labels, IGNORED_LABEL) };
    case 'masked-words':
      return { labels: ints('labels', [examples, tokens], config.vocabularySize, IGNORED_LABEL) };
    case 'regression': {
      const data = Float32Array.from(take(inputs, 'labels', [examples], false).data);
      return { labels: { dtype: 'float32', shape: [examples], data } };
    }
    case 'span':
      return {
        start_positions: ints('start_positions', [examples], tokens),
        end_positions: ints('end_positions', [examples], tokens),
      };
  }
}

/**
 * What a case's inputs feed a model: the encoder's inputs, the targets, the scale that makes the loss a mean, where the mask token stands if
 * the head reads it, and where the special tokens stand if the method shifts them.
 * @throws FileError when an input is missing, ill-shaped, or out of the model's range
 */
export function caseFeeds(
  inputs: CaseInputs,
  config: EncoderConfig,
  objective: Objective,
  { readsMask, specialTokens, positions }: Pick<ModelGraph, 'readsMask' | 'specialTokens' | 'positions'>,
): NamedTensors {
  const shape = batchShape(inputs, positions);
  const optional = (name: string, below: number, otherwise: number): Int32Array =>
    name in inputs.tensors
      ? integers(inputs, name, shape, { from: 0, below })
      : new Int32Array(shape[0] * shape[1]).fill(otherwise);
  const fields = {
    inputIds: integers(inputs, 'input_ids', shape, { from: 0, below: config.vocabularySize }),
    attentionMask: optional('attention_mask', 2, 1),
    typeIds: optional('token_type_ids', Math.max(1, config.typeVocabularySize), 0),
  };
  const labels = targets(inputs, objective, config, shape);
  return {
    ...encoderFeeds(fields, shape, config),
    ...labels,
    ...(readsMask ? { mask_positions: maskPositions(inputs, fields.inputIds, shape) } : {}),
    ...(specialTokens === 0 ? {} : { special_positions: caseSpecials(inputs, fields, shape, specialTokens) }),
    [LOSS_SCALE]: { dtype: 'float32', shape: [], data: Float32Array.of(1 / scoredCount(objective, labels, shape)) },
  };
}

/** How many examples or labelled tokens have a loss. */
function scoredCount({ kind }: Objective, { labels }: NamedTensors, [examples]: BatchShape): number {
  if (kind !== 'masked-words' && kind !== 'token-classification') return examples;
  return Math.max(1, Array.from(labels?.data ?? [], Number).filter((label) => label !== IGNORED_LABEL).length);
}

/** The tokens that a tokenizer puts around texts, told by their ids: all that a case says of them. */
function caseSpecials(
  { specialTokens }: CaseInputs,
  { inputIds, attentionMask }: { readonly inputIds: Int32Array; readonly attentionMask: Int32Array },
  shape: BatchShape,
  count: number,
): TensorData {
  const around = ['cls', 'sep', 'bos', 'eos'].flatMap((name) => specialTokens[name] ?? []);
  const special = inputIds.map((id, at) => (attentionMask[at] === 1 && around.includes(id) ? 1 : 0));
  return specialPositions(special, shape, count);
}

function maskPositions(inputs: CaseInputs, ids: Int32Array, shape: BatchShape): TensorData {
  const { mask } = inputs.specialTokens;
  if (mask === undefined) throw new FileError(inputs.file, undefined, 'special_token_ids has no mask');
  for (let row = 0; row < shape[0]; row++) {
    if (!ids.subarray(row * shape[1], (row + 1) * shape[1]).includes(mask)) {
      throw new FileError(inputs.file, undefined, `input_ids: row ${row} has no mask token (${mask})`);
    }
  }
  return firstPositions(ids, shape, mask);
}

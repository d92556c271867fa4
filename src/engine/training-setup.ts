import { isPair, type Task } from '../tasks/task.ts';
import type { Backend, GraphCache } from './backends/backend.ts';
import type { Dataset } from './data/dataset.ts';
import type { Device } from './device.ts';
import type { EncoderCheckpoint } from './encoder-checkpoint.ts';
import type { ModelPlan, Objective } from './model-graph.ts';
import type { AdamWOptions } from './optimisers/adamw.ts';
import type { ScheduleKind } from './optimisers/schedule.ts';
import type { Masking } from './pretraining/masking.ts';
import type { PrivateMechanism } from './private-step.ts';
import type { Precision } from './graph/float-types.ts';

export interface TrainingSettings {
  readonly length:
    { readonly kind: 'epochs'; readonly epochs: number } | { readonly kind: 'steps'; readonly steps: number };
  /** Examples of one pass through the graph. */
  readonly batchSize: number;
  /** Passes whose gradients make one optimiser step. */
  readonly accumulation: number;
  readonly learningRate: number;
  readonly schedule: ScheduleKind;
  /** A fraction of all steps below 1, or a number of steps. */
  readonly warmup: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number | null;
  readonly adam: AdamWOptions;
  /** Replaces the model's own rates, also where the method would turn them off. */
  readonly dropout: number | undefined;
  /** Keep what enters each layer alone for the backward half, and compute the layer's inside again: less memory for more time. */
  readonly recompute?: boolean;
  /** What products over all tokens are computed in, and their results held as; float32 when absent. */
  readonly precision?: Precision;
  /** What the encoder's frozen matrices are multiplied as; float32 when absent. */
  readonly frozenPrecision?: 'float32' | 'int8';
  readonly seed: number;
  readonly evaluateEvery: 'epoch' | number;
  readonly checkpointEvery: 'epoch' | number;
  readonly earlyStopping: { readonly patience: number; readonly metric: string } | undefined;
}

/** Everything a training works on, loaded and tokenised. */
export interface TrainingSetup {
  readonly checkpoint: EncoderCheckpoint;
  readonly method: ModelPlan['method'];
  readonly task: Task;
  readonly train: Dataset;
  /** Evaluated in order; where there are two (MNLI), the mean of their scores counts. */
  readonly evaluations: readonly { readonly split: string; readonly dataset: Dataset }[];
  readonly settings: TrainingSettings;
  readonly backend: Backend;
  readonly device: Device;
  /** What computes in the device's place where that was chosen automatically and does not take the model after all. */
  readonly fallback?: { readonly backend: Backend; readonly device: Device };
  /** Where compiled graphs are kept for other trainings; none where nothing is to be kept. */
  readonly graphs?: GraphCache;
  /** The mask token, where the head reads it. */
  readonly maskToken: number | undefined;
  /** How tokens are masked, where masked words are learnt. */
  readonly masking?: Masking;
  /** Makes the training differentially private; its sampling replaces batches, accumulation and the clipping of the whole gradient. */
  readonly privacy?: PrivateMechanism;
}

/** What is to be said of half precision on a provider; nothing where there is nothing. */
export function halfPrecisionWarning(
  { precision }: Pick<TrainingSettings, 'precision'>,
  provider: string,
): string | undefined {
  if (precision !== 'float16' || provider !== 'cpu') return undefined;
  return 'training.precision is "float16", which the CPU does not compute in: it rounds some numbers to it and is slower than with "float32"';
}

/** What a task asks of the head. */
export function objectiveOf(task: Task): Objective {
  switch (task.kind) {
    case 'classification':
      return { kind: 'classification', labels: task.labels.length };
    case 'regression':
      return { kind: 'regression' };
    case 'words':
      return { kind: 'token-classification', labels: task.labels.length };
    case 'masked-words':
      return { kind: 'masked-words', positions: 'given' };
  }
}

/** The model that a setup trains. */
export function modelPlanOf({
  checkpoint,
  method,
  task,
}: Pick<TrainingSetup, 'checkpoint' | 'method' | 'task'>): ModelPlan {
  const { config: encoder, hasPooler } = checkpoint;
  return {
    encoder,
    hasPooler,
    hasWordHead: checkpoint.hasWordHead,
    method,
    objective: objectiveOf(task),
    texts: isPair(task) ? 'pair' : 'single',
  };
}

import type { ParameterCounts } from './model-graph.ts';

/** What a training tells as it goes; the run's journal stamps and keeps it (runs/events.ts has the same shapes as schemas). */
export type TrainingEvent =
  | {
      readonly type: 'started';
      readonly fromStep: number;
      readonly totalSteps: number;
      readonly stepsPerEpoch: number;
      readonly trainExamples: number;
      readonly parameters: ParameterCounts & { readonly frozen: number };
      readonly device: { readonly provider: string; readonly threads: number; readonly reason: string };
    }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly epoch: number;
      /** NaN in a private training: what it knows of the loss is not covered by epsilon. */
      readonly loss: number;
      readonly learningRate: number;
      /** Before clipping; in a private training the norm of the noisy gradient. */
      readonly gradientNorm: number;
      readonly examplesPerSecond: number;
      readonly tokensPerSecond: number;
      readonly remainingMs?: number;
      /** The privacy loss of all steps so far, at the end of each epoch of a private training. */
      readonly epsilon?: number;
      /** The norm to which each example was clipped, in a private training that adapts it. */
      readonly clippingNorm?: number;
    }
  | {
      readonly type: 'evaluation';
      readonly step: number;
      readonly epoch: number;
      readonly split: string;
      readonly examples: number;
      readonly loss: number;
      readonly metrics: Readonly<Record<string, number>>;
      readonly seconds: number;
      readonly best: boolean;
    }
  | { readonly type: 'checkpoint'; readonly step: number; readonly kind: 'last' | 'best'; readonly path: string }
  | {
      readonly type: 'resources';
      readonly step: number;
      readonly residentBytes: number;
      readonly peakResidentBytes: number;
    }
  | { readonly type: 'log'; readonly level: 'info' | 'warning' | 'error'; readonly message: string };

import type { Executable, WeightSource } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { frozenWeights, startValues, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import type { NamedTensors } from '../../src/engine/feeds.ts';
import { foldedWeights, foldingOf, foldModel } from '../../src/engine/fold.ts';
import { buildModel, type ModelGraph, type ModelPlan } from '../../src/engine/model-graph.ts';
import { trainedFeeds } from '../../src/engine/training-step.ts';
import { cpuSecondsSince } from './answer.ts';
import { median } from './comparison.ts';
import { modelPlanOf, SEED, type StepPlan } from './step-plan.ts';

/** A model as its steps left it, and a batch. */
export interface Stepped {
  readonly plan: StepPlan;
  readonly checkpoint: EncoderCheckpoint;
  readonly model: ModelGraph;
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly feeds: NamedTensors;
}

/** Seconds of a pass that gives the logits of the batch. */
export interface InferenceTimes {
  /** The encoder and its head without a method. */
  readonly plain: number;
  /** With the method as it was trained. */
  readonly trained: number;
  readonly folded?: number;
  /** The greatest difference that folding made to a logit. */
  readonly foldingError?: number;
  /** Processor time of the folded pass, or of the trained one where nothing folds, over the plain one's. */
  readonly cpuToPlain: number;
  /** Why there is nothing to fold. */
  readonly stays?: string;
}

interface Runner {
  readonly executable: Executable;
  readonly feeds: NamedTensors;
  readonly seconds: number[];
  readonly cpuSeconds: number[];
  logits: Float32Array;
}

/** Times a pass of the plain encoder, of the trained model and of the folded one, alternating pass by pass. */
export async function measureInference(stepped: Stepped, rounds: number): Promise<InferenceTimes> {
  const { plan, checkpoint, values, feeds } = stepped;
  const own = modelPlanOf(plan, checkpoint);
  const plainPlan: ModelPlan = { ...own, method: { id: 'head', options: { head: stepped.model.method.head } } };
  const runner = async (
    model: ModelGraph,
    weights: WeightSource,
    trained: ReadonlyMap<string, Float32Array>,
  ): Promise<Runner> => {
    const { logits } = model.outputs;
    if (logits === undefined) throw new Error('the model has no logits');
    const executable = await onnxBackend.compile({ logits }, weights, { provider: 'cpu', threads: plan.threads });
    const fed = { ...feeds, ...trainedFeeds(model, trained) };
    return { executable, feeds: fed, seconds: [], cpuSeconds: [], logits: new Float32Array() };
  };
  const frozen = (model: ModelGraph): WeightSource => frozenWeights(model, checkpoint, SEED);
  const [plain, model] = [buildModel(plainPlan, { dropout: 'off' }), buildModel(own, { dropout: 'off' })];
  const runners = [
    await runner(plain, frozen(plain), await startValues(plain, checkpoint, SEED)),
    await runner(model, frozen(model), values),
  ];
  const folding = foldingOf(own);
  if (folding.kind === 'folds') {
    const folded = await foldModel(
      { plan: own, checkpoint, values, seed: SEED },
      { backend: onnxBackend, device: { provider: 'cpu', threads: plan.threads } },
    );
    const graph = buildModel(folded.plan, { dropout: 'off' });
    runners.push(await runner(graph, foldedWeights(graph, folded, checkpoint, SEED), folded.values));
  }
  for (let round = -1; round < rounds; round++) {
    for (const each of runners) {
      const [start, used] = [performance.now(), process.cpuUsage()];
      const { logits } = await each.executable.run(each.feeds);
      // The first round only warms up.
      if (round >= 0) {
        each.seconds.push((performance.now() - start) / 1000);
        each.cpuSeconds.push(cpuSecondsSince(used));
      }
      if (logits?.dtype !== 'float32') throw new Error('the graph gives no logits');
      each.logits = logits.data;
    }
  }
  for (const { executable } of runners) await executable.dispose();
  const [plainTimes, trained, folded] = runners;
  if (plainTimes === undefined || trained === undefined) throw new Error('nothing was measured');
  return {
    plain: median(plainTimes.seconds),
    trained: median(trained.seconds),
    cpuToPlain: median((folded ?? trained).cpuSeconds) / median(plainTimes.cpuSeconds),
    ...(folded === undefined
      ? { stays: folding.kind === 'stays' ? folding.reason : '' }
      : {
          folded: median(folded.seconds),
          foldingError: Math.max(
            ...folded.logits.map((logit, index) => Math.abs(logit - (trained.logits[index] ?? NaN))),
          ),
        }),
  };
}

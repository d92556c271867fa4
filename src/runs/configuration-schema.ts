import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { isRecord } from '../base/is-record.ts';
import { usualAdaptation } from '../privacy/adaptive-clipping.ts';
import { leastDelta } from '../privacy/mechanism.ts';
import { longestTag, tagPattern } from './annotations.ts';
import type { Catalogue } from './catalogue.ts';

/**
 * The schema of `*.peft.json`. What it reads is the configuration as a person writes it, short forms and gaps included; what it
 * returns is the configuration that a run starts from, every default filled in. Reading the result again changes nothing.
 */

/** What computes: `auto` picks the best that works and says why; `tfjs` is whichever TensorFlow.js the user has installed. */
export const providers = ['auto', 'cpu', 'webgpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'tfjs'] as const;

/** Those that take one of several GPUs by its number. */
export const indexedProviders: readonly string[] = ['cuda', 'tensorrt', 'dml'];

const text = (longest: number) => z.string().trim().min(1).max(longest);
const path = text(4096);
const tag = text(longestTag).regex(tagPattern, 'a text on one line without commas');
const positive = z.int().positive();
const fraction = z.number().min(0).lt(1);

const modelOptions = z.strictObject({
  id: path.describe(
    'A folder that holds config.json and model.safetensors, relative to the configuration file, or the id of a model on the Hugging Face hub.',
  ),
  revision: text(200).exactOptional().describe('A branch, tag or commit of the model on the hub.'),
  dtype: z
    .enum(['float32'])
    .exactOptional()
    .describe('The arithmetic. Weights stored in 16 bits are widened as they are read.'),
});

const model = z
  .union([path.transform((id) => modelOptions.parse({ id })), modelOptions])
  .describe('The pretrained encoder: a folder or hub id, or an object with options.');

const dataFiles = z.strictObject({
  train: path.describe('Training examples.'),
  dev: path.describe('Examples for evaluation (MNLI: the matched ones).'),
  devMismatched: path.exactOptional().describe('The mismatched evaluation examples of MNLI.'),
  test: path.exactOptional().describe('Test examples.'),
  testMismatched: path.exactOptional().describe('The mismatched test examples of MNLI.'),
});

function taskSchema(catalogue: Catalogue) {
  const id = text(200)
    .transform((name, context) => {
      try {
        return catalogue.tasks.find(name);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        context.issues.push({ code: 'invalid_value', values: [...catalogue.tasks.ids()], input: name });
        return z.NEVER;
      }
    })
    .meta({ enum: [...catalogue.tasks.ids()] });
  const options = z.strictObject({
    id: id.describe('The task.'),
    data: z
      .union([path, dataFiles])
      .exactOptional()
      .describe(
        'The folder of the data, or one file per split; relative to the configuration file. For masked words: text with one document a line.',
      ),
    maxLength: z
      .int()
      .min(4)
      .max(8192)
      .default(128)
      .describe('The greatest number of tokens of an example; longer ones are cut.'),
    malformedRows: z
      .enum(['error', 'skip'])
      .default('error')
      .describe('What a malformed row of the data does: end the run with an error, or be left out with a warning.'),
    masking: z
      .strictObject({
        rate: z.number().positive().lt(1).default(0.15).describe('The share of the tokens that is chosen.'),
        wholeWords: z.boolean().default(false).describe('Choose whole words rather than tokens.'),
      })
      .exactOptional()
      .describe('For masked words (mlm): which tokens are to be predicted.'),
    textsOf: id
      .exactOptional()
      .describe('For masked words (mlm): the task whose data this is, to learn from its texts without their labels.'),
  });
  return z
    .union([id.transform((id) => options.parse({ id })), options])
    .describe('What is learnt: the name of a task, or an object with options.');
}

/** The options as an object that refuses unknown keys, whether or not the method's own schema does. */
function strictOptions(options: z.ZodType): z.ZodType {
  return options instanceof z.ZodObject ? options.strict() : options;
}

export type MethodSettings = { readonly id: string } & Readonly<Record<string, unknown>>;

function methodSchema(catalogue: Catalogue) {
  const id = z.enum([...catalogue.methods.ids()]);
  return z
    .union([id, z.looseObject({ id })])
    .transform((given, context): MethodSettings => {
      const { id, ...options } = typeof given === 'string' ? { id: given } : given;
      const parsed = strictOptions(catalogue.methods.options(id)).safeParse(options);
      if (parsed.success) return { id, ...(parsed.data as Readonly<Record<string, unknown>>) };
      for (const issue of parsed.error.issues) context.issues.push({ ...issue, input: options } as z.core.$ZodRawIssue);
      return z.NEVER;
    })
    .describe('The fine-tuning method: its name, or an object with its name and options.');
}

const adam = z.strictObject({
  beta1: fraction.default(0.9).describe('Decay of the mean of the gradient.'),
  beta2: fraction.default(0.999).describe('Decay of the mean of its square.'),
  epsilon: z.number().positive().default(1e-8).describe('Added to the root of the second moment.'),
});

/** How a method is trained that does not say how. */
export const usualTraining = { learningRate: 5e-4, warmup: 0.06, weightDecay: 0.01 } as const;

const training = z
  .strictObject({
    epochs: z
      .number()
      .positive()
      .exactOptional()
      .describe('Passes over the training examples; 3 when neither this nor steps is given.'),
    steps: positive.exactOptional().describe('Optimiser steps, in place of epochs.'),
    batchSize: positive.default(32).describe('Examples in a batch.'),
    accumulation: positive.default(1).describe('Batches whose gradients are summed into one optimiser step.'),
    learningRate: z
      .number()
      .positive()
      .exactOptional()
      .describe(
        "The highest learning rate, reached after the warm-up; the method's own when absent, as its options' section says.",
      ),
    schedule: z
      .enum(['linear', 'constant', 'cosine'])
      .default('linear')
      .describe('How the learning rate goes on after the warm-up.'),
    warmup: z
      .number()
      .min(0)
      .exactOptional()
      .describe(
        `The warm-up: a fraction of all steps when below 1, else a number of steps; the method's own when absent, else ${usualTraining.warmup}.`,
      ),
    weightDecay: z
      .number()
      .min(0)
      .exactOptional()
      .describe(
        `Decoupled weight decay; biases and norms are left out. The method's own when absent, else ${usualTraining.weightDecay}.`,
      ),
    maxGradNorm: z
      .number()
      .positive()
      .nullable()
      .default(1)
      .describe('The norm to which the gradient over all trained tensors is clipped; null for no clipping.'),
    adam: adam.prefault({}).describe('Constants of the optimiser, AdamW.'),
    dropout: fraction
      .exactOptional()
      .describe(
        "The dropout rate of encoder and head. When absent the model's own, but none with SLaSh, JR-WARP and WARP, alone or in a union: their authors turn it off. What a method drops of its own tensors by a `dropout` of its own keeps that rate.",
      ),
    recompute: z
      .boolean()
      .default(false)
      .describe(
        "Keep only what enters each of the encoder's layers for the backward pass, and compute the layer's inside once more there: a larger batch fits into memory, and a step takes up to a third longer. It changes no result beyond rounding.",
      ),
    precision: z
      .enum(['float32', 'float16'])
      .default('float32')
      .describe(
        'What the products with a row at each token are computed in, and their results and the matrices held as. float16 is for GPUs: half the memory and traffic for these. Sums, norms, losses and all that is trained stay float32, and the loss is scaled so that small gradients keep their digits. Not with privacy, whose clipping it would loosen, nor with frozenPrecision int8, nor on tfjs.',
      ),
    frozenPrecision: z
      .enum(['float32', 'int8'])
      .default('float32')
      .describe(
        "What the frozen matrices of the encoder's layers are multiplied as. With int8 both are rounded to 8 bits, each row and each column on a scale of its own: up to twice as fast on a CPU, gradients point almost where they did, and scores may differ a little. On the CPU only.",
      ),
    examples: positive
      .exactOptional()
      .describe('Train on that many examples, drawn by the seed with the proportions of the labels kept.'),
    seed: z
      .int()
      .min(0)
      .max(0xffffffff)
      .default(0)
      .describe('The seed of every random draw, an unsigned 32-bit integer.'),
    evaluateEvery: z
      .union([z.literal('epoch'), positive])
      .default('epoch')
      .describe('When to evaluate: after each epoch, or every so many steps.'),
    earlyStopping: z
      .strictObject({
        patience: positive.default(3).describe('Evaluations without a better score after which training stops.'),
        metric: text(100).exactOptional().describe("The metric that counts; the task's score when absent."),
      })
      .exactOptional()
      .describe('Stop when evaluations no longer improve.'),
    checkpointEvery: z
      .union([z.literal('epoch'), positive])
      .default('epoch')
      .describe('When to write a checkpoint: after each epoch, or every so many steps.'),
  })
  .check((context) => {
    const { epochs, steps, warmup } = context.value;
    if (epochs !== undefined && steps !== undefined)
      context.issues.push({
        code: 'custom',
        message: 'epochs and steps exclude one another',
        path: ['steps'],
        input: steps,
      });
    if (warmup !== undefined && warmup >= 1 && !Number.isInteger(warmup))
      context.issues.push({
        code: 'custom',
        message: `expected a fraction below 1 or a whole number of steps, found ${warmup}`,
        path: ['warmup'],
        input: warmup,
      });
  })
  .transform(({ epochs, steps, ...rest }) => ({
    ...(steps === undefined ? { epochs: epochs ?? 3 } : { steps }),
    ...rest,
  }));

/** The clipping norm of a private training whose method does not say. */
export const usualClippingNorm = 1;

const privacy = z
  .strictObject({
    epsilon: z
      .number()
      .positive()
      .nullable()
      .exactOptional()
      .describe(
        'The privacy loss that the whole run may have; the noise is calibrated to it. null trains without privacy, so that a sweep over epsilon can hold that too.',
      ),
    noiseMultiplier: z
      .number()
      .positive()
      .exactOptional()
      .describe('The deviation of the noise in units of maxGradNorm, in place of a target epsilon.'),
    delta: z
      .number()
      .min(leastDelta)
      .lt(1)
      .exactOptional()
      .describe('The probability with which epsilon may fail; 1 / (2 · training examples) when absent.'),
    maxGradNorm: z
      .number()
      .positive()
      .exactOptional()
      .describe(
        `The norm to which each example's gradient over all trained tensors together is clipped; the method's own when absent, else ${usualClippingNorm}. About what gradients have at the start is good: far below it all examples count alike, those that are learnt too.`,
      ),
    clipping: z
      .enum(['flat', 'automatic', 'adaptive'])
      .default('flat')
      .describe(
        "How: gradients beyond maxGradNorm are cut to it; or each is divided by its own norm, so that all count alike (AUTO-S); or the norm begins at maxGradNorm and follows a quantile of the examples' norms, whose noise is part of epsilon.",
      ),
    adaptive: z
      .strictObject({
        quantile: z
          .number()
          .positive()
          .lt(1)
          .default(usualAdaptation.quantile)
          .describe('The share of the examples whose gradients shall stay unclipped.'),
        rate: z
          .number()
          .positive()
          .default(usualAdaptation.rate)
          .describe('How fast the norm follows: the exponent of a step.'),
        countNoise: z
          .number()
          .positive()
          .exactOptional()
          .describe(
            'The deviation of the noise on the number of unclipped examples; a twentieth of the expected batch when absent, at least twice the noise multiplier.',
          ),
      })
      .exactOptional()
      .describe('With adaptive clipping: how the norm follows.'),
    accountant: z
      .enum(['tightest', 'rdp', 'prv'])
      .default('tightest')
      .describe(
        'How steps are composed: Rényi differential privacy, numerical composition with certified bounds, or the smaller of the two.',
      ),
    sampling: z
      .literal('poisson')
      .default('poisson')
      .describe('Each example enters each step with the same probability, independently: what the accountants assume.'),
    publicEvaluation: z
      .boolean()
      .default(false)
      .describe(
        'Declares that the evaluation data are public: about nobody whom the training examples are about. Only then may training stop early, or a checkpoint be chosen, by a score.',
      ),
    insecureSeed: z
      .int()
      .min(0)
      .max(0xffffffff)
      .exactOptional()
      .describe(
        'For tests only: draws and noise from this seed, which anybody can repeat. An audit refuses such a run.',
      ),
  })
  .check((context) => {
    const { epsilon, noiseMultiplier } = context.value;
    if ((epsilon === undefined) === (noiseMultiplier === undefined))
      context.issues.push({
        code: 'custom',
        message:
          epsilon === undefined
            ? 'needs epsilon or noiseMultiplier'
            : 'epsilon and noiseMultiplier exclude one another',
        path: epsilon === undefined ? [] : ['noiseMultiplier'],
        input: context.value,
      });
    const { clipping, adaptive } = context.value;
    if (adaptive !== undefined && clipping !== 'adaptive')
      context.issues.push({
        code: 'custom',
        message: `is only for clipping "adaptive", not "${clipping}"`,
        path: ['adaptive'],
        input: adaptive,
      });
  })
  .describe(
    'Differential privacy: bounds what the trained model can tell of any one training example. batchSize times accumulation is then the expected batch, and training.maxGradNorm is not used.',
  );

const deviceOptions = z
  .strictObject({
    provider: z
      .enum(providers)
      .default('auto')
      .describe('What computes; auto picks the best that works, tfjs is an installed TensorFlow.js.'),
    threads: z
      .int()
      .min(1)
      .max(1024)
      .exactOptional()
      .describe(
        'Threads of the CPU; when absent all that the process may use, at most 16, divided among the runs that the device takes at once.',
      ),
    index: z
      .int()
      .min(0)
      .max(255)
      .exactOptional()
      .describe('Which of several GPUs, from 0: for cuda, tensorrt and dml. WebGPU offers no choice.'),
  })
  .check((context) => {
    const { provider, index } = context.value;
    if (index !== undefined && !indexedProviders.includes(provider))
      context.issues.push({
        code: 'custom',
        message: `is only for ${indexedProviders.join(', ')}, not for ${provider}`,
        path: ['index'],
        input: index,
      });
  });

const device = z
  .union([z.enum(providers).transform((provider) => deviceOptions.parse({ provider })), deviceOptions])
  .default({ provider: 'auto' })
  .describe('Where to compute: a provider, or an object with options.');

const matrixValue = z.union([
  z.array(z.unknown()).min(1).describe('A list of values.'),
  z
    .strictObject({
      from: z.number().describe('The first value.'),
      to: z.number().describe('The last value.'),
      steps: z
        .int()
        .min(2)
        .exactOptional()
        .describe('How many values; may be absent with `sample`, which then draws from the whole range.'),
      scale: z.enum(['linear', 'log']).default('linear').describe('Even steps, or even ratios.'),
    })
    .check((context) => {
      const { from, to, scale } = context.value;
      if (from === to)
        context.issues.push({ code: 'custom', message: 'from and to are equal', path: ['to'], input: to });
      if (scale === 'log' && (from <= 0 || to <= 0))
        context.issues.push({
          code: 'custom',
          message: 'a range on a log scale lies above 0',
          path: [from <= 0 ? 'from' : 'to'],
          input: from,
        });
    })
    .describe('A range.'),
]);

const besidePaths = {
  cases: z
    .array(z.record(z.string(), z.unknown()))
    .min(1)
    .exactOptional()
    .describe('Sets of settings that go together, each by its dotted paths, as a method with its own learning rate.'),
  sample: positive.exactOptional().describe('Draw that many combinations at random in place of all of them.'),
  seed: z.int().min(0).max(0xffffffff).exactOptional().describe('The seed of the draw, 0 when absent.'),
};

/** The matrix: dotted paths of settings with the values that they take, and the keys that are none. */
export const matrixSchema = z
  .object(besidePaths)
  .catchall(matrixValue)
  .describe('A sweep: for each dotted path a list or range of values; one run for each combination.');

export type MatrixValues = z.output<typeof matrixValue>;
export type Matrix = z.output<typeof matrixSchema>;

/** Refuses what would release more of the private data than epsilon says. */
function refuseVoidPrivacy({
  value,
  issues,
}: z.core.ParsePayload<{
  readonly privacy?: { readonly epsilon?: number | null; readonly publicEvaluation: boolean };
  readonly training: { readonly earlyStopping?: unknown };
}>): void {
  if (value.privacy?.publicEvaluation !== false || value.privacy.epsilon === null) return;
  if (value.training.earlyStopping === undefined) return;
  issues.push({
    code: 'custom',
    message:
      'a private run may not stop by an evaluation: the number of steps would tell of data that epsilon does not cover; remove earlyStopping, or set privacy.publicEvaluation if the evaluation data are public',
    path: ['training', 'earlyStopping'],
    input: value.training.earlyStopping,
  });
}

/** Where settings, or those of a part of them, switch an option off. */
function placesOff(
  settings: unknown,
  option: string,
  at: readonly (string | number)[],
): readonly (readonly (string | number)[])[] {
  if (Array.isArray(settings)) return settings.flatMap((part, index) => placesOff(part, option, [...at, index]));
  if (!isRecord(settings)) return [];
  return Object.entries(settings).flatMap(([key, value]) =>
    key === option && value === false ? [[...at, key]] : placesOff(value, option, [...at, key]),
  );
}

/** Refuses gates whose mean counts padding: it is as long as the longest example beside, which would reach into all others' gradients. */
function refuseUnmaskedGates({
  value,
  issues,
}: z.core.ParsePayload<{
  readonly privacy?: { readonly epsilon?: number | null };
  readonly method: unknown;
}>): void {
  if (value.privacy === undefined || value.privacy.epsilon === null) return;
  for (const path of placesOff(value.method, 'maskedGateMean', ['method']))
    issues.push({
      code: 'custom',
      message:
        'a private run may not count padding in the mean of its gates: an example would change the gradients of those beside it; remove maskedGateMean, or set it to true',
      path: [...path],
      input: false,
    });
}

/** Refuses 8-bit products on a device that has none, before a run waits in a queue for it. */
function refuseEightBit({
  value,
  issues,
}: z.core.ParsePayload<{
  readonly training: { readonly frozenPrecision: 'float32' | 'int8' };
  readonly device: { readonly provider: string };
}>): void {
  const { training, device } = value;
  if (training.frozenPrecision === 'float32' || device.provider === 'auto' || device.provider === 'cpu') return;
  issues.push({
    code: 'custom',
    message: `int8 computes on the CPU alone, not on ${device.provider}; set device to "cpu", or leave the precision at "float32"`,
    path: ['training', 'frozenPrecision'],
    input: training.frozenPrecision,
  });
}

/** Refuses 16-bit products where they void a guarantee, or where what computes has none. */
function refuseHalfPrecision({
  value,
  issues,
}: z.core.ParsePayload<{
  readonly training: { readonly precision: 'float32' | 'float16'; readonly frozenPrecision: 'float32' | 'int8' };
  readonly privacy?: { readonly epsilon?: number | null };
  readonly device: { readonly provider: string };
}>): void {
  const { training, privacy, device } = value;
  if (training.precision === 'float32') return;
  const refuse = (message: string): void => {
    issues.push({ code: 'custom', message, path: ['training', 'precision'], input: training.precision });
  };
  if (privacy !== undefined && privacy.epsilon !== null)
    refuse(
      'a private run computes in float32: rounding to 16 bits could leave an example more weight than the norm to which its gradient is clipped; set "float32"',
    );
  if (training.frozenPrecision === 'int8')
    refuse('float16 is for GPUs and frozenPrecision "int8" for the CPU; leave one of them at "float32"');
  if (device.provider === 'tfjs') refuse('TensorFlow.js computes in float32 alone; set "float32", or another device');
}

/** Refuses a device for a private run that rounds to 16 bits unasked: on a Mac's GPU and Neural Engine CoreML does so by itself. */
function refuseRoundingDevice({
  value,
  issues,
}: z.core.ParsePayload<{
  readonly privacy?: { readonly epsilon?: number | null };
  readonly device: { readonly provider: string };
}>): void {
  const { privacy, device } = value;
  if (privacy === undefined || privacy.epsilon === null || device.provider !== 'coreml') return;
  issues.push({
    code: 'custom',
    message:
      'CoreML rounds to 16 bits where it sees fit, which could leave an example of a private run more weight than the norm to which its gradient is clipped; set "webgpu" or "cpu"',
    path: ['device'],
    input: device.provider,
  });
}

/** Refuses to stop by what no evaluation of the task gives, which a run would only notice after its first epoch. */
function refuseUnknownMetric(catalogue: Catalogue) {
  return ({
    value: { task, training },
    issues,
  }: z.core.ParsePayload<{
    readonly task: { readonly id: string };
    readonly training: { readonly earlyStopping?: { readonly metric?: string } };
  }>): void => {
    const metric = training.earlyStopping?.metric;
    const known = catalogue.tasks.metrics?.(task.id);
    if (metric === undefined || known === undefined || known.includes(metric)) return;
    issues.push({
      code: 'invalid_value',
      values: [...known],
      path: ['training', 'earlyStopping', 'metric'],
      input: metric,
    });
  };
}

/** Privacy as it is asked for; nothing where epsilon is null. */
function withTarget<T extends { readonly epsilon?: number | null }>(
  asked: T,
): (Omit<T, 'epsilon'> & { readonly epsilon?: number }) | undefined {
  const { epsilon, ...rest } = asked;
  if (epsilon === null) return undefined;
  return epsilon === undefined ? rest : { ...rest, epsilon };
}

function build(catalogue: Catalogue) {
  const written = z.strictObject({
    name: text(200).exactOptional().describe('A name for people.'),
    model,
    task: taskSchema(catalogue),
    method: methodSchema(catalogue),
    training: training.prefault({}).describe('How it is trained.'),
    privacy: privacy.exactOptional(),
    device,
    launcher: z.enum(['local']).default('local').describe('Who starts the trainer.'),
    tags: z.array(tag).max(100).exactOptional().describe('Labels to find the run by.'),
    note: z.string().max(100_000).exactOptional().describe('Free text.'),
  });
  return written
    .check(refuseUnknownMetric(catalogue))
    .check(refuseVoidPrivacy)
    .check(refuseUnmaskedGates)
    .check(refuseEightBit)
    .check(refuseHalfPrecision)
    .check(refuseRoundingDevice)
    .transform((configuration, context) => {
      // An unknown key alone does not keep a transform from being run, but the method may be none then.
      if (context.issues.length > 0) return z.NEVER;
      const { privacy: asked, ...rest } = configuration;
      const { method, training } = rest;
      const own = catalogue.methods.training?.(method.id);
      const { maxGradNorm = usualClippingNorm, ...privately } = catalogue.methods.privately?.(method.id) ?? {};
      const privacy = asked === undefined ? undefined : withTarget({ maxGradNorm, ...asked });
      return {
        ...rest,
        training: { ...usualTraining, ...own, ...(privacy === undefined ? {} : privately), ...training },
        ...(privacy === undefined ? {} : { privacy }),
      };
    });
}

export type ConfigurationSchema = ReturnType<typeof build>;

const built = new WeakMap<Catalogue, ConfigurationSchema>();

/** The schema of one run's configuration: everything but the matrix. */
export function configurationSchema(catalogue: Catalogue): ConfigurationSchema {
  const known = built.get(catalogue);
  if (known !== undefined) return known;
  const schema = build(catalogue);
  built.set(catalogue, schema);
  return schema;
}

/**
 * As much of a `config.json` as every version of this program writes: names are not looked up and further keys are kept, so that old
 * runs can be listed for as long as their files exist.
 */
export const recordedConfiguration = z.looseObject({
  name: z.string().exactOptional(),
  model: z.looseObject({ id: z.string() }),
  task: z.looseObject({ id: z.string() }),
  method: z.looseObject({ id: z.string() }),
  training: z.looseObject({ seed: z.int() }),
  device: z.looseObject({ provider: z.string(), index: z.int().optional().catch(undefined) }),
  launcher: z.string(),
  tags: z.array(z.string()).exactOptional(),
  note: z.string().exactOptional(),
});

export type RecordedConfiguration = z.output<typeof recordedConfiguration>;

/** A run's configuration with every default filled in. */
export type Configuration = z.output<ConfigurationSchema>;

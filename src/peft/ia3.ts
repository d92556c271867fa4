import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { add, multiply, reshape, subtract } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import type { Act } from './folding.ts';
import { foldingUngated, gateOf, gateOptions } from './gate.ts';
import { headOption } from './head-option.ts';
import type { EncoderTensor, LayerPlace, Method, Projection } from './method.ts';
import { projectionOption, widthsOf } from './projections.ts';

const options = z.strictObject({
  outputs: z
    .array(projectionOption)
    .default(['key', 'value'])
    .describe(
      "The linear maps whose results are scaled. The paper's are key and value; the adapters library adds intermediate and leaves `inputs` empty.",
    ),
  inputs: z
    .array(projectionOption)
    .default(['output'])
    .describe(
      "The linear maps whose inputs are scaled: output is the paper's scale inside the feed-forward. Hugging Face PEFT's target `output.dense` also scales the input of attentionOutput.",
    ),
  ...gateOptions,
  gateForm: z
    .enum(['change', 'whole'])
    .default('change')
    .describe(
      'What a gate g multiplies: the change that the scale l makes, 1 + g (l - 1), which starts from the pretrained function; or the scale itself, g l, as in the adapters library, which starts by halving what it scales.',
    ),
  head: headOption('native'),
});

/**
 * IA3: the keys, the values and the inner activations of the feed-forward are multiplied element by element with trained vectors l,
 * `[width]` of each layer (equation 1 and section 3.3), which start from one: the first step sees the pretrained function.
 */
export const ia3: Method<z.infer<typeof options>> = {
  id: 'ia3',
  title: 'IA3',
  citation:
    'Liu et al., Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning, 2022, arXiv 2205.05638',
  description: 'Scales keys, values and inner activations by trained vectors.',
  options,
  training: { learningRate: 5e-3, weightDecay: 0 },
  build: ({ outputs, inputs, gateForm, head, ...gating }, encoder, scope) => {
    if (outputs.length + inputs.length === 0) {
      throw new UserError('ia3: scales nothing', 'Name at least one linear map in outputs or inputs.');
    }
    /** The vector that scales the result of a linear map, or its input. */
    const vectorOf = (side: 'input' | 'result', projection: Projection, layer: number): Value => {
      const [from, to] = widthsOf(projection, encoder);
      const name = `method.layer.${layer}.${moduleName(side, projection)}.scale`;
      return scope.trained(name, [side === 'input' ? from : to], { kind: 'ones' });
    };
    /** x scaled; the gate reads the input of the linear map. */
    const scaled = (
      x: Value,
      side: 'input' | 'result',
      projection: Projection,
      gateInput: Value,
      place: LayerPlace,
    ): Value => {
      const vector = vectorOf(side, projection, place.layer);
      const module = moduleName(side, projection);
      const gate = gateOf(gating, scope, module, 'uniform')?.(gateInput, place);
      if (gate === undefined) return multiply(x, vector);
      return multiply(x, gateForm === 'whole' ? multiply(vector, gate) : add(multiply(subtract(vector, 1), gate), 1));
    };
    return {
      hooks: {
        projectionInput: (x, projection, place) => {
          return !inputs.includes(projection) ? x : scaled(x, 'input', projection, x, place);
        },
        projection: (result, x, projection, place) => {
          return !outputs.includes(projection) ? result : scaled(result, 'result', projection, x, place);
        },
      },
      head,
      dropout: true,
      readsAllRows: gating.gated,
      acts: [
        ...inputs.map((map): Act => ({ on: 'input', map, does: 'scales', reads: gating.gated ? ['itself'] : [] })),
        ...outputs.map((map): Act => ({ on: 'result', map, does: 'scales', reads: gating.gated ? ['input'] : [] })),
      ],
      folding: foldingUngated(gating, {
        kind: 'folds',
        steps: {
          results: (value, tensor) => {
            const projection = mapOf(tensor, outputs);
            if (projection === undefined) return value;
            const vector = vectorOf('result', projection.name, projection.layer);
            return multiply(value, tensor.part === 'bias' ? vector : reshape(vector, [...vector.shape, 1]));
          },
          inputs: (value, tensor) => {
            const projection = mapOf(tensor, inputs);
            if (projection === undefined || tensor.part === 'bias') return value;
            return multiply(value, vectorOf('input', projection.name, projection.layer));
          },
        },
      }),
    };
  },
};

function moduleName(side: 'input' | 'result', projection: Projection): string {
  return side === 'input' ? `${projection}.input` : projection;
}

/** The linear map that a tensor of the encoder belongs to, if it is one of `among`. */
function mapOf(
  { module, layer }: EncoderTensor,
  among: readonly Projection[],
): { readonly name: Projection; readonly layer: number } | undefined {
  const name = among.find((projection) => projection === module);
  return name === undefined || layer === undefined ? undefined : { name, layer };
}

import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { adapterDrop } from './adapter-drop.ts';
import { adapterHoulsby } from './adapter-houlsby.ts';
import { adapterLowRank } from './adapter-low-rank.ts';
import { adapterParallel } from './adapter-parallel.ts';
import { adapterPfeiffer } from './adapter-pfeiffer.ts';
import { adapterPhm } from './adapter-phm.ts';
import { bitfit } from './bitfit.ts';
import { compacterPlusPlus } from './compacter-plus-plus.ts';
import { compacter } from './compacter.ts';
import { headOption } from './head-option.ts';
import { ia3 } from './ia3.ts';
import { intrinsicSaid } from './intrinsic-said.ts';
import { joinParts, UNION, type Part } from './join-parts.ts';
import { jrWarp } from './jr-warp.ts';
import { lora } from './lora.ts';
import type { Method } from './method.ts';
import { pasta } from './pasta.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { promptTuning } from './prompt-tuning.ts';
import { register, type RegisteredMethod } from './registered-method.ts';
import { slash } from './slash.ts';
import { unipeltPrompt, unipeltPromptParts } from './unipelt-prompt.ts';
import { unipelt, unipeltParts } from './unipelt.ts';
import { warp } from './warp.ts';

/** The methods that can be parts: all that leave the encoder itself to others, and are no list of parts. */
const partMethods: readonly RegisteredMethod[] = [
  register(bitfit),
  register(lora),
  register(ia3),
  register(slash),
  register(jrWarp),
  register(warp),
  register(pasta),
  register(promptTuning),
  register(prefixTuning),
  register(adapterHoulsby),
  register(adapterPfeiffer),
  register(adapterParallel),
  register(adapterDrop),
  register(adapterLowRank),
  register(adapterPhm),
  register(compacter),
  register(compacterPlusPlus),
  register(intrinsicSaid),
];

type WrittenPart = { readonly id: string } & Readonly<Record<string, unknown>>;

/** A part is written as the method itself, but for the head, which all parts share. */
function partSchema({ id, title, options }: RegisteredMethod): z.ZodObject<{ id: z.ZodLiteral<string> }> {
  if (!(options instanceof z.ZodObject)) throw new Error(`the options of ${id} are no object`);
  const { head: _head, ...own } = options.shape as Record<string, z.ZodType>;
  return z.strictObject({ id: z.literal(id).describe('The method.'), ...own }).describe(title);
}

const [first, ...others] = [...partMethods, register(unipelt), register(unipeltPrompt)].map(partSchema);
if (first === undefined) throw new Error('there are methods');

const options = z.strictObject({
  parts: z
    .array(z.discriminatedUnion('id', [first, ...others]) as unknown as z.ZodType<WrittenPart>)
    .nonempty()
    .max(32)
    .describe(
      'The methods that act together, each `{ "id": …, … }` with the options that it has alone (but for `head`). They act one after the other where they meet; unipelt and unipelt-prompt stand for their own parts.',
    ),
  head: headOption('native'),
});

/**
 * A union of methods that are trained together, each gated or not (Mao et al. 2022 for gated ones; He et al. 2022, arXiv 2110.04366, call
 * the ungated union of prefixes and parallel adapters a mix-and-match adapter).
 */
export const union: Method<z.infer<typeof options>> = {
  id: UNION,
  title: 'Union of methods',
  citation:
    'Mao et al., UniPELT: A Unified Framework for Parameter-Efficient Language Model Tuning, 2022, arXiv 2110.07577',
  description: 'Trains several methods together, as its list of parts says; each may be gated.',
  options,
  training: { learningRate: 5e-4 },
  build: ({ parts, head }, encoder, scope) =>
    joinParts(
      parts.flatMap(({ id, ...chosen }) => partsOf(id, chosen)),
      head,
      encoder,
      scope,
    ),
};

/** A method as a part, or the parts that it is a union of. */
function partsOf(id: string, chosen: Readonly<Record<string, unknown>>): readonly Part[] {
  switch (id) {
    case unipelt.id:
      return unipeltParts(unipelt.options.parse(chosen));
    case unipeltPrompt.id:
      return unipeltPromptParts(unipeltPrompt.options.parse(chosen));
    default:
      return [{ method: partMethod(id), options: chosen }];
  }
}

function partMethod(id: string): RegisteredMethod {
  const found = partMethods.find((method) => method.id === id);
  if (found === undefined) {
    throw new UserError(
      `${UNION}: ${id} can't be a part`,
      `Parts are ${partMethods.map((method) => method.id).join(', ')}.`,
    );
  }
  return found;
}

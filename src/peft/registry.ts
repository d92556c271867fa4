import { UserError } from '../base/errors.ts';
import { closestName } from '../base/suggest.ts';
import { adapterDrop } from './adapter-drop.ts';
import { adapterHoulsby } from './adapter-houlsby.ts';
import { adapterLowRank } from './adapter-low-rank.ts';
import { adapterParallel } from './adapter-parallel.ts';
import { adapterPfeiffer } from './adapter-pfeiffer.ts';
import { adapterPhm } from './adapter-phm.ts';
import { bitfit } from './bitfit.ts';
import { compacterPlusPlus } from './compacter-plus-plus.ts';
import { compacter } from './compacter.ts';
import { full } from './full.ts';
import { head } from './head.ts';
import { intrinsicSaid } from './intrinsic-said.ts';
import { jrWarp } from './jr-warp.ts';
import { ia3 } from './ia3.ts';
import { lora } from './lora.ts';
import { pasta } from './pasta.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { promptTuning } from './prompt-tuning.ts';
import { register, type RegisteredMethod } from './registered-method.ts';
import { slash } from './slash.ts';
import { unipeltPrompt } from './unipelt-prompt.ts';
import { unipelt } from './unipelt.ts';
import { union } from './union.ts';
import { warp } from './warp.ts';

export const methods: readonly RegisteredMethod[] = [
  register(full),
  register(head),
  register(bitfit),
  register(lora),
  register(ia3),
  register(slash),
  register(adapterHoulsby),
  register(adapterPfeiffer),
  register(adapterParallel),
  register(adapterDrop),
  register(adapterLowRank),
  register(adapterPhm),
  register(compacter),
  register(compacterPlusPlus),
  register(intrinsicSaid),
  register(jrWarp),
  register(warp),
  register(pasta),
  register(promptTuning),
  register(prefixTuning),
  register(unipelt),
  register(unipeltPrompt),
  register(union),
];

/** What methods are called, by id. */
export function methodTitles(): Readonly<Record<string, string>> {
  return Object.fromEntries(methods.map(({ id, title }) => [id, title]));
}

/** The ids of all methods, in the order in which they are listed. */
export function methodIds(): readonly string[] {
  return methods.map((method) => method.id);
}

/** The method called `id`. @throws UserError with the closest name, when there is none */
export function findMethod(id: string): RegisteredMethod {
  const found = methods.find((method) => method.id === id);
  if (found !== undefined) return found;
  const close = closestName(id, methodIds());
  throw new UserError(
    `unknown method "${id}"`,
    close === undefined ? `Known methods: ${methodIds().join(', ')}.` : `Did you mean "${close}"?`,
  );
}

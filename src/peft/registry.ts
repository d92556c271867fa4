import type { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { closestName } from '../base/suggest.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import { bitfit } from './bitfit.ts';
import { full } from './full.ts';
import { head } from './head.ts';
import { jrWarp } from './jr-warp.ts';
import { ia3 } from './ia3.ts';
import { lora } from './lora.ts';
import type { EncoderSizes, Method, MethodPlan } from './method.ts';
import { pasta } from './pasta.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { promptTuning } from './prompt-tuning.ts';
import { slash } from './slash.ts';
import { warp } from './warp.ts';

/** A method with its options' type closed over, as the registry hands it out. */
export interface RegisteredMethod {
  readonly id: string;
  readonly title: string;
  readonly citation: string;
  readonly description: string;
  readonly options: z.ZodType;
  /** Options as given, defaults filled in. @throws z.ZodError where they do not fit the schema */
  readonly parse: (given: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
  readonly build: (
    given: Readonly<Record<string, unknown>>,
    encoder: EncoderSizes,
    scope: ParameterScope,
  ) => MethodPlan;
}

function register<Options extends object>(method: Method<Options>): RegisteredMethod {
  return {
    ...method,
    parse: (given) => Object.fromEntries(Object.entries(method.options.parse(given))),
    build: (given, encoder, scope) => method.build(method.options.parse(given), encoder, scope),
  };
}

export const methods: readonly RegisteredMethod[] = [
  register(full),
  register(head),
  register(bitfit),
  register(lora),
  register(ia3),
  register(slash),
  register(jrWarp),
  register(warp),
  register(pasta),
  register(promptTuning),
  register(prefixTuning),
];

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

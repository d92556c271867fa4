import type { z } from 'zod';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { EncoderSizes, Method, MethodPlan } from './method.ts';

/** A method with its options' type closed over, so that methods can stand in one list. */
export interface RegisteredMethod extends Omit<Method<never>, 'options' | 'build'> {
  readonly options: z.ZodType;
  /** Options as given, defaults filled in. @throws z.ZodError where they do not fit the schema */
  readonly parse: (given: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
  readonly build: (
    given: Readonly<Record<string, unknown>>,
    encoder: EncoderSizes,
    scope: ParameterScope,
  ) => MethodPlan;
}

/**
 * A method as the registry holds it: its options are parsed from a configuration before it is built.
 * @throws ZodError from `parse` and `build` for wrong options
 */
export function register<Options extends object>(method: Method<Options>): RegisteredMethod {
  return {
    ...method,
    parse: (given) => Object.fromEntries(Object.entries(method.options.parse(given))),
    build: (given, encoder, scope) => method.build(method.options.parse(given), encoder, scope),
  };
}

import { methods } from '../../peft/registry.ts';
import type { MethodChoice } from './operations.ts';

/** The methods as "Start Run" offers them. */
export function methodChoices(): readonly MethodChoice[] {
  return methods.map(({ id, title, description, citation, options }) => ({
    id,
    title,
    description,
    citation,
    needsOptions: !options.safeParse({}).success,
  }));
}

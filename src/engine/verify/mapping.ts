import type { EncoderModule, Projection } from '../../peft/method.ts';
import type { EncoderConfig } from '../encoders/config.ts';
import { moduleName } from '../encoders/tensor-names.ts';
import type { ModelPlan } from '../model-graph.ts';

/** Shapes of tensors by name. */
export type Shapes = Readonly<Record<string, readonly number[]>>;

/** What a case says of itself, as far as it decides what we build. */
export interface CaseFacts {
  /** The method's name in the reference's words. */
  readonly method: string;
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  /** The task in the reference's words, or the base model's name. */
  readonly task?: string | undefined;
  readonly trainable: Shapes;
  /** Fixed tensors that are no part of the base model. */
  readonly frozen: Shapes;
  readonly inputs: Readonly<Record<string, { readonly integers: boolean; readonly shape: readonly number[] }>>;
  readonly encoder: EncoderConfig;
  /** The base model can predict masked words; not unless said. */
  readonly hasWordHead?: boolean;
}

/** What a case's method is here: options, and our names of tensors that are called otherwise. */
export type MappedMethod =
  | {
      readonly kind: 'method';
      /** Where it is another one than the mapping's own. */
      readonly id?: string;
      readonly options: ModelPlan['method']['options'];
      readonly names?: Renaming;
    }
  | { readonly kind: 'unsupported'; readonly reason: string };

/** Our names by the case's. */
export type Renaming = ReadonlyMap<string, string>;

/** How one of our methods is found in what a case says of itself. */
export interface MethodMapping {
  readonly id: string;
  /** Whether the reference's name of the method means this one. */
  readonly called: RegExp;
  /** The head where one map is all that a case has of it: behind the pooler, where the family has one, or on a token itself. */
  readonly head?: 'native' | 'linear';
  readonly map: (facts: CaseFacts) => MappedMethod;
}

/** Says of a case that nothing here computes what it asks for, and why. */
export function unsupported(reason: string): { readonly kind: 'unsupported'; readonly reason: string } {
  return { kind: 'unsupported', reason };
}

/** The scale of an ungated LoRA, from alpha and how the case says it is applied; a text says what is odd. */
export function loraScale({
  method,
  hyperparameters,
}: CaseFacts): { readonly alpha: number; readonly rankStabilised: boolean } | string {
  const { alpha } = hyperparameters;
  if (typeof alpha !== 'number' || !(alpha > 0)) return 'gives no positive alpha';
  const stabilised = /\brs-?lora\b/i.test(method) || hyperparameters['use_rslora'] === true;
  const { scale = stabilised ? 'alpha/sqrt(r)' : 'alpha/r' } = hyperparameters;
  const plain = typeof scale === 'string' ? scale.replaceAll(/\s/g, '') : undefined;
  if (plain === 'alpha/r') return { alpha, rankStabilised: false };
  return plain === 'alpha/sqrt(r)' ? { alpha, rankStabilised: true } : `has the scale ${JSON.stringify(scale)}`;
}

/** A factor of an update of LoRA. */
export interface LoraFactor {
  readonly projection: Projection;
  readonly layer: number;
  readonly factor: 'A' | 'B';
}

/** Which linear maps LoRA updates and in which layers, as options; a text says what is odd. */
export function loraPlaces(
  factors: readonly LoraFactor[],
  { layers }: Pick<EncoderConfig, 'layers'>,
): { readonly targets: readonly Projection[]; readonly layers?: readonly number[] } | string {
  const layersOf = (projection: Projection, side: 'A' | 'B'): string =>
    factors
      .filter((each) => each.projection === projection && each.factor === side)
      .map(({ layer }) => layer)
      .sort((a, b) => a - b)
      .join();
  const targets = [...new Set(factors.map(({ projection }) => projection))];
  const everywhere = new Set(targets.flatMap((target) => [layersOf(target, 'A'), layersOf(target, 'B')]));
  if (everywhere.size > 1) return `updates other layers of each of ${targets.join(', ')}, or trains one factor only`;
  const found = [...new Set(factors.map(({ layer }) => layer))].sort((a, b) => a - b);
  return found.length === layers ? { targets } : { targets, layers: found };
}

/** Names of the case's trained tensors of a part. */
export function namesOf(facts: CaseFacts, part: 'method' | 'base' | 'head'): readonly string[] {
  return Object.keys(facts.trainable).filter((name) => name.startsWith(`${part}.`));
}

/** The first trained tensor that the method does not have. */
export function stranger(facts: CaseFacts, allowed: (name: string) => boolean): MappedMethod | undefined {
  const found = [...namesOf(facts, 'method'), ...namesOf(facts, 'base')].find((name) => !allowed(name));
  return found === undefined ? undefined : unsupported(`trains ${found}, which this form of the method does not have`);
}

const projections: readonly Projection[] = ['query', 'key', 'value', 'attentionOutput', 'intermediate', 'output'];

/** The linear map called `module` in the family's own spelling: its full name (`output.dense`), or an end that only it has (`query`). */
export function projectionOf(encoder: EncoderConfig, module: string): Projection | undefined {
  const spelled = (projection: EncoderModule): string => moduleName(encoder, projection);
  const exact = projections.find((projection) => spelled(projection) === module);
  if (exact !== undefined) return exact;
  const ending = projections.filter((projection) => spelled(projection).endsWith(`.${module}`));
  return ending.length === 1 ? ending[0] : undefined;
}

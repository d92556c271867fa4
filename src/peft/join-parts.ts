import { UserError } from '../base/errors.ts';
import { broadcast, concat, dimAt } from '../engine/graph/operations.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import { foldSteps, stays, type Act, type Folding, type FoldStep, type FoldTensor, type Remainder } from './folding.ts';
import type { EncoderSizes, HeadKind, MethodHooks, MethodPlan, PrefixRows } from './method.ts';
import { recordedScope } from './recorded-scope.ts';
import type { RegisteredMethod } from './registered-method.ts';

/** One of the methods that act together, with its options. */
export interface Part {
  readonly method: RegisteredMethod;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A part as it was built: under its own name, with the tensors that it has declared so far. */
interface BuiltPart extends Part {
  readonly name: string;
  readonly plan: MethodPlan;
  readonly declared: ReadonlyMap<string, Value>;
}

/** What parts are called, and their tensors with them: their methods' ids, numbered where one comes more than once. */
function partNames(ids: readonly string[]): readonly string[] {
  const seen = new Map<string, number>();
  return ids.map((id) => {
    const count = (seen.get(id) ?? 0) + 1;
    seen.set(id, count);
    return count === 1 ? id : `${id}-${count}`;
  });
}

/** The part's own tensors keep their kind (`method.`, `frozen.`) and get its name after it. */
function ownName(part: string, name: string): string {
  const dot = name.indexOf('.');
  return `${name.slice(0, dot)}.${part}.${name.slice(dot + 1)}`;
}

function buildPart(part: Part, name: string, head: HeadKind, encoder: EncoderSizes, scope: ParameterScope): BuiltPart {
  const { scope: own, declared } = recordedScope({
    ...scope,
    trained: (tensor, ...rest) => scope.trained(ownName(name, tensor), ...rest),
    fixed: (tensor, ...rest) => scope.fixed(ownName(name, tensor), ...rest),
  });
  return { ...part, name, plan: part.method.build({ ...part.options, head }, encoder, own), declared };
}

/** The hooks of one kind, those of earlier parts first. */
function each<Name extends keyof MethodHooks>(
  parts: readonly BuiltPart[],
  name: Name,
): readonly NonNullable<MethodHooks[Name]>[] {
  return parts.flatMap(({ plan }) => {
    const hook = plan.hooks[name];
    return hook === undefined ? [] : [hook];
  });
}

type Step<Rest extends readonly unknown[]> = (x: Value, ...rest: Rest) => Value;

/** One after the other; nothing where there is none. */
function chain<Rest extends readonly unknown[]>(steps: readonly Step<Rest>[]): Step<Rest> | undefined {
  if (steps.length < 2) return steps[0];
  return (x, ...rest) => steps.reduce((value, step) => step(value, ...rest), x);
}

function joinRows(prefixes: readonly PrefixRows[], batch: Value): PrefixRows {
  const join = (side: keyof PrefixRows): Value =>
    concat(
      prefixes.map(({ [side]: rows }) => broadcast(rows, [dimAt(batch, 0), dimAt(rows, 1), dimAt(rows, 2)])),
      1,
    );
  return { keys: join('keys'), values: join('values') };
}

function joinPrefixes(hooks: readonly NonNullable<MethodHooks['prefix']>[]): MethodHooks['prefix'] {
  if (hooks.length < 2) return hooks[0];
  return (x, place) =>
    joinRows(
      hooks.map((prefix) => prefix(x, place)),
      x,
    );
}

/** Leaves out what is absent. */
function present<Hooks extends object>(hooks: Hooks): { [Name in keyof Hooks]: NonNullable<Hooks[Name]> } {
  return Object.fromEntries(Object.entries(hooks).filter(([, hook]) => hook !== undefined)) as {
    [Name in keyof Hooks]: NonNullable<Hooks[Name]>;
  };
}

function joinHooks(parts: readonly BuiltPart[]): MethodHooks {
  const trains = each(parts, 'trains');
  return present({
    trains: trains.length === 0 ? undefined : (tensor) => trains.some((wants) => wants(tensor)),
    // A part that says nothing trains the whole head.
    trainsHead: (tensor) => parts.some(({ plan }) => plan.hooks.trainsHead?.(tensor) ?? true),
    tensor: chain(each(parts, 'tensor')),
    beforeLayer: chain(each(parts, 'beforeLayer')),
    projectionInput: chain(each(parts, 'projectionInput')),
    projection: chain(each(parts, 'projection')),
    prefix: joinPrefixes(each(parts, 'prefix')),
    afterAttention: chain(each(parts, 'afterAttention')),
    afterAttentionNorm: chain(each(parts, 'afterAttentionNorm')),
    afterFeedForward: chain(each(parts, 'afterFeedForward')),
  } satisfies { [Name in keyof Required<MethodHooks>]: MethodHooks[Name] | undefined });
}

/** The acts of folding parts on the encoder's tensors, step by step, those of earlier parts first. */
function joinSteps(parts: readonly BuiltPart[]): Partial<Readonly<Record<FoldStep, FoldTensor>>> {
  const of = (step: FoldStep): FoldTensor | undefined =>
    chain(
      parts.flatMap(({ plan: { folding } }) => {
        const fold = folding.kind === 'folds' ? folding.steps?.[step] : undefined;
        return fold === undefined ? [] : [fold];
      }),
    );
  return present(Object.fromEntries(foldSteps.map((step) => [step, of(step)])));
}

/**
 * Whether an act can't be put into the encoder's tensors because another one stays: folded, it would come before what it came after and does
 * not commute with, or on the input's side after what depended on it.
 */
function isHeld(moving: Act, staying: Act, staysBefore: boolean): boolean {
  if (moving.map !== staying.map) return false;
  const clash = moving.does !== staying.does || staying.reads.includes('itself');
  switch (moving.on) {
    case 'input':
      return staying.on === 'input' ? !staysBefore && clash : staying.reads.includes('input');
    case 'result':
      return staying.on === 'result' && staysBefore && clash;
    case 'block':
      return clash && (staying.on === 'result' || (staying.on === 'block' && staysBefore));
    case 'norm':
      return staying.on === 'norm' ? staysBefore && clash : staying.reads.includes('norm');
  }
}

/** Why parts stay as they are; the others fold. A part that is held by one that stays may hold others in turn. */
function stayingParts(parts: readonly BuiltPart[]): ReadonlyMap<BuiltPart, string> {
  const reasons = new Map(
    parts.flatMap((part) => {
      const { folding } = part.plan;
      return folding.kind === 'stays' ? [[part, folding.reason] as const] : [];
    }),
  );
  const whyHeld = (part: BuiltPart, index: number): string | undefined => {
    const holder = parts.find(
      (other, place) =>
        reasons.has(other) &&
        part.plan.acts?.some((moving) => other.plan.acts?.some((staying) => isHeld(moving, staying, place < index))) ===
          true,
    );
    if (holder !== undefined) return `acts on the same numbers as ${holder.name}, which stays`;
    // Fixed random numbers are drawn by name, and names of leftovers are counted again.
    const later = parts.slice(index + 1).find((other) => other.method.id === part.method.id && held.has(other));
    return later === undefined ? undefined : `comes before ${later.name}, which keeps its name and stays`;
  };
  const held = new Set<BuiltPart>();
  for (let before = -1; before !== held.size;) {
    before = held.size;
    for (const [index, part] of parts.entries()) {
      const reason = reasons.has(part) ? undefined : whyHeld(part, index);
      if (reason === undefined) continue;
      held.add(part);
      reasons.set(part, reason);
    }
  }
  return reasons;
}

/** A part that is left after folding: as it was, or in a simpler form. */
interface Leftover {
  readonly id: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly tensors: () => ReadonlyMap<string, Value>;
  readonly reason: string;
}

/** Why parts are left, of the union that they are parts of. */
function whyLeft(reasons: readonly string[]): string {
  return `has parts that stay: ${reasons.join('; ')}`;
}

/** A union folds what can leave its place among the others; the parts that are left are a smaller union. */
function joinFoldings(parts: readonly BuiltPart[], head: HeadKind): Folding {
  const staying = stayingParts(parts);
  if (staying.size === parts.length) {
    return stays(whyLeft(parts.map((part) => `${part.name} ${staying.get(part) ?? ''}`)));
  }
  const leftovers = parts.flatMap((part): readonly Leftover[] => {
    const { method, name, options, plan, declared } = part;
    const why = staying.get(part);
    if (why !== undefined) return [{ id: method.id, options, tensors: () => declared, reason: `${name} ${why}` }];
    const remainder = plan.folding.kind === 'folds' ? plan.folding.remainder : undefined;
    if (remainder === undefined) return [];
    return [{ ...remainder.method, tensors: remainder.tensors, reason: `${name} ${remainder.reason}` }];
  });
  const names = partNames(leftovers.map(({ id }) => id));
  const remainder: Remainder = {
    method: { id: UNION, options: { parts: leftovers.map(asWritten), head } },
    tensors: () =>
      new Map(
        leftovers.flatMap(({ tensors }, index) =>
          [...tensors()].map(([name, value]) => [ownName(names[index] ?? '', name), value] as const),
        ),
      ),
    reason: whyLeft(leftovers.map(({ reason }) => reason)),
  };
  return {
    kind: 'folds',
    steps: joinSteps(parts.filter((part) => !staying.has(part))),
    ...(leftovers.length === 0 ? {} : { remainder }),
  };
}

/** The id of the method whose parts a user lists. */
export const UNION = 'union';

/** A part as a configuration has it; its head is the union's. */
function asWritten({ id, options }: Leftover): Readonly<Record<string, unknown>> {
  return { id, ...Object.fromEntries(Object.entries(options).filter(([name]) => name !== 'head')) };
}

/**
 * Methods that act together: at each place the hooks of the parts act one after the other, in the order of the parts; rows before keys
 * and values stand side by side. Each part's tensors carry its name: `method.lora.layer.0.query.lora_A`.
 * @throws UserError when two parts put rows into the sequence
 */
export function joinParts(
  parts: readonly Part[],
  head: HeadKind,
  encoder: EncoderSizes,
  scope: ParameterScope,
): MethodPlan {
  const names = partNames(parts.map(({ method }) => method.id));
  const built = parts.map((part, index) => buildPart(part, names[index] ?? '', head, encoder, scope));
  const [rows, more] = built.filter(({ plan }) => plan.rows !== undefined);
  if (rows !== undefined && more !== undefined) {
    throw new UserError(
      `${UNION}: ${rows.name} and ${more.name} both put rows into the sequence`,
      'Keep one of the two; a prompt of both lengths together does the same.',
    );
  }
  const plans = built.map(({ plan }) => plan);
  return {
    hooks: joinHooks(built),
    head,
    dropout: plans.every(({ dropout }) => dropout),
    ...(rows?.plan.rows === undefined ? {} : { rows: rows.plan.rows }),
    positionOffset: plans.reduce((sum, { positionOffset = 0 }) => sum + positionOffset, 0),
    headTransform: plans.some(({ headTransform }) => headTransform === true),
    readsAllRows: plans.some(({ readsAllRows }) => readsAllRows === true),
    folding: joinFoldings(built, head),
  };
}

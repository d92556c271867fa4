import { headReadsOf } from './map-head.ts';
import { namesOf, stranger, unsupported, type CaseFacts, type MappedMethod, type MethodMapping } from './mapping.ts';

/** Reference cases of the methods that add rows, prefixes or shifts of tokens. */

function mapJrWarp(facts: CaseFacts): MappedMethod {
  const odd = stranger(facts, (name) => name === 'method.z');
  if (odd !== undefined) return odd;
  const [rows, dimension] = facts.trainable['method.z'] ?? [];
  if (rows !== 1 || dimension === undefined) return unsupported('has no method.z of one row');
  const missing = Array.from({ length: facts.encoder.layers }, (_, layer) => `frozen.W.${layer}`).find(
    (name) => !(name in facts.frozen),
  );
  if (missing !== undefined) return unsupported(`has no ${missing}`);
  return { kind: 'method', options: { dimension, headReads: headReadsOf(facts) } };
}

function mapWarp(facts: CaseFacts): MappedMethod {
  const odd = stranger(facts, (name) => name === 'method.z');
  if (odd !== undefined) return odd;
  const [prompts] = facts.trainable['method.z'] ?? [];
  if (prompts === undefined) return unsupported('has no method.z');
  return { kind: 'method', options: { prompts, headReads: headReadsOf(facts) } };
}

function mapPasta(facts: CaseFacts): MappedMethod {
  const { layers } = facts.encoder;
  const expected = Array.from({ length: layers }, (_, layer) => `method.e.${layer}`);
  const odd = stranger(facts, (name) => expected.includes(name));
  if (odd !== undefined) return odd;
  const counts = new Set(expected.map((name) => facts.trainable[name]?.[0]));
  const [count] = counts;
  if (count === undefined || counts.size !== 1) return unsupported('does not shift equally many tokens in every layer');
  const { S: slots = count } = facts.hyperparameters;
  if (typeof slots !== 'number' || (slots !== count && count !== 1)) {
    return unsupported(`has ${count} vectors a layer for S = ${JSON.stringify(slots)}`);
  }
  const vectors = slots === count ? 'per-slot' : 'shared';
  return { kind: 'method', options: { slots, vectors } };
}

/** The tensor of prompt rows as the adapters library calls it, and as Hugging Face PEFT does. */
const [libraryPrompt, peftPrompt] = ['method.prompt', 'method.prompt_encoder.embedding.weight'] as const;

function mapPrompt(facts: CaseFacts): MappedMethod {
  const [tensor, ...others] = [...namesOf(facts, 'method'), ...namesOf(facts, 'base')];
  if (others[0] !== undefined) return unsupported(`trains ${others[0]}, which prompt tuning does not have`);
  if (tensor !== libraryPrompt && tensor !== peftPrompt) return unsupported('has no tensor of prompt rows');
  const [length] = facts.trainable[tensor] ?? [];
  const { combine = 'prefix' } = facts.hyperparameters;
  if (combine !== 'prefix' && combine !== 'prefix_after_bos') {
    return unsupported(`combines prompt and text by ${JSON.stringify(combine)}`);
  }
  const said = /\b(before|after) the embedding/i.exec(facts.method)?.[1]?.toLowerCase();
  const before = said === undefined ? tensor === peftPrompt : said === 'before';
  return {
    kind: 'method',
    options: {
      length,
      enter: before ? 'before-embedding' : 'after-embedding',
      place: combine === 'prefix' ? 'before-text' : 'after-first-token',
      headReads: headReadsOf(facts),
    },
    names: new Map([[tensor, 'method.prompt']]),
  };
}

/** Our names of a prefix's tensors by those of the adapters library, after `method.prefix.`, and of PEFT, after `method.prompt_encoder.`. */
const reparametrised: readonly (readonly [library: string, peft: string, ours: string])[] = [
  ['wte.weight', 'embedding.weight', 'embedding'],
  ['control_trans.0.weight', 'transform.0.weight', 'down.weight'],
  ['control_trans.0.bias', 'transform.0.bias', 'down.bias'],
  ['control_trans.2.weight', 'transform.2.weight', 'up.weight'],
  ['control_trans.2.bias', 'transform.2.bias', 'up.bias'],
];

function mapPrefix(facts: CaseFacts): MappedMethod {
  const { layers, hiddenSize } = facts.encoder;
  const names = [...namesOf(facts, 'method'), ...namesOf(facts, 'base')];
  const peft = names.some((name) => name.startsWith('method.prompt_encoder.'));
  const own = (library: string, theirs: string): string =>
    peft ? `method.prompt_encoder.${theirs}` : `method.prefix.${library}`;
  const common = { shiftPositions: peft };
  const columns = 2 * layers * hiddenSize;
  const flat = own('control_trans', 'embedding.weight');
  if (names.length === 1 && names[0] === flat) {
    const length = (facts.trainable[flat] ?? []).reduce((size, dim) => size * dim, 1) / columns;
    return {
      kind: 'method',
      options: { length, reparametrise: false, ...common },
      names: new Map([[flat, 'method.prefix.rows']]),
    };
  }
  const renamed = new Map(
    reparametrised.map(([library, theirs, ours]) => [own(library, theirs), `method.prefix.${ours}`]),
  );
  const odd = stranger(facts, (name) => renamed.has(name));
  if (odd !== undefined) return odd;
  const { activation = 'tanh' } = facts.hyperparameters;
  if (typeof activation !== 'string' || !/tanh/i.test(activation))
    return unsupported(`has the activation ${JSON.stringify(activation)}`);
  const [length] = facts.trainable[own('wte.weight', 'embedding.weight')] ?? [];
  const [bottleneck] = facts.trainable[own('control_trans.0.weight', 'transform.0.weight')] ?? [];
  if (length === undefined || bottleneck === undefined) return unsupported('has not all tensors of a prefix');
  return { kind: 'method', options: { length, bottleneck, reparametrise: true, ...common }, names: renamed };
}

export const rowMappings: readonly MethodMapping[] = [
  { id: 'jr-warp', called: /^jr.?warp\b/i, head: 'linear', map: mapJrWarp },
  { id: 'warp', called: /^warp\b/i, head: 'linear', map: mapWarp },
  { id: 'pasta', called: /^pasta\b/i, map: mapPasta },
  { id: 'prompt-tuning', called: /^prompt.?tuning\b/i, map: mapPrompt },
  { id: 'prefix-tuning', called: /^(?:prefix.?tuning|p-tuning v2)\b/i, map: mapPrefix },
];

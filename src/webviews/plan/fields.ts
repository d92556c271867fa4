import type { PlanInputs } from './messages.ts';

/** The fields of the planner as text, and the inputs that they come to. */

export interface Fields {
  readonly task: string | null;
  readonly examples: string;
  readonly batchSize: string;
  readonly epochs: string;
  readonly delta: string;
  readonly accountant: PlanInputs['accountant'];
  readonly goal: PlanInputs['goal']['kind'];
  readonly epsilon: string;
  readonly noiseMultiplier: string;
  readonly spentOn: string | null;
}

export type NumberField = 'examples' | 'batchSize' | 'epochs' | 'delta' | 'epsilon' | 'noiseMultiplier';

/** What is wrong with a field. */
export type FieldProblem = 'count' | 'positive' | 'delta' | 'too-large';

function written(value: number): string {
  return String(value);
}

/** The fields that say these inputs; of the goal that is not chosen, a usual value. */
export function fieldsOf(inputs: PlanInputs): Fields {
  const { task, examples, batchSize, epochs, delta, accountant, goal, spentOn } = inputs;
  return {
    task,
    examples: written(examples),
    batchSize: written(batchSize),
    epochs: written(epochs),
    delta: delta === null ? '' : written(delta),
    accountant,
    goal: goal.kind,
    epsilon: goal.kind === 'epsilon' ? written(goal.epsilon) : '3',
    noiseMultiplier: goal.kind === 'noise' ? written(goal.noiseMultiplier) : '1',
    spentOn,
  };
}

/** A number as people write it: `67,349`, `67 349`, `1e-5`, `0,5`. NaN where it is none. */
export function numberOf(text: string): number {
  const plain = text.trim().replaceAll(/[\s\u00a0\u202f'’_]/g, '');
  if (plain === '') return NaN;
  if (/^[+-]?\d{1,3}(,\d{3})+$/.test(plain)) return Number(plain.replaceAll(',', ''));
  return Number(plain.replace(',', '.'));
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= 1e12;
}

/** The problems of the fields that count. */
export function problemsOf(fields: Fields): ReadonlyMap<NumberField, FieldProblem> {
  const problems = new Map<NumberField, FieldProblem>();
  const examples = numberOf(fields.examples);
  const batchSize = numberOf(fields.batchSize);
  if (!isCount(examples)) problems.set('examples', 'count');
  if (!isCount(batchSize)) problems.set('batchSize', 'count');
  else if (isCount(examples) && batchSize > examples) problems.set('batchSize', 'too-large');
  for (const name of ['epochs', fields.goal === 'epsilon' ? 'epsilon' : 'noiseMultiplier'] as const) {
    const value = numberOf(fields[name]);
    if (!(value > 0 && value <= 1e6)) problems.set(name, 'positive');
  }
  const delta = numberOf(fields.delta);
  if (fields.delta.trim() !== '' && !(delta >= 1e-100 && delta < 1)) problems.set('delta', 'delta');
  return problems;
}

/** The inputs that the fields say; nothing while one of them is wrong. */
export function inputsOf(fields: Fields): PlanInputs | undefined {
  if (problemsOf(fields).size > 0) return undefined;
  const { task, accountant, goal, spentOn } = fields;
  return {
    task,
    examples: numberOf(fields.examples),
    batchSize: numberOf(fields.batchSize),
    epochs: numberOf(fields.epochs),
    delta: fields.delta.trim() === '' ? null : numberOf(fields.delta),
    accountant,
    goal:
      goal === 'epsilon'
        ? { kind: 'epsilon', epsilon: numberOf(fields.epsilon) }
        : { kind: 'noise', noiseMultiplier: numberOf(fields.noiseMultiplier) },
    spentOn,
  };
}

import { join, resolve } from 'node:path';
import { findNodeAtLocation, type Node } from 'jsonc-parser';
import { z } from 'zod';
import { FileError, messageOf } from '../base/errors.ts';
import { writtenSchema, type JsonSchema } from './configuration-json-schema.ts';
import { leastDelta } from '../privacy/mechanism.ts';
import { describeProblem, problemsOf, type KeyPath } from './configuration-problems.ts';
import { readIfThere } from './files.ts';
import { lineAndColumn, parseJsonText } from './json-text.ts';
import type { Workspace } from './run-folder.ts';

/** `privacy-budget.json`: what a project may spend on its data, beside the `.peft` whose runs it counts, and under version control. */

export const budgetFileName = 'privacy-budget.json';

const budgetSchema = z
  .strictObject({
    $schema: z.string().exactOptional().describe('The schema of this file, for editors.'),
    budgets: z
      .array(
        z.strictObject({
          data: z
            .string()
            .min(1)
            .describe(
              'A data folder or a file of training examples, from the folder of this file. Runs on anything in it count, and runs on copies of its training files.',
            ),
          epsilon: z.number().positive().describe('What all runs on the data may spend together.'),
          delta: z
            .number()
            .min(leastDelta)
            .lt(1)
            .describe('The probability with which epsilon may fail; usually below one in the number of examples.'),
          note: z.string().exactOptional().describe('Why, or on whose word.'),
        }),
      )
      .describe('One for each data set.'),
  })
  .describe('What may be learnt of the training examples from all private runs of this project together.');

/** What a project may spend on some data. */
export interface PrivacyBudget {
  /** As it was written. */
  readonly data: string;
  /** Where it is: an absolute path. */
  readonly place: string;
  readonly epsilon: number;
  readonly delta: number;
}

/** The JSON schema of the file, for editors. */
export function budgetJsonSchema(): JsonSchema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'PEFT Lab privacy budget',
    ...writtenSchema(budgetSchema),
  };
}

/** Where a project declares its privacy budgets. */
export function budgetFile({ folder }: Pick<Workspace, 'folder'>): string {
  return join(folder, budgetFileName);
}

function read(file: string): string | undefined {
  try {
    return readIfThere(file);
  } catch (error) {
    throw new FileError(file, undefined, `cannot be read: ${messageOf(error)}`, undefined, { cause: error });
  }
}

/**
 * The budgets that a project has declared; none where it has no such file.
 * @throws FileError where the file says something else: a budget that cannot be read is no budget
 */
export function readBudgets(workspace: Pick<Workspace, 'folder'>): readonly PrivacyBudget[] {
  const file = budgetFile(workspace);
  const text = read(file);
  if (text === undefined) return [];
  const { root, value, problems } = parseJsonText(text);
  const fails = (offset: number, problem: string): never => {
    throw new FileError(file, lineAndColumn(text, offset).line, problem);
  };
  const [malformed] = problems;
  if (malformed !== undefined) return fails(malformed.offset, describeProblem(malformed));
  const parsed = budgetSchema.safeParse(value);
  if (parsed.success)
    return parsed.data.budgets.map(({ data, epsilon, delta }) => ({
      data,
      place: resolve(workspace.folder, data),
      epsilon,
      delta,
    }));
  const [problem] = problemsOf(parsed.error.issues, value, budgetJsonSchema());
  if (problem === undefined || root === undefined) return fails(0, 'malformed');
  return fails(nearest(root, problem.path).offset, describeProblem(problem));
}

function nearest(root: Node, path: KeyPath): Node {
  for (let length = path.length; length > 0; length--) {
    const found = findNodeAtLocation(root, path.slice(0, length));
    if (found !== undefined) return found;
  }
  return root;
}

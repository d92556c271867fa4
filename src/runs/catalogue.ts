import type { z } from 'zod';
import type { PrivateDefaults, TrainingDefaults } from '../peft/method.ts';
import { findMethod, methodIds } from '../peft/registry.ts';
import { metricNames } from '../tasks/metrics.ts';
import { findTask, listTasks } from '../tasks/registry.ts';

/** The splits that training may be evaluated on. */
const evaluatedSplits = ['dev', 'dev-mismatched'] as const;

/** The names that a configuration may use, and the options that go with them. */
export interface Catalogue {
  readonly methods: {
    ids(): readonly string[];
    /** The options of method `id`, which is one of `ids()`. */
    options(id: string): z.ZodType;
    /** A title for the reference page. */
    title(id: string): string;
    /** What the method wants of training where a configuration says nothing. */
    training?(id: string): Partial<TrainingDefaults> | undefined;
    /** What of it is another in private training. */
    privately?(id: string): PrivateDefaults | undefined;
  };
  readonly tasks: {
    ids(): readonly string[];
    /** The id of the task that goes by `name` (`SST-2` is `sst2`). @throws UserError when there is none */
    find(name: string): string;
    /** Whether the data of task `id` ships, so that it need not be named. */
    ships?(id: string): boolean;
    /** The metrics of task `id` that training may stop by; any are when absent. */
    metrics?(id: string): readonly string[];
  };
}

/** The methods and tasks of this program. */
export const installedCatalogue: Catalogue = {
  methods: {
    ids: methodIds,
    options: (id) => findMethod(id).options,
    title: (id) => findMethod(id).title,
    training: (id) => findMethod(id).training,
    privately: (id) => findMethod(id).privately,
  },
  tasks: {
    ids: () => listTasks().map((task) => task.id),
    find: (name) => findTask(name).id,
    ships: (id) => findTask(id).sample === true,
    metrics: (id) => {
      const task = findTask(id);
      return metricNames(
        task,
        evaluatedSplits.filter((split) => split === 'dev' || task.splits[split] !== undefined),
      );
    },
  },
};

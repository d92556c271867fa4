import { UserError } from '../base/errors.ts';
import { age, counted, cut, grouped, score } from '../base/format.ts';
import { suggestion } from '../base/suggest.ts';
import type { RunState } from '../runs/events.ts';
import { isRunState, runStates } from '../runs/run-states.ts';
import { methodIds } from '../peft/registry.ts';
import { findTask } from '../tasks/registry.ts';
import { sortKeys, type RunFilter, type RunQuery, type SortKey } from '../store/listing.ts';
import type { RunSummary } from '../store/summaries.ts';
import { hasWorkspace, readWorkspace, withStore, type App } from './app.ts';
import { printJson, table, type Column } from './output.ts';
import { withPresentState } from '../store/present-state.ts';
import { progress, title } from '../store/run-text.ts';
import { listed, type ListedRun } from './runs.ts';

/** The options that choose runs, as `ls` and `compare` take them. */
export interface FilterOptions {
  readonly state?: readonly string[];
  readonly task?: readonly string[];
  readonly method?: readonly string[];
  readonly model?: readonly string[];
  readonly tag?: readonly string[];
  readonly text?: string;
  readonly star?: boolean;
}

function checked(what: string, values: readonly string[], known: readonly string[]): readonly string[] {
  const unknown = values.find((value) => !known.includes(value));
  if (unknown === undefined) return values;
  throw new UserError(`there is no ${what} "${unknown}"`, suggestion(unknown, known));
}

/** @throws UserError for a state, task or method that there is none of */
export function filterOf(options: FilterOptions): RunFilter {
  const { state, task, method, model, tag, text, star } = options;
  return {
    ...(state === undefined ? {} : { states: checked('state', state, runStates).filter(isRunState) }),
    ...(task === undefined ? {} : { tasks: task.map((name) => findTask(name).id) }),
    ...(method === undefined ? {} : { methods: checked('method', method, methodIds()) }),
    ...(model === undefined ? {} : { models: model }),
    ...(tag === undefined ? {} : { tags: tag }),
    ...(text === undefined ? {} : { text }),
    ...(star === undefined ? {} : { starred: star }),
  };
}

/** What is sorted the other way round unless said otherwise: of these the greatest or the newest are looked for. */
const descendingKeys: readonly SortKey[] = [
  'id',
  'score',
  'lastScore',
  'starred',
  'examplesPerSecond',
  'createdAt',
  'startedAt',
  'updatedAt',
  'endedAt',
];

function isSortKey(text: string): text is SortKey {
  return (sortKeys as readonly string[]).includes(text);
}

function sortOf(key: string, reverse: boolean): NonNullable<RunQuery['sort']> {
  if (!isSortKey(key)) throw new UserError(`runs cannot be sorted by "${key}"`, suggestion(key, sortKeys));
  return { by: key, descending: descendingKeys.includes(key) !== reverse };
}

export interface ListOptions extends FilterOptions {
  readonly sort: string;
  readonly reverse: boolean;
  readonly limit?: number;
}

/** Lines that are still read at a glance. */
const defaultLimit = 30;

/** States that may turn out to be another when the processes are asked. */
const uncertain: readonly RunState[] = ['queued', 'starting', 'running'];

const columns = (narrow: boolean): readonly Column<ListedRun>[] => {
  const now = Date.now();
  return [
    // The last six characters are as good a name as the whole.
    { title: 'id', cell: ({ id }) => (narrow ? id.slice(-6) : id) },
    { title: 'state', cell: ({ state, starred }) => (starred ? `${state} ★` : state) },
    { title: 'name', cell: title, shrinks: 8, drops: 1 },
    { title: 'task', cell: ({ task }) => task ?? '-' },
    { title: 'method', cell: ({ method }) => method ?? '-' },
    { title: 'seed', cell: ({ seed }) => String(seed ?? '-'), align: 'right', drops: 5 },
    { title: 'score', cell: (run) => score(run.score), align: 'right' },
    {
      title: 'trained',
      cell: ({ parameters }) => (parameters === null ? '-' : grouped(parameters.total)),
      align: 'right',
      drops: 2,
    },
    { title: 'progress', cell: progress, shrinks: 12, drops: 3 },
    { title: 'tags', cell: ({ tags }) => tags.join(' '), shrinks: 6, drops: 6 },
    {
      title: 'age',
      cell: ({ createdAt }) => (createdAt === null ? '-' : age(now - createdAt)),
      align: 'right',
      drops: 4,
    },
  ];
};

async function query(app: App, options: ListOptions): Promise<{ runs: readonly ListedRun[]; total: number }> {
  const filter = filterOf(options);
  const sort = sortOf(options.sort, options.reverse);
  if (!hasWorkspace(app)) return { runs: [], total: 0 };
  const workspace = readWorkspace(app);
  const limit = options.limit ?? (app.json ? 0 : defaultLimit);
  const wanted = filter.states;
  if (wanted === undefined) {
    const page = await withStore(app, (store) => store.list({ ...filter, sort, ...(limit === 0 ? {} : { limit }) }));
    return {
      runs: page.runs.map((run) => listed(workspace, withPresentState(workspace, run))),
      total: page.total,
    };
  }
  const states = [...new Set([...wanted, ...uncertain])];
  const { runs } = await withStore(app, (store) => store.list({ ...filter, states, sort }));
  const meant = runs
    .map((run): RunSummary => withPresentState(workspace, run))
    .filter(({ state }) => wanted.includes(state));
  const shown = limit === 0 ? meant : meant.slice(0, limit);
  return { runs: shown.map((run) => listed(workspace, run)), total: meant.length };
}

/** `peft-lab ls`: the runs of the workspace, the newest first. */
export async function listCommand(app: App, options: ListOptions): Promise<number> {
  const { runs, total } = await query(app, options);
  if (app.json) {
    printJson(app.terminal, { runs, total });
    return 0;
  }
  const { width } = app.terminal;
  if (runs.length === 0) {
    const any = hasWorkspace(app) && (await withStore(app, (store) => store.list({ limit: 1 }))).total > 0;
    app.terminal.err(
      any
        ? 'no run fits\n'
        : `no runs yet in ${readWorkspace(app).folder}; start one with: peft-lab run FILE.peft.json\n`,
    );
    return 0;
  }
  app.terminal.out(table(runs, columns(width !== undefined && width < 140), width));
  if (runs.length < total)
    app.terminal.err(
      cut(`${grouped(runs.length)} of ${counted(total, 'run')}; --limit 0 shows all`, width ?? 200) + '\n',
    );
  return 0;
}

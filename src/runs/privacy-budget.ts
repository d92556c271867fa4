import { existsSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { grouped } from '../base/format.ts';
import { pathBelow } from '../engine/path-below.ts';
import { privacySpent, type PrivacySpent } from '../privacy/accountant.ts';
import type { Phase } from '../privacy/mechanism.ts';
import { loadSplit } from '../tasks/read/load.ts';
import { dataExtensions, requireSplitFiles } from '../tasks/read/source.ts';
import { findTask } from '../tasks/registry.ts';
import { installedCatalogue } from './catalogue.ts';
import { budgetFileName, readBudgets, type PrivacyBudget } from './budget-file.ts';
import type { Configuration } from './configuration-schema.ts';
import { dataIds } from './data-id.ts';
import { isMissing } from './files.ts';
import { projectAccounts, placeOfData, type Ledger, type OpenRun, type RunAccount } from './privacy-accounts.ts';
import { planPrivateTraining } from './private-training.ts';
import {
  readableEnvironment,
  readConfiguration,
  readEnvironment,
  runFolder,
  writeEnvironment,
  type NewRun,
  type Workspace,
} from './run-folder.ts';
import { trainingRequest } from './training-request.ts';

/**
 * A project's budget: everything that its private runs have released from a data set is composed, whatever their rates and noises, and a run
 * that would bring the composition beyond what was declared is refused unless the user says that it may.
 */

/** Data that are counted together, with all that was spent on them. */
export interface DataSetAccount {
  /** As the budget names them, or where they lie. */
  readonly data: string;
  readonly budget: PrivacyBudget | undefined;
  readonly runs: readonly RunAccount[];
  /** Runs on the same data that are not private; no epsilon covers them. */
  readonly open: readonly OpenRun[];
}

/** Whether a path is a place or lies in it. */
function isWithin(path: string | undefined, place: string): boolean {
  return path !== undefined && pathBelow(place, path) !== undefined;
}

function isDataFile(place: string): boolean {
  return dataExtensions.some((extension) => place.endsWith(`.${extension}`));
}

interface Located extends Pick<RunAccount, 'place' | 'trainingData'> {
  /** The training files that were found for it, without symbolic links. */
  readonly files?: readonly string[];
}

/** Data that count together. */
interface Cluster {
  readonly data: string;
  readonly budget: PrivacyBudget | undefined;
  /** Where the budget's data lie, by every name. */
  readonly roots: readonly string[];
  readonly places: Set<string>;
  readonly ids: Set<string>;
  readonly members: Set<Located>;
}

function fits(cluster: Cluster, { place, files = [], trainingData }: Located): boolean {
  if (trainingData.some((id) => cluster.ids.has(id))) return true;
  const { budget, roots, places } = cluster;
  if (budget === undefined) return place !== undefined && places.has(place);
  if (isDataFile(budget.place) && place === dirname(budget.place)) return true;
  return roots.some((root) => [place, ...files].some((path) => isWithin(path, root)));
}

function take(cluster: Cluster, member: Located): void {
  cluster.members.add(member);
  for (const id of member.trainingData) cluster.ids.add(id);
  // Where no budget says which folder is meant, each place that the data were at is theirs.
  if (cluster.budget === undefined && member.place !== undefined) cluster.places.add(member.place);
}

/** A budget, and the training files that lie at its place now. */
interface Declared {
  readonly budget: PrivacyBudget;
  readonly roots: readonly string[];
  readonly ids: readonly string[];
}

/** Puts members to the budgets that they count for, and the others together by their data. */
function clustersOf(declared: readonly Declared[], members: readonly Located[]): readonly Cluster[] {
  const clusters: Cluster[] = declared.map(({ budget, roots, ids }) => ({
    data: budget.data,
    budget,
    roots,
    places: new Set(),
    ids: new Set(ids),
    members: new Set(),
  }));
  // A copy elsewhere may be recognised only by a member that comes later.
  for (let grown = true; grown;) {
    grown = false;
    for (const cluster of clusters)
      for (const member of members)
        if (!cluster.members.has(member) && fits(cluster, member)) {
          take(cluster, member);
          grown = true;
        }
  }
  const counted = new Set(clusters.flatMap((cluster) => [...cluster.members]));
  for (const member of members) {
    if (counted.has(member)) continue;
    const own: Cluster = {
      data: member.place ?? '',
      budget: undefined,
      roots: [],
      places: new Set(),
      ids: new Set(),
      members: new Set(),
    };
    take(own, member);
    for (const other of clusters.filter((each) => each.budget === undefined && fits(each, member))) {
      for (const each of other.members) take(own, each);
      clusters.splice(clusters.indexOf(other), 1);
    }
    clusters.push(own);
  }
  return clusters;
}

/** The training files at a place: itself, or what in it and in the folders of it has the name of a training split. */
async function trainingFilesAt(place: string, depth = 1): Promise<readonly string[]> {
  if (isDataFile(place)) return existsSync(place) ? [place] : [];
  const found: string[] = [];
  for (const name of (await readdir(place).catch(() => [])).toSorted()) {
    const path = join(place, name);
    // What a link leads to.
    const kind = await stat(path).catch(() => undefined);
    if (kind?.isDirectory() === true && depth > 0) found.push(...(await trainingFilesAt(path, depth - 1)));
    else if (kind?.isFile() === true && /^train[.-]/.test(name) && isDataFile(path)) found.push(path);
  }
  return found;
}

/** A path without symbolic links; as it is where nothing lies there. */
async function realPathOf(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}

async function declaredBudgets(workspace: Workspace): Promise<readonly Declared[]> {
  const declared: Declared[] = [];
  for (const budget of readBudgets(workspace)) {
    const files = existsSync(workspace.peft) ? await trainingFilesAt(budget.place) : [];
    const roots = [...new Set([budget.place, await realPathOf(budget.place)])];
    declared.push({ budget, roots, ids: files.length === 0 ? [] : await dataIds(workspace.peft, files) });
  }
  return declared;
}

/** The project's data sets: those with a budget first, in the order of the file, then others that private runs were on. */
export async function dataSetAccounts(workspace: Workspace): Promise<readonly DataSetAccount[]> {
  const { runs, open } = await projectAccounts(workspace);
  return clustersOf(await declaredBudgets(workspace), runs).map((cluster) => ({
    data: cluster.data,
    budget: cluster.budget,
    runs: runs.filter((run) => cluster.members.has(run)),
    open: open.filter((run) => fits(cluster, { place: run.place, trainingData: [] })),
  }));
}

/** The phases of runs that have any. */
export function phasesOf(runs: readonly RunAccount[]): readonly Phase[] {
  return runs.flatMap(({ phase }) => (phase === undefined || phase.steps === 0 ? [] : [phase]));
}

/** The composition of what was spent on a data set, at its budget's delta or at the least of its runs'. */
export function spentOn({ budget, runs }: DataSetAccount): (PrivacySpent & { readonly delta: number }) | undefined {
  const deltas = runs.flatMap(({ delta }) => delta ?? []);
  const delta = budget?.delta ?? (deltas.length === 0 ? undefined : Math.min(...deltas));
  return delta === undefined ? undefined : { ...privacySpent(phasesOf(runs), delta), delta };
}

/** A run before it is made. */
interface Candidate extends Located {
  /** Undefined for a run that is not private. */
  readonly phase: Phase | undefined;
}

/** The training files of a run, by their contents and by their paths without symbolic links. */
interface FoundData {
  readonly trainingData: readonly string[];
  readonly files: readonly string[];
}

async function foundData(workspace: Workspace, files: readonly string[]): Promise<FoundData> {
  // Where nothing was run yet, nothing was told apart by its contents, and who only asks makes nothing.
  const trainingData = existsSync(workspace.peft) ? await dataIds(workspace.peft, files) : [];
  return { trainingData, files: await Promise.all(files.map(realPathOf)) };
}

interface Reader {
  /** For a private run, whose epsilon depends on how many examples there are. */
  readonly examples: (configuration: Configuration) => Promise<FoundData & { readonly examples: number }>;
  /** For one that is not private; nothing where the data cannot be found, since then it cannot be trained on them either. */
  readonly data: (configuration: Configuration) => Promise<FoundData>;
}

/** @throws UserError */
async function trainingFilesOf(configuration: Configuration): Promise<readonly string[]> {
  const { task } = trainingRequest(configuration);
  const { data } = task;
  if (typeof data === 'string' && (await stat(data).catch(() => undefined))?.isFile() === true) return [data];
  return requireSplitFiles(findTask(task.textsOf ?? task.id), data, 'train');
}

/** Reads what of a configuration's training data an account needs; each only once. */
function reader(workspace: Workspace): Reader {
  const onceEach = <T>(work: (configuration: Configuration) => Promise<T>): ((c: Configuration) => Promise<T>) => {
    const asked = new Map<string, Promise<T>>();
    return (configuration) => {
      const { id, data, textsOf, malformedRows } = configuration.task;
      const key = JSON.stringify([id, data, textsOf, malformedRows]);
      const found = asked.get(key) ?? work(configuration);
      asked.set(key, found);
      return found;
    };
  };
  return {
    examples: onceEach(async (configuration) => {
      const { task } = trainingRequest(configuration);
      const malformedRows = task.malformedRows ?? 'error';
      const { examples, files } = await loadSplit(findTask(task.id), task.data, 'train', { malformedRows });
      return { examples: examples.length, ...(await foundData(workspace, files)) };
    }),
    data: onceEach(async (configuration) => {
      try {
        return await foundData(workspace, await trainingFilesOf(configuration));
      } catch (error) {
        if (error instanceof UserError || isMissing(error)) return { trainingData: [], files: [] };
        throw error;
      }
    }),
  };
}

/** Plans runs as their trainer will; equal plans are calibrated once. */
function planner(read: Reader): (configuration: Configuration) => Promise<Candidate> {
  const planned = new Map<string, Phase>();
  return async (configuration) => {
    const { privacy, training, task } = configuration;
    const place = placeOfData(task);
    if (privacy === undefined) return { place, ...(await read.data(configuration)), phase: undefined };
    const { examples, ...data } = await read.examples(configuration);
    const { settings, examples: subset } = trainingRequest(configuration);
    const count = Math.min(subset ?? examples, examples);
    const { seed: _, ...others } = training;
    const key = JSON.stringify([privacy, others, count]);
    const phase = planned.get(key) ?? phaseOfPlan(configuration, settings, count);
    planned.set(key, phase);
    return { place, ...data, phase };
  };
}

function phaseOfPlan(
  { privacy }: Configuration,
  settings: Parameters<typeof planPrivateTraining>[1],
  examples: number,
): Phase {
  if (privacy === undefined) throw new Error('a run that is not private has no plan');
  const { samplingRate, noiseMultiplier, totalSteps } = planPrivateTraining(privacy, settings, examples);
  return {
    samplingRate,
    noiseMultiplier: privacy.insecureSeed === undefined ? noiseMultiplier : 0,
    steps: totalSteps,
  };
}

/** A budget that runs would exceed. */
export interface BudgetBreach {
  readonly data: string;
  readonly budget: { readonly epsilon: number; readonly delta: number };
  /** What is spent, or promised to runs under way, without them; infinite values are null. */
  readonly before: number | null;
  /** What would be spent with them. */
  readonly after: number | null;
  /** How many of the new runs count for it. */
  readonly runs: number;
  /** `not-private`: some of them have no epsilon at all. */
  readonly reason: 'exceeds' | 'not-private';
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** What is wrong with the candidates of a cluster, given the runs of it. */
function breachOf(
  { budget, data, members }: Cluster,
  runs: readonly RunAccount[],
  candidates: readonly Candidate[],
): readonly BudgetBreach[] {
  const own = candidates.filter((candidate) => members.has(candidate));
  if (budget === undefined || own.length === 0) return [];
  const { epsilon, delta } = budget;
  const spent = phasesOf(runs.filter((run) => members.has(run)));
  const before = privacySpent(spent, delta).epsilon;
  const base = { data, budget: { epsilon, delta }, before: finite(before), runs: own.length };
  if (own.some(({ phase }) => phase === undefined)) return [{ ...base, after: null, reason: 'not-private' }];
  const after = privacySpent([...spent, ...own.flatMap(({ phase }) => phase ?? [])], delta).epsilon;
  return after <= epsilon ? [] : [{ ...base, after: finite(after), reason: 'exceeds' }];
}

/**
 * The budgets that new runs, all of them together, would exceed: beside what was released counts what runs that wait or run may still
 * release. Their training data are read where a budget is declared.
 * @param without runs that count as new ones, such as those that are resumed
 * @throws FileError for a budget file or training data that cannot be read
 */
export async function budgetBreaches(
  workspace: Workspace,
  configurations: readonly Configuration[],
  { without = [] }: { readonly without?: readonly string[] } = {},
): Promise<readonly BudgetBreach[]> {
  const budgets = await declaredBudgets(workspace);
  if (budgets.length === 0) return [];
  const plan = planner(reader(workspace));
  const candidates: Candidate[] = [];
  for (const configuration of configurations) candidates.push(await plan(configuration));
  const { runs } = await projectAccounts(workspace);
  const counted: RunAccount[] = [];
  for (const account of runs.filter(({ run }) => !without.includes(run))) {
    const isUnknown = account.phase === undefined && account.counted === 'planned';
    const configuration = isUnknown ? waitingConfiguration(workspace, account.run) : undefined;
    counted.push(configuration === undefined ? account : { ...account, ...(await plan(configuration)) });
  }
  return clustersOf(budgets, [...counted, ...candidates]).flatMap((cluster) => breachOf(cluster, counted, candidates));
}

/** The configuration of a run that waits; undefined where it cannot be read, so that no trainer will either. */
function waitingConfiguration(workspace: Workspace, run: string): Configuration | undefined {
  try {
    return readConfiguration(runFolder(workspace, run), installedCatalogue);
  } catch {
    return undefined;
  }
}

/** An epsilon for people. */
export function epsilonText(value: number | null): string {
  return value === null ? 'unbounded' : String(Number(value.toPrecision(3)));
}

/** A breach in one sentence. */
export function describeBreach({ data, budget, before, after, runs, reason }: BudgetBreach): string {
  const who = runs === 1 ? 'this run' : `these ${grouped(runs)} runs`;
  const limit = `the project's budget for ${data} is epsilon ${epsilonText(budget.epsilon)} at delta ${budget.delta}`;
  if (reason === 'not-private')
    return `${limit}, and ${who === 'this run' ? 'this run is' : 'some of these runs are'} not private, so that no epsilon covers ${runs === 1 ? 'it' : 'them'}`;
  return `${limit}; ${epsilonText(before)} of it is spent or promised, and ${who} would make it ${epsilonText(after)}`;
}

/** Tells that runs were refused because of a budget. */
export function budgetError(breaches: readonly BudgetBreach[]): UserError {
  const isOpen = breaches.some(({ reason }) => reason === 'not-private');
  return new UserError(
    breaches.map(describeBreach).join('\n  '),
    `${isOpen ? 'Train with privacy' : 'Spend less (a smaller epsilon, fewer steps)'}, change ${budgetFileName}, or go beyond it knowingly with --exceed-budget.`,
  );
}

/** Runs as they may be submitted: with the user's word, where a budget needed it, in their environment. */
export function withConsent(runs: readonly NewRun[]): readonly NewRun[] {
  return runs.map((run) => ({ ...run, environment: { ...run.environment, exceedsBudget: true } }));
}

/**
 * Refuses runs that a budget does not allow.
 * @param exceed the user has said that they may go beyond it
 * @throws UserError
 */
export async function admitRuns(
  workspace: Workspace,
  runs: readonly NewRun[],
  { exceed }: { readonly exceed: boolean },
): Promise<readonly NewRun[]> {
  const breaches = await budgetBreaches(
    workspace,
    runs.map(({ configuration }) => configuration),
  );
  if (breaches.length === 0) return runs;
  if (!exceed) throw budgetError(breaches);
  return withConsent(runs);
}

/** A run that goes on. */
export interface ResumedRun {
  readonly id: string;
  readonly configuration: Configuration;
}

/** The budgets that runs would exceed that go on, each with all of its steps; those that may exceed it already are left out. */
export async function resumeBreaches(
  workspace: Workspace,
  runs: readonly ResumedRun[],
): Promise<readonly BudgetBreach[]> {
  const asked = runs.filter(({ id }) => readableEnvironment(runFolder(workspace, id))?.exceedsBudget !== true);
  const configurations = asked.map(({ configuration }) => configuration);
  return budgetBreaches(workspace, configurations, { without: asked.map(({ id }) => id) });
}

/**
 * As {@link admitRuns}, for runs that go on. Consent is kept in their environment.
 * @throws UserError
 */
export async function admitResumed(
  workspace: Workspace,
  runs: readonly ResumedRun[],
  { exceed }: { readonly exceed: boolean },
): Promise<void> {
  const breaches = await resumeBreaches(workspace, runs);
  if (breaches.length === 0) return;
  if (!exceed) throw budgetError(breaches);
  for (const { id } of runs) {
    const folder = runFolder(workspace, id);
    writeEnvironment(folder, { ...readEnvironment(folder), exceedsBudget: true });
  }
}

/**
 * The last gate, in the trainer: a run whose ledger is written counts beside all others that have begun, and is refused where the budget
 * does not hold them all, so that of two that started at once none slips through.
 * @param ledger undefined for a run that is not private
 * @param files what its training examples were read from
 * @throws UserError
 */
export async function refuseBeyondBudget(
  workspace: Workspace,
  run: string,
  place: string | undefined,
  ledger: Omit<Ledger, 'segment' | 'seq' | 'time'> | undefined,
  files: readonly string[],
): Promise<void> {
  const budgets = await declaredBudgets(workspace);
  if (budgets.length === 0) return;
  const { runs } = await projectAccounts(workspace);
  const own = runs.find((account) => account.run === run);
  const candidate: Candidate = {
    place,
    trainingData: ledger?.trainingData ?? (await dataIds(workspace.peft, files)),
    files: await Promise.all(files.map(realPathOf)),
    phase: ledger === undefined ? undefined : own?.phase,
  };
  const others = runs.filter((account) => account !== own);
  const breaches = clustersOf(budgets, [...others, candidate]).flatMap((cluster) =>
    breachOf(cluster, others, [candidate]),
  );
  if (breaches.length > 0) throw budgetError(breaches);
}

import { basename } from 'node:path';
import { bytes, grouped, percent } from '../../base/format.ts';
import type { Catalogue, Counted, CountRequest, ModelChoice } from '../worker/operations.ts';
import { t } from './l10n.ts';
import type { Choice, Choices, InputStep, PickStep, Step } from './steps.ts';
import { oneLine } from './text.ts';

/** The questions of "Start Run", as data: what is asked, what can be chosen, and what the answers come to. */

/** What was chosen the last time, offered first the next time. */
export interface StartMemory {
  readonly model?: string;
  readonly recentModels?: readonly string[];
  readonly task?: string;
  /** Where each task's data was. */
  readonly data?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly seeds?: readonly number[];
  /** Null for no privacy. */
  readonly epsilon?: number | null;
  readonly device?: string;
  readonly file?: string;
}

export interface StartState {
  /** The key of the workspace folder that gets the run. */
  readonly folder?: string;
  readonly source?: { readonly kind: 'new' } | { readonly kind: 'file'; readonly path: string };
  readonly via?: 'hub' | 'browse' | 'other';
  readonly model?: string;
  readonly task?: string;
  readonly data?: string;
  readonly method?: string;
  readonly seeds?: readonly number[];
  readonly epsilon?: number | null;
  readonly device?: string;
  /** `plan`: the privacy planner is opened with the answers so far. */
  readonly finish?: 'start' | 'open' | 'plan';
  /** A new file gets a matrix to begin with, in place of one of its seeds. */
  readonly matrix?: 'example';
  /** What the planner has settled. */
  readonly training?: Readonly<Record<string, number>>;
  readonly privacy?: Readonly<Record<string, unknown>>;
}

/** Batch size and epochs of a new configuration. */
export const usualBatchSize = 32;
export const usualEpochs = 3;

export interface FoundConfiguration {
  readonly path: string;
  readonly label: string;
  /** How many it describes; undefined where something is wrong with it. */
  readonly runs: number | undefined;
}

/** Answers to what the steps have to know. None of them is asked before its step is reached. */
export interface StartFacts {
  readonly folders: readonly { readonly key: string; readonly name: string }[];
  readonly memory: StartMemory;
  readonly catalogue: Catalogue;
  /** Configuration files of the workspace. */
  readonly configurations: () => Promise<readonly FoundConfiguration[]>;
  readonly models: () => Promise<readonly ModelChoice[]>;
  readonly count: (request: CountRequest) => Promise<Counted>;
  /** The noise multiplier that keeps a training with the usual batch and epochs on so many examples within an epsilon. */
  readonly noise: (examples: number, epsilon: number) => Promise<number>;
  /** Folders of the workspace that hold training data, best first for the task. */
  readonly dataFolders: (task: string) => Promise<readonly string[]>;
  /** What can compute the runs of a folder, as far as that may be asked; it takes a moment. */
  readonly providers: (folder: string | undefined) => Promise<readonly string[]>;
}

type Transition = (state: StartState) => StartState;
type Show = (choices: Choices<Transition>) => void;

function answer(change: Partial<StartState>): Transition {
  return ({ via: _via, ...state }) => ({ ...state, ...change });
}

/** Asks the second question of the same step. */
function via(how: NonNullable<StartState['via']>): Transition {
  return (state) => ({ ...state, via: how });
}

function heading(label: string): Choice<Transition> {
  return { kind: 'heading', label };
}

function choice(
  label: string,
  value: Transition,
  others: { description?: string; detail?: string; icon?: string } = {},
): Choice<Transition> {
  return { kind: 'choice', label, value, ...others };
}

/** The transition among a list that leads to what was remembered. */
function remembered(wanted: Partial<StartState>): (value: Transition) => boolean {
  const [key] = Object.keys(wanted) as (keyof StartState)[];
  return (value) => key !== undefined && JSON.stringify(value({})[key]) === JSON.stringify(wanted[key]);
}

function pick(title: string, placeholder: string, load: PickStep<StartState>['load']): PickStep<StartState> {
  return { kind: 'pick', title, placeholder, load };
}

function input(
  others: Omit<InputStep<StartState>, 'kind' | 'value'> & { readonly value?: string },
): InputStep<StartState> {
  const { value = '', ...rest } = others;
  return { kind: 'input', ...rest, value: () => value };
}

function folderStep({ folders }: StartFacts): Step<StartState> {
  return {
    id: 'folder',
    // A file's runs are kept in its own folder.
    isNeeded: (state) => folders.length > 1 && state.source?.kind === 'new' && state.folder === undefined,
    question: () =>
      pick(t('Workspace folder'), t('The folder whose .peft keeps the run'), (_, show) =>
        show({
          busy: false,
          items: folders.map(({ key, name }) =>
            choice(oneLine(name), answer({ folder: key }), { icon: 'root-folder' }),
          ),
        }),
      ),
  };
}

function fileChoice({ path, label }: FoundConfiguration, icon: string, description: string): Choice<Transition> {
  return choice(oneLine(label), answer({ source: { kind: 'file', path }, finish: 'start' }), { icon, description });
}

function noteOf({ runs }: FoundConfiguration): string {
  if (runs === undefined) return t('has problems');
  return runs === 1 ? '' : t('sweep of {0} runs', runs);
}

function sourceStep(facts: StartFacts): Step<StartState> {
  const fresh = choice(t('New configuration…'), answer({ source: { kind: 'new' } }), {
    icon: 'add',
    description: t('choose model, task and method'),
  });
  return {
    id: 'source',
    isNeeded: (state) => state.source === undefined,
    question: () =>
      pick(t('Configuration'), t('A configuration file, or a new one'), async (_, show) => {
        show({ busy: true, items: [fresh] });
        const { file } = facts.memory;
        const found = await facts.configurations();
        const sorted = [...found].sort((a, b) => Number(b.path === file) - Number(a.path === file));
        const files = sorted.map((each) => {
          const notes = each.path === file ? [t('last used'), noteOf(each)] : [noteOf(each)];
          return fileChoice(each, 'json', notes.filter((part) => part !== '').join(' · '));
        });
        show({
          busy: false,
          items: files.length === 0 ? [fresh] : [fresh, heading(t('configuration files')), ...files],
        });
      }),
  };
}

function sweepSourceStep(facts: StartFacts): Step<StartState> {
  const fresh = choice(
    t('New sweep…'),
    answer({ source: { kind: 'new' }, seeds: [0], matrix: 'example', finish: 'open' }),
    { icon: 'add', description: t('a file with a matrix of ranks, learning rates and seeds') },
  );
  return {
    id: 'source',
    isNeeded: (state) => state.source === undefined,
    question: () =>
      pick(t('Configuration'), t('A configuration file with a matrix'), async (_, show) => {
        show({ busy: true, items: [fresh] });
        const sweeps = (await facts.configurations()).flatMap((found) =>
          found.runs === undefined || found.runs < 2 ? [] : [fileChoice(found, 'beaker', t('{0} runs', found.runs))],
        );
        show({ busy: false, items: [...sweeps, fresh] });
      }),
  };
}

const hubName = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

function modelStep(facts: StartFacts): Step<StartState> {
  const isNew = (state: StartState): boolean => state.source?.kind === 'new';
  return {
    id: 'model',
    isNeeded: (state) => isNew(state) && state.model === undefined,
    question: (state) => {
      if (state.via === 'hub')
        return input({
          title: t('Model'),
          prompt: t('The id of an encoder on the Hugging Face hub; it is downloaded when the run starts'),
          placeholder: 'google-bert/bert-base-uncased',
          problem: (text) => (hubName.test(text.trim()) ? undefined : t('An id looks like owner/name')),
          apply: (before, text) => answer({ model: text.trim() })(before),
        });
      if (state.via === 'browse')
        return { kind: 'browse', title: t('Use this model'), apply: (before, path) => answer({ model: path })(before) };
      return pick(t('Model'), t('The pretrained encoder'), (_, show) => loadModels(facts, show));
    },
  };
}

async function loadModels(facts: StartFacts, show: Show): Promise<void> {
  const { model, recentModels = [] } = facts.memory;
  const ways = [
    choice(t('Hub id…'), via('hub'), { icon: 'cloud-download', description: t('any encoder on the Hugging Face hub') }),
    choice(t('Folder…'), via('browse'), { icon: 'folder-opened', description: t('config.json and model.safetensors') }),
  ];
  const active = model === undefined ? {} : { active: remembered({ model }) };
  const recent = recentModels.map((name) => choice(oneLine(name), answer({ model: name }), { icon: 'history' }));
  const head = recent.length === 0 ? [] : [heading(t('recently used')), ...recent];
  show({ busy: true, items: [...head, heading(t('elsewhere')), ...ways], ...active });
  const found = (await facts.models()).filter(({ name }) => !recentModels.includes(name));
  const usable = found.filter(({ problem }) => problem === undefined);
  const local = usable.map(({ name, source, family, weightBytes }) => {
    const description = [
      source === 'shipped' ? t('ships with PEFT Lab') : '',
      family ?? '',
      weightBytes === 0 ? '' : bytes(weightBytes),
    ].filter((part) => part !== '');
    return choice(source === 'folder' ? oneLine(basename(name)) : oneLine(name), answer({ model: name }), {
      icon: source === 'folder' ? 'folder' : 'package',
      description: description.join(' · '),
      ...(source === 'folder' ? { detail: oneLine(name) } : {}),
    });
  });
  const onDisk = local.length === 0 ? [] : [heading(t('on this machine')), ...local];
  show({ busy: false, items: [...head, ...onDisk, heading(t('elsewhere')), ...ways], ...active });
}

function taskStep({ catalogue, memory }: StartFacts): Step<StartState> {
  const among = (label: string, ships: boolean): readonly Choice<Transition>[] => {
    const tasks = catalogue.tasks.filter(({ sample }) => sample === ships);
    const choices = tasks.map(({ id, title, description, trainExamples }) =>
      choice(title, answer({ task: id }), {
        description: trainExamples === undefined ? id : t('{0} training examples', grouped(trainExamples)),
        detail: description,
      }),
    );
    return choices.length === 0 ? [] : [heading(label), ...choices];
  };
  return {
    id: 'task',
    isNeeded: (state) => state.source?.kind === 'new' && state.task === undefined,
    question: () =>
      pick(t('Task'), t('What is learnt'), (_, show) =>
        show({
          busy: false,
          items: [...among(t('data ships with PEFT Lab'), true), ...among(t('data of your own'), false)],
          ...(memory.task === undefined ? {} : { active: remembered({ task: memory.task }) }),
        }),
      ),
  };
}

function dataStep(facts: StartFacts): Step<StartState> {
  return {
    id: 'data',
    // Data that comes with the program need not be looked for.
    isNeeded: (state) =>
      state.source?.kind === 'new' &&
      state.data === undefined &&
      facts.catalogue.tasks.find(({ id }) => id === state.task)?.sample !== true,
    question: (state) => {
      if (state.via === 'browse')
        return { kind: 'browse', title: t('Use this data'), apply: (before, path) => answer({ data: path })(before) };
      const task = state.task ?? '';
      return pick(
        t('Data'),
        t('The folder with train and dev files (.tsv, .csv, .jsonl or .parquet)'),
        async (_, show) => {
          const last = facts.memory.data?.[task];
          const browse = choice(t('Folder…'), via('browse'), { icon: 'folder-opened' });
          const lastOnes =
            last === undefined
              ? []
              : [
                  choice(oneLine(basename(last)), answer({ data: last }), {
                    icon: 'history',
                    description: t('last used'),
                    detail: oneLine(last),
                  }),
                ];
          show({ busy: true, items: [...lastOnes, browse] });
          const found = (await facts.dataFolders(task)).filter((path) => path !== last);
          const folders = found.map((path) =>
            choice(oneLine(basename(path)), answer({ data: path }), { icon: 'folder', detail: oneLine(path) }),
          );
          show({ busy: false, items: [...lastOnes, ...folders, browse] });
        },
      );
    },
  };
}

function countText({ method, head, total, encoder }: Counted): string {
  const parts =
    encoder === 0 || method === 0
      ? t('{0} method + {1} head', grouped(method), grouped(head))
      : t('{0} method ({1}) + {2} head', grouped(method), percent(method, encoder), grouped(head));
  return `${t('{0} trained', grouped(total))} · ${parts}`;
}

function methodStep(facts: StartFacts): Step<StartState> {
  const { catalogue, memory } = facts;
  return {
    id: 'method',
    isNeeded: (state) => state.source?.kind === 'new' && state.method === undefined,
    question: () =>
      pick(t('Method'), t('How it is fine-tuned; percentages are of the encoder'), async (state, show, signal) => {
        const counts = new Map<string, string>();
        const draw = (busy: boolean): void =>
          show({
            busy,
            items: catalogue.methods.map(({ id, title, description, needsOptions }) =>
              needsOptions
                ? choice(title, answer({ method: id, finish: 'open' }), {
                    description: t('its options have to be written: the file is opened'),
                    detail: description,
                  })
                : choice(title, answer({ method: id }), {
                    description: counts.get(id) ?? (busy ? t('counting…') : ''),
                    detail: description,
                  }),
            ),
            ...(memory.method === undefined ? {} : { active: remembered({ method: memory.method }) }),
          });
        draw(true);
        for (const { id, needsOptions } of catalogue.methods) {
          if (signal.aborted) return;
          if (needsOptions) continue;
          try {
            counts.set(id, countText(await facts.count({ model: state.model ?? '', task: state.task, method: id })));
          } catch {
            // A model that is not there yet can't be counted; it is told when the run starts.
            counts.set(id, '');
          }
          draw(true);
        }
        draw(false);
      }),
  };
}

/** `0, 1, 5-8` as seeds; nothing where it is not a list of them. */
export function parseSeeds(text: string): readonly number[] | undefined {
  const seeds: number[] = [];
  for (const part of text.split(',')) {
    const [, first = '', last] = /^\s*(\d{1,10})\s*(?:[-–]\s*(\d{1,10})\s*)?$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last ?? first)];
    if (first === '' || to < from || to > 0xffffffff || to - from >= 1000) return undefined;
    for (let seed = from; seed <= to; seed++) seeds.push(seed);
  }
  return new Set(seeds).size === seeds.length ? seeds : undefined;
}

function firstSeeds(count: number): readonly number[] {
  return Array.from({ length: count }, (_, seed) => seed);
}

function seedStep({ memory }: StartFacts): Step<StartState> {
  return {
    id: 'seeds',
    isNeeded: (state) => state.source?.kind === 'new' && state.seeds === undefined,
    question: (state) => {
      if (state.via === 'other')
        return input({
          title: t('Seeds'),
          prompt: t('One run for each seed'),
          placeholder: '0, 1, 5-8',
          value: (memory.seeds ?? [0]).join(', '),
          problem: (text) =>
            parseSeeds(text) === undefined ? t('A list of different whole numbers, such as 0, 1, 5-8') : undefined,
          apply: (before, text) => answer({ seeds: parseSeeds(text) ?? [0] })(before),
        });
      return pick(t('Seeds'), t('How often it is repeated, each time with another seed'), (_, show) =>
        show({
          busy: false,
          items: [
            choice(t('1 run'), answer({ seeds: [0] }), { description: t('seed 0') }),
            choice(t('3 runs'), answer({ seeds: firstSeeds(3) }), {
              description: t('seeds 0 to 2; the least for an interval worth its name'),
            }),
            choice(t('5 runs'), answer({ seeds: firstSeeds(5) }), { description: t('seeds 0 to 4') }),
            choice(t('Other…'), via('other'), { icon: 'edit' }),
          ],
          ...(memory.seeds === undefined ? {} : { active: remembered({ seeds: memory.seeds }) }),
        }),
      );
    },
  };
}

function epsilonOf(text: string): number | undefined {
  const value = Number(text.trim().replace(',', '.'));
  return text.trim() !== '' && Number.isFinite(value) && value > 0 ? value : undefined;
}

const targets = [1, 2, 4, 8];

function privacyStep(facts: StartFacts): Step<StartState> {
  const { catalogue, memory } = facts;
  return {
    id: 'privacy',
    isNeeded: (state) => state.source?.kind === 'new' && state.epsilon === undefined,
    question: (state) => {
      if (state.via === 'other')
        return input({
          title: t('Privacy'),
          prompt: t('The privacy loss ε that the whole training may spend'),
          placeholder: '3',
          value: String(memory.epsilon ?? ''),
          problem: (text) => (epsilonOf(text) === undefined ? t('A number above 0') : undefined),
          apply: (before, text) => answer({ epsilon: epsilonOf(text) ?? 1 })(before),
        });
      const none = choice(t('None'), answer({ epsilon: null }), {
        icon: 'unlock',
        description: catalogue.privacy ? '' : t('this version trains without differential privacy only'),
      });
      const planning = choice(t('Plan…'), answer({ epsilon: null, device: 'auto', finish: 'plan' }), {
        icon: 'graph-line',
        description: t('noise and ε for any batch size and number of epochs, with curves'),
      });
      const active = memory.epsilon === undefined ? {} : { active: remembered({ epsilon: memory.epsilon }) };
      return pick(t('Privacy'), t('Differential privacy: the target ε'), async ({ task }, show, signal) => {
        if (!catalogue.privacy) {
          show({ busy: false, items: [none], ...active });
          return;
        }
        const examples = catalogue.tasks.find(({ id }) => id === task)?.trainExamples;
        const noises = new Map<number, string>();
        const draw = (busy: boolean): void =>
          show({
            busy,
            items: [
              none,
              ...targets.map((epsilon) =>
                choice(`ε = ${epsilon}`, answer({ epsilon }), {
                  icon: 'lock',
                  description: noises.get(epsilon) ?? t('the noise is calibrated to it'),
                }),
              ),
              choice(t('Other…'), via('other'), { icon: 'edit' }),
              planning,
            ],
            ...active,
          });
        draw(examples !== undefined);
        for (const epsilon of examples === undefined ? [] : targets) {
          if (signal.aborted || examples === undefined) return;
          try {
            const noise = Number((await facts.noise(examples, epsilon)).toPrecision(3));
            noises.set(epsilon, t('a noise multiplier of {0} with {1} training examples', noise, grouped(examples)));
          } catch {
            // What cannot be told now is told when the run starts.
          }
          draw(epsilon !== targets.at(-1));
        }
      });
    },
  };
}

function deviceStep(facts: StartFacts): Step<StartState> {
  return {
    id: 'device',
    isNeeded: (state) => state.source?.kind === 'new' && state.device === undefined,
    question: () =>
      pick(t('Device'), t('What computes'), async ({ folder }, show) => {
        const active = { active: remembered({ device: facts.memory.device ?? 'auto' }) };
        const items = (here: readonly string[] | undefined): readonly Choice<Transition>[] =>
          facts.catalogue.providers
            .filter((provider) => provider === 'auto' || provider === 'cpu' || here?.includes(provider) === true)
            .map((provider) =>
              choice(provider, answer({ device: provider }), {
                icon: provider === 'auto' ? 'wand' : 'chip',
                description: provider === 'auto' ? t('the best that works, with the reason in the record') : '',
              }),
            );
        show({ busy: true, items: items(undefined), ...active });
        const here = await facts.providers(folder);
        show({ busy: false, items: items(here), ...active });
      }),
  };
}

function finishStep(): Step<StartState> {
  return {
    id: 'finish',
    isNeeded: (state) => state.finish === undefined,
    question: (state) => {
      const count = state.seeds?.length ?? 1;
      return pick(t('Start'), t('Everything can still be changed in the file'), (_, show) =>
        show({
          busy: false,
          items: [
            choice(count === 1 ? t('Start') : t('Start {0} runs', count), answer({ finish: 'start' }), {
              icon: 'play',
            }),
            choice(t('Open as a file first'), answer({ finish: 'open' }), {
              icon: 'go-to-file',
              description: t('to change learning rate, ranks, a matrix…'),
            }),
          ],
        }),
      );
    },
  };
}

/** The steps from a source on. */
function stepsAfter(source: Step<StartState>, facts: StartFacts): readonly Step<StartState>[] {
  return [
    source,
    folderStep(facts),
    modelStep(facts),
    taskStep(facts),
    dataStep(facts),
    methodStep(facts),
    seedStep(facts),
    privacyStep(facts),
    deviceStep(facts),
    finishStep(),
  ];
}

/** The steps of "Start Run", in order. */
export function startSteps(facts: StartFacts): readonly Step<StartState>[] {
  return stepsAfter(sourceStep(facts), facts);
}

/** The steps of "Start Sweep": a file that has a matrix, or the answers that a new one is made of. */
export function sweepSteps(facts: StartFacts): readonly Step<StartState>[] {
  return stepsAfter(sweepSourceStep(facts), facts);
}

const mostRecent = 5;

/** What is kept of the answers for the next time. */
export function remember(memory: StartMemory, state: StartState): StartMemory {
  const { model, task, data, method, seeds, source } = state;
  // On the way to the planner neither was answered.
  const { epsilon, device }: Pick<StartState, 'epsilon' | 'device'> = state.finish === 'plan' ? {} : state;
  return {
    ...memory,
    ...(source?.kind === 'file' ? { file: source.path } : {}),
    ...(model === undefined
      ? {}
      : {
          model,
          recentModels: [model, ...(memory.recentModels ?? []).filter((each) => each !== model)].slice(0, mostRecent),
        }),
    ...(task === undefined ? {} : { task }),
    ...(task === undefined || data === undefined ? {} : { data: { ...memory.data, [task]: data } }),
    ...(method === undefined ? {} : { method }),
    ...(seeds === undefined ? {} : { seeds }),
    ...(epsilon === undefined ? {} : { epsilon }),
    ...(device === undefined ? {} : { device }),
  };
}

function titleOf(listed: readonly { readonly id: string; readonly title: string }[], id: string): string {
  return listed.find((each) => each.id === id)?.title ?? id;
}

/** What a new sweep begins with. */
const exampleMatrix = {
  'method.rank': [4, 8, 16],
  'training.learningRate': { from: 2e-4, to: 2e-3, steps: 3, scale: 'log' },
  'training.seed': [0, 1, 2],
};

function matrixOf({ matrix, method, seeds = [0] }: StartState): Readonly<Record<string, unknown>> | undefined {
  if (matrix === undefined) return seeds.length > 1 ? { 'training.seed': seeds } : undefined;
  const { 'method.rank': rank, ...others } = exampleMatrix;
  return method === 'lora' ? { 'method.rank': rank, ...others } : others;
}

/**
 * The text of the configuration that the answers come to.
 * @param relative writes a path as it should stand in the file
 */
export function configurationText(
  state: StartState,
  { tasks, methods }: Pick<Catalogue, 'tasks' | 'methods'>,
  relative: (path: string) => string = (path) => path,
): string {
  const { model = '', task = '', data, method = '', seeds = [0], epsilon, device = 'auto', training } = state;
  const [seed = 0] = seeds;
  const matrix = matrixOf(state);
  const privacy = state.privacy ?? (epsilon === undefined || epsilon === null ? undefined : { epsilon });
  const written = {
    name: `${titleOf(tasks, task)}, ${titleOf(methods, method)}`,
    model: hubName.test(model) ? model : relative(model),
    task: data === undefined ? task : { id: task, data: relative(data) },
    method,
    training: {
      ...(training ?? { epochs: usualEpochs, batchSize: usualBatchSize }),
      ...(seeds.length > 1 ? {} : { seed }),
    },
    ...(privacy === undefined ? {} : { privacy }),
    ...(device === 'auto' ? {} : { device }),
    ...(matrix === undefined ? {} : { matrix }),
  };
  // Lists of numbers on one line.
  return `${JSON.stringify(written, undefined, 2).replaceAll(/\[\n\s+([\d,\s]+?)\n\s+\]/g, (_, list: string) => `[${list.replaceAll(/\s+/g, ' ')}]`)}\n`;
}

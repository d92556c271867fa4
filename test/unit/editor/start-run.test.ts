import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cloneText } from '../../../src/editor/core/clone.ts';
import {
  configurationText,
  parseSeeds,
  remember,
  startSteps,
  sweepSteps,
  type StartFacts,
  type StartMemory,
  type StartState,
  usualBatchSize,
  usualEpochs,
} from '../../../src/editor/core/start-steps.ts';
import { askSteps, type Answer, type Ask, type Choice, type Position } from '../../../src/editor/core/steps.ts';
import { editorSchema, type EditorSchema } from '../../../src/editor/core/editor-schema.ts';
import { calibrateNoise } from '../../../src/privacy/calibrate.ts';
import { privateSchedule } from '../../../src/privacy/schedule.ts';
import {
  inspectConfiguration,
  parseConfiguration,
  resolveConfiguration,
  startProblems,
} from '../../../src/runs/configuration.ts';
import { configurationJsonSchema, settingPaths } from '../../../src/runs/configuration-json-schema.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { methodChoices, taskChoices } from '../../../src/editor/worker/catalogue.ts';
import { planSweep } from '../../../src/runs/sweep.ts';
import { shippedModels } from '../../../src/engine/shipped-models.ts';
import { countTrained, encoderSize, methodOptions, sizesOf } from '../../../src/runs/parameter-counts.ts';
import { findTask } from '../../../src/tasks/registry.ts';

const methods = methodChoices();
const anywhere = { isFolder: () => false, exists: () => true };

/** Answers of the real program, but for what would be looked up on this machine. */
function facts(memory: StartMemory = {}, changes: Partial<StartFacts> = {}): StartFacts {
  return {
    folders: [{ key: 'file:///work', name: 'work' }],
    memory,
    catalogue: {
      methods: methodChoices(),
      tasks: taskChoices(),
      providers: ['auto', 'cpu', 'webgpu', 'cuda'],
      privacy: false,
      knownModels: [],
    },
    configurations: () =>
      Promise.resolve([
        { path: 'file:///project/a.peft.json', label: 'a.peft.json', runs: 6 },
        { path: 'file:///project/b.peft.json', label: 'b.peft.json', runs: 1 },
        { path: 'file:///project/c.peft.json', label: 'c.peft.json', runs: undefined },
      ]),
    models: () =>
      Promise.resolve([
        { name: 'someone/model', source: 'hub', family: 'bert', weightBytes: 9e7, problem: undefined },
        { name: 'someone/broken', source: 'hub', family: undefined, weightBytes: 0, problem: 'has no config.json' },
      ]),
    count: async ({ model, task, method }) => {
      // Only what is known without looking for it elsewhere.
      if (model !== 'bert-base-uncased') throw new Error('not here');
      const sized = await sizesOf(model);
      return {
        ...countTrained(sized, {
          method,
          options: methodOptions(method, {}),
          ...(task === undefined ? {} : { task: findTask(task) }),
        }),
        encoder: encoderSize(sized),
      };
    },
    noise: (examples, epsilon) => {
      const {
        samplingRate,
        totalSteps: steps,
        delta,
      } = privateSchedule({
        examples,
        expectedBatchSize: usualBatchSize,
        length: { kind: 'epochs', epochs: usualEpochs },
      });
      return Promise.resolve(calibrateNoise({ epsilon, samplingRate, steps, delta }).noiseMultiplier);
    },
    dataFolders: () => Promise.resolve(['/project/data/SST-2']),
    providers: () => Promise.resolve(['cpu', 'webgpu']),
    ...changes,
  };
}

interface Asked extends Position {
  readonly title: string;
  readonly labels: readonly string[];
  readonly descriptions: readonly string[];
  readonly active: string | undefined;
}

/** A person who answers with labels of choices, texts, `<` for back and nothing for giving up. */
function person(answers: readonly string[]): { readonly ask: Ask<StartState>; readonly asked: Asked[] } {
  const left = [...answers];
  const asked: Asked[] = [];
  const ask: Ask<StartState> = async (question, state, position): Promise<Answer<StartState>> => {
    const answer = left.shift();
    const seen: { items: readonly Choice<(before: StartState) => StartState>[]; active: string | undefined } = {
      items: [],
      active: undefined,
    };
    if (question.kind === 'pick')
      await question.load(
        state,
        ({ items, active }) => {
          seen.items = items;
          const found = items.find((item) => item.kind === 'choice' && active?.(item.value) === true);
          seen.active = found?.label;
        },
        new AbortController().signal,
      );
    asked.push({
      ...position,
      title: question.title,
      labels: seen.items.flatMap((item) => (item.kind === 'choice' ? [item.label] : [])),
      descriptions: seen.items.flatMap((item) => (item.kind === 'choice' ? [item.description ?? ''] : [])),
      active: seen.active,
    });
    if (answer === undefined) return { kind: 'cancelled' };
    if (answer === '<') return { kind: 'back' };
    if (question.kind === 'browse') return { kind: 'answered', state: question.apply(state, answer) };
    if (question.kind === 'input') {
      const problem = question.problem(answer, state);
      if (problem !== undefined) throw new Error(problem);
      return { kind: 'answered', state: question.apply(state, answer) };
    }
    const chosen = seen.items.find((item) => item.kind === 'choice' && item.label === answer);
    if (chosen?.kind !== 'choice') throw new Error(`${answer} is not among ${JSON.stringify(seen.items)}`);
    return { kind: 'answered', state: chosen.value(state) };
  };
  return { ask, asked };
}

const whole = [
  'New configuration…',
  'someone/model',
  'SST-2',
  'SST-2',
  'LoRA',
  '3 runs',
  'None',
  'cpu',
  'Start 3 runs',
];

describe('Start Run', () => {
  it('asks step n of m, and ends in what was answered', async () => {
    const { ask, asked } = person(whole);
    expect(await askSteps(startSteps(facts()), {}, ask)).toEqual({
      source: { kind: 'new' },
      model: 'someone/model',
      task: 'sst2',
      data: '/project/data/SST-2',
      method: 'lora',
      seeds: [0, 1, 2],
      epsilon: null,
      device: 'cpu',
      finish: 'start',
    });
    expect(asked.map(({ title }) => title)).toEqual([
      'Configuration',
      'Model',
      'Task',
      'Data',
      'Method',
      'Seeds',
      'Privacy',
      'Device',
      'Start',
    ]);
    expect(asked.slice(1).map(({ step, total }) => `${step}/${total}`)).toEqual([
      '2/9',
      '3/9',
      '4/9',
      '5/9',
      '6/9',
      '7/9',
      '8/9',
      '9/9',
    ]);
    expect(asked.map(({ canGoBack }) => canGoBack)).toEqual([false, ...whole.slice(1).map(() => true)]);
  });

  it('starts a file at once', async () => {
    const { ask, asked } = person(['a.peft.json']);
    expect(await askSteps(startSteps(facts()), {}, ask)).toMatchObject({
      source: { kind: 'file', path: 'file:///project/a.peft.json' },
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.descriptions.slice(1)).toEqual(['sweep of 6 runs', '', 'has problems']);
    const { ask: again, asked: later } = person(['a.peft.json']);
    await askSteps(startSteps(facts({ file: 'file:///project/c.peft.json' })), {}, again);
    expect(later[0]?.labels[1]).toBe('c.peft.json');
    expect(later[0]?.descriptions[1]).toBe('last used · has problems');
  });

  it('goes back step by step, also out of a second question', async () => {
    const { ask, asked } = person(['New configuration…', 'Hub id…', '<', 'Hub id…', 'owner/name', '<', '<', '<']);
    expect(await askSteps(startSteps(facts()), {}, ask)).toBeUndefined();
    // A second question is the same step.
    expect(asked.map(({ title, step }) => `${title} ${step}`)).toEqual([
      ...['Configuration 1', 'Model 2', 'Model 2', 'Model 2', 'Model 2', 'Task 3', 'Model 2', 'Model 2'],
      'Configuration 1',
    ]);
  });

  it('refuses what is no hub id, no seed, and offers only models that can be used', async () => {
    await expect(
      askSteps(startSteps(facts()), {}, person(['New configuration…', 'Hub id…', 'no id!']).ask),
    ).rejects.toThrow('owner/name');
    const { ask, asked } = person(['New configuration…']);
    await askSteps(startSteps(facts()), {}, ask);
    expect(asked[1]?.labels).toEqual(['someone/model', 'Hub id…', 'Folder…']);
    expect(asked[1]?.descriptions[0]).toBe('bert · 90.0 MB');
  });

  it('counts what each method trains on that model', async () => {
    const { ask, asked } = person(['New configuration…', 'Hub id…', 'bert-base-uncased', 'MNLI', 'SST-2']);
    await askSteps(startSteps(facts()), {}, ask);
    const { labels = [], descriptions = [] } = asked.at(-1) ?? {};
    const of = (label: string): string | undefined => descriptions[labels.indexOf(label)];
    // Three labels: 3 · 768 + 3 numbers in the head; LoRA's rank 8 on queries and values of 12 layers.
    expect(of('LoRA')).toContain('294,912 method (0.27 %) + 2,307 head');
    expect(of('Head only')).toContain('0 method + 2,307 head');
    expect(labels).toEqual(methods.map(({ title }) => title));
  });

  it.each([
    // Special tokens around one text, and around two.
    [['SST-2', 'SST-2'], 'PASTA', '18,432 method (0.017 %) + 1,538 head'],
    [['MRPC', 'SST-2'], 'PASTA', '27,648 method (0.025 %) + 1,538 head'],
    // One linear map on every word, no pooler; its data ship.
    [['Usage-tagging'], 'BitFit', '102,144 method (0.093 %) + 2,307 head'],
    [['STS-B', 'SST-2'], 'BitFit', '102,912 method (0.094 %) + 769 head'],
  ])('counts for %s what a run of %s trains', async (taskAndData, method, counted) => {
    const { ask, asked } = person(['New configuration…', 'Hub id…', 'bert-base-uncased', ...taskAndData]);
    await askSteps(startSteps(facts()), {}, ask);
    const { labels = [], descriptions = [] } = asked.findLast(({ title }) => title === 'Method') ?? {};
    expect(descriptions[labels.indexOf(method)]).toContain(counted);
  });

  it('counts on every encoder that ships, by its name', async () => {
    expect(shippedModels()).not.toEqual([]);
    for (const name of shippedModels()) {
      const sized = await sizesOf(name);
      const { head, total } = countTrained(sized, { method: 'head', options: methodOptions('head', {}), labels: 3 });
      expect(total).toBe(head);
      expect(head).toBe(3 * (sized.config.hiddenSize + 1));
      expect(encoderSize(sized)).toBeGreaterThan(1e6);
    }
  });

  it('offers what was chosen the last time', async () => {
    const first = await askSteps(startSteps(facts()), {}, person(whole).ask);
    const memory = remember({}, first ?? {});
    const { ask, asked } = person(whole);
    await askSteps(startSteps(facts(memory)), {}, ask);
    expect(asked.slice(1, -1).map(({ active }) => active)).toEqual([
      'someone/model',
      'SST-2',
      undefined,
      'LoRA',
      '3 runs',
      'None',
      'cpu',
    ]);
    expect(asked[3]?.labels[0]).toBe('SST-2');
    const many = ['a', 'b', 'c', 'd', 'e', 'f'].reduce<StartMemory>(
      (before, model) => remember(before, { model }),
      memory,
    );
    expect(many.recentModels).toEqual(['f', 'e', 'd', 'c', 'b']);
  });

  it('asks for privacy as the configuration allows it, and for the folder where there are several', async () => {
    const catalogue = { ...facts().catalogue, privacy: true };
    const folders = [
      { key: 'file:///a', name: 'a' },
      { key: 'file:///b', name: 'b' },
    ];
    const [source = '', ...others] = whole.slice(0, 5);
    const answers = [source, 'b', ...others, 'Other…', '0, 5-6', 'Other…', '3,5', 'webgpu', 'Open as a file first'];
    const { ask, asked } = person(answers);
    const state = await askSteps(startSteps(facts({}, { catalogue, folders })), {}, ask);
    expect(state).toMatchObject({
      folder: 'file:///b',
      seeds: [0, 5, 6],
      epsilon: 3.5,
      device: 'webgpu',
      finish: 'open',
    });
    const privacy = asked.find(({ title }) => title === 'Privacy');
    // A file is kept where it lies, so nothing is asked.
    const file = await askSteps(startSteps(facts({}, { folders })), {}, person(['b.peft.json']).ask);
    expect(file).toEqual({ source: { kind: 'file', path: 'file:///project/b.peft.json' }, finish: 'start' });
    expect(privacy?.labels).toEqual(['None', 'ε = 1', 'ε = 2', 'ε = 4', 'ε = 8', 'Other…', 'Plan…']);
    expect(privacy?.descriptions[1]).toMatch(/^a noise multiplier of 0\.\d+ with 67,349 training examples$/);
    expect(person([]).asked).toEqual([]);
    const { ask: again, asked: without } = person(whole);
    await askSteps(startSteps(facts()), {}, again);
    expect(without.find(({ title }) => title === 'Privacy')?.labels).toEqual(['None']);
  });

  it('asks the folder of the run what can compute, and offers what computes anywhere where nothing may be asked', async () => {
    const folders = ['a', 'b'].map((name) => ({ key: `file:///${name}`, name }));
    const askedOf: unknown[] = [];
    const providers = (folder: string | undefined): Promise<readonly string[]> => {
      askedOf.push(folder);
      return Promise.resolve([]);
    };
    const { ask, asked } = person(['b', ...whole.slice(1, 7)]);
    const initial: StartState = { source: { kind: 'new' }, finish: 'open' };
    await askSteps(startSteps(facts({}, { folders, providers })), initial, ask);
    expect(asked.at(-1)).toMatchObject({ title: 'Device', labels: ['auto', 'cpu'] });
    expect(askedOf).toEqual(['file:///b']);
  });

  it('leads to the planner with what is answered, and remembers nothing that was not', async () => {
    const catalogue = { ...facts().catalogue, privacy: true };
    const { ask } = person([...whole.slice(0, 6), 'Plan…']);
    const memory = { epsilon: 4, device: 'cpu' };
    const state = await askSteps(startSteps(facts(memory, { catalogue })), {}, ask);
    expect(state).toMatchObject({ task: 'sst2', method: 'lora', finish: 'plan' });
    expect(remember(memory, state ?? {})).toMatchObject({ epsilon: 4, device: 'cpu', task: 'sst2' });
  });

  it('does not ask for data that comes with the program', async () => {
    const sample = taskChoices().find((task) => task.sample)?.title ?? '';
    const { ask, asked } = person(['New configuration…', 'someone/model', sample, 'LoRA']);
    await askSteps(startSteps(facts()), {}, ask);
    expect(asked.map(({ title }) => title)).toEqual(['Configuration', 'Model', 'Task', 'Method', 'Seeds']);
    const task = taskChoices().find(({ title }) => title === sample)?.id ?? '';
    const text = configurationText({ model: 'someone/model', task, method: 'lora' }, facts().catalogue);
    expect(startProblems(text, '/project/a.peft.json', installedCatalogue, anywhere)).toEqual([]);
  });

  it('reads lists of seeds', () => {
    expect(parseSeeds('0, 1, 5-8')).toEqual([0, 1, 5, 6, 7, 8]);
    for (const text of ['', 'a', '1,1', '3-1', '1.5', '0-100000', '4294967296', '1,,2'])
      expect(parseSeeds(text), text).toBeUndefined();
  });
});

describe('Start Sweep', () => {
  it('starts a file that has a matrix', async () => {
    const { ask, asked } = person(['a.peft.json']);
    const folders = ['a', 'b'].map((name) => ({ key: `file:///${name}`, name }));
    expect(await askSteps(sweepSteps(facts({}, { folders })), {}, ask)).toEqual({
      source: { kind: 'file', path: 'file:///project/a.peft.json' },
      finish: 'start',
    });
    expect(asked).toMatchObject([
      { labels: ['a.peft.json', 'New sweep…'], descriptions: ['6 runs', expect.any(String)] },
    ]);
  });

  it('makes a new one in the folder that is chosen, of settings that nothing is wrong with, and can be gone back from', async () => {
    const folders = ['a', 'b'].map((name) => ({ key: `file:///${name}`, name }));
    const [, ...others] = whole.slice(0, 5);
    const { ask, asked } = person(['New sweep…', '<', 'New sweep…', 'b', ...others, 'None', 'cpu']);
    const state = await askSteps(sweepSteps(facts({}, { folders })), {}, ask);
    expect(state).toMatchObject({ folder: 'file:///b', method: 'lora', finish: 'open' });
    expect(asked.slice(3).map(({ title }) => title)).toEqual([
      'Workspace folder',
      ...['Model', 'Task', 'Data', 'Method', 'Privacy', 'Device'],
    ]);
    const runsOf = (method: string): number => {
      const text = configurationText({ ...state, method }, facts().catalogue);
      expect(inspectConfiguration(text, installedCatalogue).problems).toEqual([]);
      return planSweep(
        parseConfiguration(text, '/project/a.peft.json', installedCatalogue),
        installedCatalogue,
        anywhere,
      ).length;
    };
    expect([runsOf('lora'), runsOf('bitfit')]).toEqual([27, 9]);
  });
});

describe('a new configuration', () => {
  const { catalogue } = facts();

  it.each(methods.filter(({ needsOptions }) => !needsOptions).map(({ id }) => id))(
    'of %s has nothing wrong with it',
    (method) => {
      const state: StartState = {
        model: 'someone/model',
        task: 'sst2',
        data: '/project/data',
        method,
        seeds: [0, 1],
        device: 'cpu',
      };
      const text = configurationText(state, catalogue, (path) => path.replace('/project', '.'));
      expect(inspectConfiguration(text, installedCatalogue).problems).toEqual([]);
      const plans = planSweep(
        parseConfiguration(text, '/project/a.peft.json', installedCatalogue),
        installedCatalogue,
        anywhere,
      );
      expect(plans.map(({ configuration }) => [configuration.method.id, configuration.training.seed])).toEqual([
        [method, 0],
        [method, 1],
      ]);
      expect(plans[0]?.configuration.task.data).toBe(join('/project', 'data'));
      expect(text).toContain('"training.seed": [0, 1]');
    },
  );

  it('with a privacy budget has nothing wrong with it', () => {
    const text = configurationText({ model: 'm', task: 'sst2', data: '/d', method: 'lora', epsilon: 4 }, catalogue);
    expect(inspectConfiguration(text, installedCatalogue).problems).toEqual([]);
    expect(JSON.parse(text)).toMatchObject({ privacy: { epsilon: 4 } });
  });

  it('of one seed has no matrix', () => {
    const text = configurationText({ model: 'm', task: 'sst2', data: '/d', method: 'slash', seeds: [7] }, catalogue);
    expect(JSON.parse(text)).toMatchObject({ name: 'SST-2, SLaSh', training: { seed: 7 } });
    expect(text).not.toContain('matrix');
  });

  it('cloned from a run comes to the same run', () => {
    const settings = {
      model: '/project/models/tiny',
      task: { id: 'sst2', data: '/elsewhere/data' },
      method: { id: 'lora', rank: 3 },
      device: 'cpu',
    };
    const probe = { isFolder: (path: string) => path === '/project/models/tiny', exists: () => true };
    const original = resolveConfiguration(
      { file: '/project/a.peft.json', settings: { ...settings, tags: ['x'], note: 'n' } },
      installedCatalogue,
      probe,
    );
    const text = cloneText(original, '/project');
    expect(text).toContain('"./models/tiny"');
    const copy = resolveConfiguration(
      parseConfiguration(text, '/project/b.peft.json', installedCatalogue),
      installedCatalogue,
      probe,
    );
    const { name: _, tags: __, note: ___, ...rest } = original;
    expect(copy).toEqual({ ...rest, name: 'sst2 (changed)' });
  });
});

describe('the schema for editors', () => {
  const schema = editorSchema(installedCatalogue);

  const settings = schema.if?.properties ?? {};

  it('demands nothing that the runtime tells in better words: only later values of a matrix are checked', () => {
    const demands = new Set<string>();
    const visit = ({ properties = {}, items = [], if: _known, ...rest }: EditorSchema): void => {
      for (const key of Object.keys(rest)) demands.add(key);
      for (const below of [...Object.values(properties), ...[items].flat()]) visit(below);
    };
    const { definitions: _, ...whole } = schema;
    visit(whole);
    expect([...demands].toSorted()).toEqual(['$schema', 'additionalItems', 'defaultSnippets', 'description', 'title']);
    const axes = Object.entries(schema.properties?.['matrix']?.properties ?? {});
    for (const [path, { additionalItems }] of axes) expect(additionalItems?.$ref).toBe(`#/definitions/${path}`);
    expect(axes.map(([path]) => path)).toEqual(Object.keys(schema.definitions ?? {}));
  });

  it('takes no form for wrong for what it is given', () => {
    const text = JSON.stringify({ known: schema.if, definitions: schema.definitions });
    for (const key of ['required', 'minimum', 'exclusiveMinimum', 'if']) expect(text).not.toContain(`"${key}":`);
  });

  it('names each method in both of its forms, with its title', () => {
    const forms = settings['method']?.anyOf ?? [];
    const titles = new Map(
      forms.flatMap(({ properties = {} }) => {
        const { id } = properties;
        return id === undefined ? [] : [[id.const, id.description] as const];
      }),
    );
    expect([...titles]).toEqual(
      installedCatalogue.methods.ids().map((id) => [id, installedCatalogue.methods.title(id)]),
    );
    const short = forms.find((form) => form.enum !== undefined);
    expect(short?.enumDescriptions).toEqual(short?.enum?.map((id) => titles.get(id)));
    const lora = forms.find(({ properties }) => properties?.['id']?.const === 'lora');
    expect(Object.keys(lora?.properties ?? {})).toEqual(expect.arrayContaining(['id', 'rank', 'alpha', 'targets']));
  });

  it('describes every setting, and completes each as an axis of the matrix', () => {
    const paths = settingPaths(configurationJsonSchema(installedCatalogue));
    const axes = schema.properties?.['matrix']?.properties ?? {};
    expect(paths.length).toBeGreaterThan(30);
    const { cases } = schema.properties?.['matrix']?.if?.properties ?? {};
    const inCases = [cases?.items ?? []].flat()[0]?.properties ?? {};
    for (const path of paths) {
      expect(axes[path]?.description, path).toMatch(/\S/);
      expect(Object.hasOwn(inCases, path), path).toBe(true);
    }
    expect([...Object.keys(settings), 'matrix']).toEqual(
      Object.keys(configurationJsonSchema(installedCatalogue).properties ?? {}),
    );
  });
});

import { Command, Help, Option } from 'commander';
import { UserError } from '../base/errors.ts';
import { suggestion } from '../base/suggest.ts';
import { programVersion } from '../runs/program.ts';
import type { App } from './app.ts';
import {
  collect,
  currentFolder,
  deltaValue,
  existingFolder,
  fraction,
  list,
  noiseMultiplier,
  number,
  samplingRate,
  slotsOption,
  spent,
  whole,
} from './option-values.ts';
import { processTerminal } from './output.ts';

const ofUnseenTrainers =
  'whose trainer is on a machine that cannot be seen from here: only when it is surely dead, since two trainers must not have one run';

interface GlobalOptions {
  readonly json?: boolean;
  readonly folder: string;
}

/** Where the command line tells of wrong usage. */
export interface Complaints {
  /** What was wrong with what was written, and the help that says how it is written. */
  readonly wrong: (message: string, help: string) => void;
  /** No command was given, so the help is shown in place of a result. */
  readonly missing: (help: string) => void;
}

/** Options as commander describes them, but for defaults that say nothing: a flag is off and a list empty unless they are given. */
function describedOption(option: Option): string {
  return new Help().optionDescription(option).replace(/ \(default: (false|\[\])\)$/, '');
}

/** Prints how a command is used, `privacy epsilon` for a subcommand. @throws UserError where there is none */
function showHelp(program: Command, names: readonly string[]): void {
  const described = names.reduce((command, name) => {
    const known = command.createHelp().visibleCommands(command);
    const next = known.find((each) => each.name() === name);
    if (next !== undefined) return next;
    const words = known.map((each) => each.name());
    if (words.length === 0)
      throw new UserError(`${command.name()} has no commands of its own`, `See: peft-lab help ${command.name()}.`);
    throw new UserError(`there is no command "${name}"`, suggestion(name, words));
  }, program);
  described.outputHelp();
}

/** Has each command tell of wrong usage with the help of its own. */
function tellWrong(command: Command, path: readonly string[], wrong: Complaints['wrong']): void {
  const help = path.length === 0 ? 'peft-lab --help' : `peft-lab help ${path.join(' ')}`;
  command.configureOutput({ outputError: (text) => wrong(text.replace(/^error: /, '').trimEnd(), help) });
  for (const each of command.commands) tellWrong(each, [...path, each.name()], wrong);
}

/** A command's work, which tells its exit code; it is loaded when it is used. */
type Work = (app: App, command: Command) => Promise<number> | number;

/** Where commands are added. */
interface Commands {
  readonly add: (usage: string, description: string) => Command;
  /** What commander calls, of a command's work. */
  readonly action: (work: Work) => (...given: unknown[]) => Promise<void>;
}

/** The options that choose among runs. */
function withFilters(command: Command): Command {
  return command
    .option('--task <tasks>', 'only these tasks', list)
    .option('--method <methods>', 'only these methods', list)
    .option('--model <models>', 'only these models, as their runs name them', list)
    .option('--tag <tags>', 'only what has all these tags', list)
    .option('--text <words>', 'only what has these words in id, name, model, task, method, tags or note')
    .option('--star', 'only what is starred');
}

/** The options that say what private training is composed of. */
function withComposition(command: Command): Command {
  return command
    .option('--sampling-rate <q>', 'the probability with which each example enters a batch', samplingRate)
    .option('--batch-size <n>', 'the expected batch size instead; the rate is this over --examples', whole(1))
    .option('--examples <n>', 'how many examples there are to train on', whole(1))
    .option('--steps <n>', 'optimiser steps', whole(0))
    .option(
      '--epochs <n>',
      'passes over the data instead, in as many steps as the trainer takes',
      number(0, 1e12, 'a number above 0'),
    )
    .option('--delta <delta>', 'the probability that epsilon may fail; 1/(2·examples) when absent', deltaValue)
    .addOption(
      new Option('--accountant <name>', 'whose bound to report; the smaller one when absent').choices(['prv', 'rdp']),
    )
    .option('--spent <rate,noise,steps>', 'earlier steps on the same data; may be repeated', spent, []);
}

function addRunCommands({ add, action }: Commands): void {
  add('run <files...>', 'train what configuration files (*.peft.json) describe')
    .option('--set <key=value>', 'override a setting by its dotted path; may be repeated', collect, [])
    .option('--dry-run', 'check all of it and tell what would be trained, without starting it', false)
    .option('--detach', 'train in the background', false)
    .addOption(slotsOption())
    .option('--exceed-budget', "go beyond the project's privacy budget knowingly", false)
    .action(action(async (app, command) => (await import('./run.ts')).runCommand(app, command.args, command.opts())));
  withFilters(
    add('ls', 'list the runs, the newest first')
      .option(
        '--state <states>',
        'only these states: queued, starting, running, finished, failed, stopped, interrupted',
        list,
      )
      .option('--sort <key>', 'by id (when it was made), score, parameters, trainSeconds, …', 'id')
      .option('--reverse', 'the other way round', false)
      .option('--limit <n>', 'at most so many; 0 for all', whole(0)),
  ).action(action(async (app, command) => (await import('./ls.ts')).listCommand(app, command.opts())));
  add('show <run>', 'everything about a run: by its id, the last six characters of it, or "latest"').action(
    action(async (app, command) => (await import('./show.ts')).showCommand(app, command.args[0] ?? '')),
  );
  add('diff <runs...>', 'in what runs differ: settings, versions, files and device, and what they came to')
    .option('--all', 'also what they have in common', false)
    .action(action(async (app, command) => (await import('./diff.ts')).diffCommand(app, command.args, command.opts())));
  add('logs <run>', "what a run's trainer told")
    .option('-f, --follow', 'go on until the run ends', false)
    .option('--steps', 'every step rather than some of them', false)
    .option('--stderr', 'what it wrote to stderr instead', false)
    .action(
      action(async (app, command) =>
        (await import('./logs.ts')).logsCommand(app, command.args[0] ?? '', command.opts()),
      ),
    );
  add('checkpoint <runs...>', 'have runs write a checkpoint now and go on').action(
    action(async (app, command) => (await import('./checkpoint.ts')).checkpointCommand(app, command.args)),
  );
  add('stop <runs...>', 'let runs write a checkpoint and end')
    .option('--force', 'kill them at once', false)
    .action(action(async (app, command) => (await import('./stop.ts')).stopCommand(app, command.args, command.opts())));
  add('resume <runs...>', 'continue runs from their last checkpoints')
    .option('--detach', 'train in the background', false)
    .addOption(slotsOption())
    .option('--exceed-budget', "go beyond the project's privacy budget knowingly", false)
    .option('--force', `also runs ${ofUnseenTrainers}`, false)
    .action(
      action(async (app, command) => (await import('./run.ts')).resumeCommand(app, command.args, command.opts())),
    );
  add('rm <runs...>', 'delete runs with all their files')
    .option('--force', `also runs ${ofUnseenTrainers}`, false)
    .action(action(async (app, command) => (await import('./rm.ts')).removeCommand(app, command.args, command.opts())));
}

function addMarkCommands({ add, action }: Commands): void {
  add('tag <run> <tags...>', 'tag a run')
    .option('--remove', 'take the tags off', false)
    .action(
      action(async (app, command) => {
        const [run = '', ...tags] = command.args;
        return (await import('./marks.ts')).tagCommand(app, run, tags, command.opts());
      }),
    );
  add('note <run> <text>', 'replace the note of a run').action(
    action(async (app, command) =>
      (await import('./marks.ts')).noteCommand(app, command.args[0] ?? '', command.args[1] ?? ''),
    ),
  );
  add('star <runs...>', 'star runs')
    .option('--off', 'take the star off', false)
    .action(
      action(async (app, command) => (await import('./marks.ts')).starCommand(app, command.args, command.opts())),
    );
}

function addComparison({ add, action }: Commands): void {
  withFilters(
    add('compare [runs...]', 'compare runs: mean and interval over seeds, method by task')
      .option('--by <settings>', 'the settings that make a row, as dotted paths: method,method.rank')
      .option('--metric <name>', 'score, or a metric such as f1', 'score')
      .addOption(new Option('--at <evaluation>', 'which evaluation counts').choices(['best', 'last']).default('best'))
      .addOption(
        new Option('--parameters <count>', 'which trained numbers are shown')
          .choices(['method', 'head', 'total'])
          .default('total'),
      )
      .option('--format <format>', 'table, csv, json, markdown or html')
      .addOption(
        new Option('--interval <kind>', 'how intervals are computed')
          .choices(['student', 'bootstrap'])
          .default('student'),
      )
      .option('--level <share>', 'the level of the intervals', fraction, 0.95)
      .option('--against <row>', 'also the paired differences from this row: its label or method, by shared seeds')
      .option('--digits <n>', 'digits after the point', whole(0, 100), 1),
  ).action(
    action(async (app, command) => (await import('./compare.ts')).compareCommand(app, command.args, command.opts())),
  );
}

function addCatalogueCommands({ add, action }: Commands): void {
  add('methods', 'the methods with their options').action(
    action(async (app) => (await import('./catalogue.ts')).methodsCommand(app)),
  );
  add('tasks', 'the tasks').action(action(async (app) => (await import('./catalogue.ts')).tasksCommand(app)));
  add('models [folders...]', 'the models on this machine, in the hub cache and in folders').action(
    action(async (app, command) => (await import('./models.ts')).modelsCommand(app, command.args)),
  );
  add('params', 'count what a method trains on a model; no weights are needed')
    .requiredOption('--model <name>', 'bert-base-uncased, a folder, a config.json, a *.peft.json, or a hub id')
    .option('--method <id>', 'the method; that of the *.peft.json when absent')
    .option('--labels <n>', 'labels of the task, 1 for a regression (default: 2)', whole(1))
    .option('--set <key=value>', 'an option of the method; may be repeated', collect, [])
    .action(action(async (app, command) => (await import('./params.ts')).paramsCommand(app, command.opts())));
  add('verify <folder>', "hold the engine against golden files of the methods' own authors")
    .option('--only <glob>', 'only the cases whose names match')
    .option('--threads <n>', 'threads of the CPU', whole(1))
    .option('--device <provider>', 'what computes: cpu, webgpu, tfjs or another', 'cpu')
    .action(
      action(async (app, command) =>
        (await import('./verify.ts')).verifyCommand(app, command.args[0] ?? '', command.opts()),
      ),
    );
}

function addModelCommands({ add, action }: Commands): void {
  add('pretrain <file>', 'learn masked words from text (one document a line), or from the texts of a *.peft.json')
    .option('--model <name>', 'the encoder to go on from: a folder or hub id')
    .option(
      '--from-scratch <config>',
      'begin with random weights and a new vocabulary: a config.json with the sizes of a BERT',
    )
    .option(
      '--words-of <name>',
      'with --from-scratch: begin with the word embeddings of this encoder, a folder or hub id',
    )
    .option('--vocabulary-size <n>', 'with --from-scratch: pieces of the new vocabulary (default: 8192)', whole(100))
    .option('--whole-words', 'mask whole words rather than tokens', false)
    .option('--set <key=value>', 'override a setting by its dotted path; may be repeated', collect, [])
    .option('--detach', 'train in the background', false)
    .option('--exceed-budget', "go beyond the project's privacy budget knowingly", false)
    .option('--out <folder>', 'write the encoder there when it is finished')
    .option('--overwrite', 'also into a folder that is not empty', false)
    .action(
      action(async (app, command) =>
        (await import('./pretrain.ts')).pretrainCommand(app, command.args[0] ?? '', command.opts()),
      ),
    );
  add('export <run> <folder>', "write a run's trained encoder as a model folder in Hugging Face layout")
    .addOption(
      new Option('--precision <kind>', 'how numbers are stored').choices(['float16', 'float32']).default('float32'),
    )
    .addOption(
      new Option('--format <kind>', 'the whole model, or an adapter as Hugging Face PEFT has it')
        .choices(['model', 'peft'])
        .default('model'),
    )
    .addOption(new Option('--at <checkpoint>', 'which checkpoint').choices(['best', 'last']).default('last'))
    .option('--overwrite', 'write into a folder that is not empty', false)
    .action(
      action(async (app, command) => {
        const [run = '', folder = ''] = command.args;
        return (await import('./export.ts')).exportCommand(app, run, folder, command.opts());
      }),
    );
  add('predict <run> [file]', "what a run's model says of examples, and how well where their labels are known")
    .option('--split <name>', "a split of the run's own data: dev, test")
    .option('--text <text>', 'a text; may be repeated', collect, [])
    .option('--pair <text>', 'the second text of a pair, one for each --text', collect, [])
    .addOption(
      new Option(
        '--at <checkpoint>',
        'which checkpoint; the best where there is one, else the last, when absent',
      ).choices(['best', 'last']),
    )
    .option('--format <format>', "table, csv, jsonl, or glue, which GLUE's server takes")
    .option('--output <file>', 'write to a file, in the format that its name tells')
    .option('--overwrite', 'also where that file is there already', false)
    .option('--device <provider>', "what computes: cpu, webgpu, tfjs or another; the run's own choice when absent")
    .addHelpText(
      'after',
      '\nThe file is in the form of the task\'s data, with labels or without. "-" reads standard input: one text a line, the second of a pair behind a tab.',
    )
    .action(
      action(async (app, command) => {
        const [run = '', file] = command.args;
        return (await import('./predict.ts')).predictCommand(app, run, file, command.opts());
      }),
    );
}

function addPrivacyCommands({ add, action }: Commands): void {
  const privacy = add('privacy', 'plan and account differential privacy');
  withComposition(
    privacy
      .command('epsilon')
      .description('what private training costs')
      .requiredOption('--noise-multiplier <sigma>', 'noise as a multiple of the clipping norm', noiseMultiplier),
  ).action(action(async (app, command) => (await import('./privacy.ts')).epsilonCommand(app, command.opts())));
  withComposition(
    privacy
      .command('calibrate')
      .description('the least noise that keeps private training within epsilon')
      .requiredOption('--epsilon <epsilon>', 'what it may cost', number(0, Number.MAX_VALUE, 'a number above 0')),
  ).action(action(async (app, command) => (await import('./privacy.ts')).calibrateCommand(app, command.opts())));
  privacy
    .command('budget')
    .description("what the project's private runs have spent on each data set, and what its budget leaves")
    .action(action(async (app) => (await import('./privacy-budget.ts')).budgetCommand(app)));
  add(
    'audit <run>',
    "compute a private run's epsilon anew from its record, and look for what speaks against it",
  ).action(action(async (app, command) => (await import('./audit.ts')).auditCommand(app, command.args[0] ?? '')));
}

function addUpkeepCommands({ add, action }: Commands): void {
  add('doctor', 'look at everything that a run depends on')
    .addOption(
      new Option(
        '--install <what>',
        "bring what is too large to come along: cuda, onnxruntime's CUDA provider",
      ).choices(['cuda']),
    )
    .option('--feed <url>', 'the NuGet feed that it comes from')
    .action(
      action(async (app, command) => {
        const { install, feed } = command.opts<{ install?: string; feed?: string }>();
        if (install === undefined && feed !== undefined)
          throw new UserError(
            '--feed says where --install takes something from, which is missing',
            'Add --install cuda.',
          );
        return install === undefined
          ? (await import('./doctor.ts')).doctorCommand(app)
          : (await import('./install.ts')).installCudaCommand(app, feed);
      }),
    );
  add('reindex', 'rebuild the database from the run folders').action(
    action(async (app) => (await import('./reindex.ts')).reindexCommand(app)),
  );
  add('schema', 'print the JSON schema of configuration files').action(
    action(async (app) => (await import('./catalogue.ts')).schemaCommand(app)),
  );
}

/**
 * The command line with all its commands.
 * @param finish takes a command's exit code
 */
export function makeProgram(finish: (code: number) => void, { wrong, missing }: Complaints): Command {
  const program = new Command('peft-lab')
    .description('Train, record and compare parameter-efficient fine-tuning methods.')
    .version(programVersion(), '-V, --version')
    .option('--json', 'print results as JSON')
    .addOption(
      new Option('--folder <path>', 'the workspace: the folder that holds .peft')
        .argParser(existingFolder)
        .default(currentFolder(), 'the current one'),
    )
    .configureOutput({ writeErr: missing })
    .configureHelp({ showGlobalOptions: true, optionDescription: describedOption })
    .exitOverride();

  /** Gives a command's work the app it needs, and its exit code to the process. */
  const action =
    (work: Work) =>
    async (...given: unknown[]): Promise<void> => {
      const command = given.at(-1);
      if (!(command instanceof Command)) throw new Error('commander passes the command last');
      const { json = false, folder } = command.optsWithGlobals<GlobalOptions>();
      finish(await work({ terminal: processTerminal, json, folder }, command));
    };
  const commands: Commands = {
    action,
    add: (usage, description) => program.command(usage).description(description),
  };
  addRunCommands(commands);
  addMarkCommands(commands);
  addComparison(commands);
  addCatalogueCommands(commands);
  addModelCommands(commands);
  addPrivacyCommands(commands);
  addUpkeepCommands(commands);
  program
    .command('help [command...]')
    .description('how a command is used')
    .action((names: readonly string[]) => showHelp(program, names));
  program
    .command('supervise', { hidden: true })
    .option('--node <path>', 'the Node for trainers')
    .addOption(slotsOption())
    .option('--adopt', 'start nothing that waits', false)
    .action(action(async (app, command) => (await import('./run.ts')).superviseCommand(app, command.opts())));
  tellWrong(program, [], wrong);
  return program;
}

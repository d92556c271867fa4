import { Command, CommanderError, Option } from 'commander';
import { messageOf, UserError } from '../base/errors.ts';
import { programVersion, type App } from './app.ts';
import { processTerminal } from './output.ts';
import { resumeCommand, runCommand, superviseCommand } from './run.ts';

/** `--set a=1 --set b=2` as a list. */
function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

interface GlobalOptions {
  readonly json?: boolean;
  readonly folder: string;
}

function makeProgram(finish: (code: number) => void): Command {
  const program = new Command('peft-lab')
    .description('Train, record and compare parameter-efficient fine-tuning methods.')
    .version(programVersion(), '-V, --version')
    .option('--json', 'print results as JSON')
    .option('--folder <path>', 'the workspace: the folder that holds .peft', process.cwd())
    .exitOverride()
    .showHelpAfterError('Run peft-lab --help for the commands.');

  /** Gives a command's work the app it needs, and its exit code to the process. */
  const action =
    (work: (app: App, command: Command) => Promise<number> | number) =>
    async (...given: unknown[]): Promise<void> => {
      const command = given.at(-1);
      if (!(command instanceof Command)) throw new Error('commander passes the command last');
      const { json = false, folder } = command.optsWithGlobals<GlobalOptions>();
      finish(await work({ terminal: processTerminal, json, folder }, command));
    };
  const add = (usage: string, description: string): Command =>
    program.command(usage).description(description).addOption(new Option('--json', 'print results as JSON'));

  add('run <files...>', 'train what configuration files (*.peft.json) describe')
    .option('--set <key=value>', 'override a setting by its dotted path; may be repeated', collect, [])
    .option('--detach', 'train in the background', false)
    .action(action((app, command) => runCommand(app, command.args, command.opts())));
  add('resume <runs...>', 'continue runs from their last checkpoints')
    .option('--detach', 'train in the background', false)
    .action(action((app, command) => resumeCommand(app, command.args, command.opts())));
  program.command('supervise', { hidden: true }).action(action((app) => superviseCommand(app)));
  return program;
}

/** Runs the command line. @returns the exit code: 0 done, 1 failed, 2 wrong usage or configuration */
async function main(argv: readonly string[]): Promise<number> {
  let code = 0;
  try {
    await makeProgram((result) => {
      code = result;
    }).parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`peft-lab: ${error instanceof UserError ? error.message : defect(error)}\n`);
    return error instanceof UserError ? 2 : 1;
  }
}

function defect(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
}

process.exitCode = await main(process.argv.slice(2));

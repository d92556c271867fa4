import { spawn } from 'node:child_process';
import { closeSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, UserError } from '../base/errors.ts';
import { asDiskFull, readTail } from './files.ts';
import { leaseVariable, sharersVariable } from './launcher.ts';
import type { Launcher, LaunchRequest, LaunchStatus } from './launcher.ts';
import { programEnvironment, type NodeBinary } from './node-binary.ts';
import { identify, processIdentity, processState, signalGroup, thisMachine } from './process-identity.ts';

const localHandle = processIdentity.extend({
  /** Where in stderr.log this life of the run begins. */
  stderrFrom: z.number(),
});

type LocalHandle = z.output<typeof localHandle>;

export interface LocalLauncherOptions {
  /** The trainer's program; it gets the run's folder as its argument. */
  readonly entry: string;
  readonly node: () => Promise<NodeBinary>;
  /** Options for Node itself, such as --max-old-space-size. */
  readonly nodeArguments?: readonly string[];
  /** Set in the trainer's environment beside this process's own. Secrets go here, never into arguments. */
  readonly environment?: Readonly<Record<string, string>>;
}

function endOf(code: number | null, signal: NodeJS.Signals | null): LaunchStatus {
  return {
    state: 'ended',
    ...(code === null ? {} : { exitCode: code }),
    ...(signal === null ? {} : { signal }),
  };
}

/**
 * Starts trainers on this machine, each detached in a process group of its own, so that they outlive this process. What they print goes
 * to `stdout.log` and `stderr.log` in the run's folder.
 */
export function localLauncher(options: LocalLauncherOptions): Launcher {
  /** How our own children end; of others' only whether they live can be told. */
  const ends = new Map<string, Promise<LaunchStatus>>();
  const keyOf = ({ processId, startTime }: LocalHandle): string => `${processId} ${startTime ?? ''}`;

  async function submit({ folder, lease, sharers }: LaunchRequest): Promise<LocalHandle> {
    const node = await options.node();
    const errors = join(folder, 'stderr.log');
    const descriptors: number[] = [];
    try {
      descriptors.push(openSync(join(folder, 'stdout.log'), 'a'), openSync(errors, 'a'));
      const stderrFrom = statSync(errors).size;
      const child = spawn(node.path, [...(options.nodeArguments ?? []), options.entry, folder], {
        cwd: folder,
        detached: true,
        stdio: ['ignore', ...descriptors],
        env: programEnvironment(node, {
          ...options.environment,
          [leaseVariable]: lease,
          [sharersVariable]: `${sharers}`,
        }),
        windowsHide: true,
      });
      const { pid } = child;
      if (pid === undefined) {
        const error = await new Promise<Error>((resolve) => child.once('error', resolve));
        throw new UserError(`the trainer cannot be started: ${messageOf(error)}`, undefined, { cause: error });
      }
      child.unref();
      // Read at once, before the process can end and its number mean nothing.
      const handle: LocalHandle = { ...identify(pid), stderrFrom };
      const end = new Promise<LaunchStatus>((resolve) => {
        child.once('exit', (code, signal) => {
          // Whatever it started goes with it.
          signalGroup(handle, 'kill');
          resolve(endOf(code, signal));
        });
      });
      ends.set(keyOf(handle), end);
      child.on('error', () => undefined);
      return handle;
    } catch (error) {
      throw asDiskFull(error, folder);
    } finally {
      descriptors.forEach(closeSync);
    }
  }

  async function statusOf(given: unknown): Promise<LaunchStatus> {
    const parsed = localHandle.safeParse(given);
    if (!parsed.success) return { state: 'unknown', detail: 'not a process of this launcher' };
    const handle = parsed.data;
    const state = processState(handle);
    if (state === 'alive') return { state: 'running' };
    const end = ends.get(keyOf(handle));
    if (state === 'dead' && end !== undefined) return end;
    if (state === 'dead')
      return { state: 'ended', ...(rebooted(handle) ? { detail: 'the machine was restarted' } : {}) };
    return { state: 'unknown' };
  }

  return {
    id: 'local',
    submit,
    poll: (handles) => Promise.all(handles.map(statusOf)),
    cancel: (given, how) => {
      const parsed = localHandle.safeParse(given);
      return Promise.resolve(parsed.success && signalGroup(parsed.data, how));
    },
    ended: (given) => {
      const parsed = localHandle.safeParse(given);
      return parsed.success ? ends.get(keyOf(parsed.data)) : undefined;
    },
    output: (given, folder) => {
      const parsed = localHandle.safeParse(given);
      const file = join(folder, 'stderr.log');
      const written = (statSync(file, { throwIfNoEntry: false })?.size ?? 0) - (parsed.data?.stderrFrom ?? 0);
      if (written <= 0) return undefined;
      const lines = (readTail(file, Math.min(written, 8192)) ?? '').trimEnd().split('\n');
      const text = lines.slice(-60).join('\n').trim();
      return text === '' ? undefined : text;
    },
  };
}

function rebooted({ bootId }: LocalHandle): boolean {
  const now = thisMachine().bootId;
  return bootId !== undefined && now !== undefined && bootId !== now;
}

import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { errorCode } from './files.ts';

/**
 * Which process it is, beyond its number, that numbers are given out again: the machine, its boot, and when the process began.
 */
export const processIdentity = z.object({
  host: z.string(),
  processId: z.int().positive(),
  /** Names the boot of the machine; absent where the system does not say. */
  bootId: z.string().optional(),
  /** The process-number space; containers on one machine have their own. */
  namespace: z.string().optional(),
  /** When the process began, in whatever form the system tells it; only ever compared. Absent where it does not say. */
  startTime: z.string().optional(),
});

export type ProcessIdentity = z.output<typeof processIdentity>;

/** `other-host`: it cannot be seen from here. `unknown`: there is such a process, but whether it is the same cannot be told. */
export type ProcessState = 'alive' | 'dead' | 'other-host' | 'unknown';

function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

interface LinuxStatus {
  readonly state: string;
  readonly group: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTime: string;
}

function linuxStatus(processId: number): LinuxStatus | undefined {
  const text = quietly(() => readFileSync(`/proc/${processId}/stat`, 'latin1'));
  if (text === undefined) return undefined;
  // The second field is the program's name in brackets and may itself hold spaces and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, , group] = fields;
  const startTime = fields[19];
  if (state === undefined || group === undefined || startTime === undefined) return undefined;
  return { state, group: Number(group), startTime };
}

const asked = new Map<number, { readonly at: number; readonly answer: string | undefined }>();
const askAgainAfterMs = 10_000;

function startTimeOf(processId: number): string | undefined {
  if (process.platform === 'linux') return linuxStatus(processId)?.startTime;
  // Elsewhere it takes starting a program, which is too dear to do at every look.
  const known = asked.get(processId);
  if (known !== undefined && Date.now() - known.at < askAgainAfterMs) return known.answer;
  const answer = askStartTime(processId);
  asked.set(processId, { at: Date.now(), answer });
  return answer;
}

function askStartTime(processId: number): string | undefined {
  const [program, args]: readonly [string, readonly string[]] =
    process.platform === 'win32'
      ? [
          'powershell.exe',
          ['-NoProfile', '-NonInteractive', '-Command', `(Get-Process -Id ${processId}).StartTime.ToFileTimeUtc()`],
        ]
      : ['ps', ['-o', 'lstart=', '-p', `${processId}`]];
  const text = quietly(() =>
    execFileSync(program, args, {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
      windowsHide: true,
      // `ps` writes local time: another zone would make another process of it.
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC0' },
    }).trim(),
  );
  return text === '' ? undefined : text;
}

/** Names the boot of this machine on Linux and macOS; Windows has no such name. */
function readBootId(): string | undefined {
  if (process.platform === 'linux')
    return quietly(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  if (process.platform !== 'darwin') return undefined;
  const said = quietly(() =>
    execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim(),
  );
  return said === '' ? undefined : said;
}

type Machine = Pick<ProcessIdentity, 'host' | 'bootId' | 'namespace'>;

let machine: Machine | undefined;

/** What all processes that can be seen from here have in common. */
export function thisMachine(): Machine {
  if (machine !== undefined) return machine;
  const bootId = readBootId();
  const namespace = process.platform === 'linux' ? quietly(() => readlinkSync('/proc/self/ns/pid')) : undefined;
  machine = {
    host: hostname(),
    ...(bootId === undefined ? {} : { bootId }),
    ...(namespace === undefined ? {} : { namespace }),
  };
  return machine;
}

/** The identity of a process of this machine that lives now. */
export function identify(processId: number): ProcessIdentity {
  asked.delete(processId);
  const startTime = startTimeOf(processId);
  return { ...thisMachine(), processId, ...(startTime === undefined ? {} : { startTime }) };
}

let self: ProcessIdentity | undefined;

/** The identity of this very process. */
export function ownIdentity(): ProcessIdentity {
  self ??= identify(process.pid);
  return self;
}

/** Whether a process with this number exists, zombies left out, whichever it is. */
export function processExists(processId: number): boolean {
  if (process.platform === 'linux') {
    const status = linuxStatus(processId);
    if (status !== undefined) return status.state !== 'Z' && status.state !== 'X';
  }
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Whether that process still runs. A number that was given to another process since does not count. */
export function processState(identity: ProcessIdentity): ProcessState {
  const here = thisMachine();
  // Of one name may be Windows and the Linux on it (WSL), which see none of each other's processes.
  if ((identity.bootId === undefined) !== (here.bootId === undefined)) return 'other-host';
  // A Mac takes another name in every network; its boot is named once.
  const renamed = process.platform === 'darwin' && identity.bootId === here.bootId && here.bootId !== undefined;
  if (identity.host !== here.host && !renamed) return 'other-host';
  if (identity.bootId !== here.bootId) return 'dead';
  if (identity.namespace !== undefined && here.namespace !== undefined && identity.namespace !== here.namespace)
    return 'other-host';
  if (!processExists(identity.processId)) return 'dead';
  const startTime = startTimeOf(identity.processId);
  if (startTime === undefined || identity.startTime === undefined) return 'unknown';
  return startTime === identity.startTime ? 'alive' : 'dead';
}

function taskkill(processId: number, force: boolean): boolean {
  const args = ['/PID', `${processId}`, '/T', ...(force ? ['/F'] : [])];
  return (
    quietly(() => execFileSync('taskkill.exe', args, { stdio: 'ignore', windowsHide: true, timeout: 10_000 })) !==
    undefined
  );
}

function send(target: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    // macOS says so of a group in which all have ended and one was not collected.
    const ended = process.platform === 'darwin' && target < 0 && errorCode(error) === 'EPERM';
    if (ended || errorCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Signals a process that leads its own group, and all of the group with it (Windows: the tree below it). Nothing is sent unless it is
 * certain that the number still means the process that was started.
 * @returns whether anything was there to signal
 */
export function signalGroup(leader: ProcessIdentity, how: 'terminate' | 'kill'): boolean {
  const state = processState(leader);
  if (state === 'other-host') return false;
  const signal = how === 'kill' ? 'SIGKILL' : 'SIGTERM';
  if (process.platform === 'win32') return state !== 'dead' && taskkill(leader.processId, how === 'kill');
  // A group outlives its leader. Its number stays taken while it does, so a group whose leader's number means no process is still ours.
  const leaderless = state === 'dead' && leader.bootId === thisMachine().bootId && !processExists(leader.processId);
  if (state === 'dead' && !leaderless) return false;
  if (send(-leader.processId, signal)) return true;
  return state !== 'dead' && send(leader.processId, signal);
}

import { isRecord } from '../../base/is-record.ts';
import { askProgram } from '../ask-program.ts';

/** The GPUs of Windows and macOS, by what these systems' own tools print. */

export interface DisplayAdapter {
  readonly name: string;
  readonly driverVersion: string | undefined;
  /** A stand-in of the system's that draws on the CPU. */
  readonly software: boolean;
}

function members(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.filter(isRecord);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Reads `Get-CimInstance Win32_VideoController | Select-Object Name,DriverVersion | ConvertTo-Json`: an object, or an array of several. */
export function parseVideoControllers(text: string): readonly DisplayAdapter[] {
  return members(parsed(text)).flatMap(({ Name, DriverVersion }) => {
    const name = textOf(Name);
    if (name === undefined) return [];
    const software = /^Microsoft (Basic|Remote)|RDP|Virtual Display/i.test(name);
    return [{ name, driverVersion: textOf(DriverVersion), software }];
  });
}

/** Reads `system_profiler SPDisplaysDataType -json`. Metal's drivers come with macOS and have no version of their own. */
export function parseSystemProfiler(text: string): readonly DisplayAdapter[] {
  const [whole] = members(parsed(text));
  return members(whole?.['SPDisplaysDataType']).flatMap((adapter) => {
    const name = textOf(adapter['sppci_model']) ?? textOf(adapter['_name']);
    return name === undefined ? [] : [{ name, driverVersion: undefined, software: false }];
  });
}

const patienceMs = 15_000;

async function ask(program: string, args: readonly string[]): Promise<string> {
  const answer = await askProgram(program, args, { milliseconds: patienceMs });
  return answer.kind === 'answered' ? answer.stdout : '';
}

/** Asks the system; nothing where it does not tell, and on Linux, whose files tell more. */
export async function readDisplayAdapters(): Promise<readonly DisplayAdapter[]> {
  if (process.platform === 'darwin')
    return parseSystemProfiler(await ask('/usr/sbin/system_profiler', ['SPDisplaysDataType', '-json']));
  if (process.platform !== 'win32') return [];
  const command = 'Get-CimInstance Win32_VideoController | Select-Object Name,DriverVersion | ConvertTo-Json -Compress';
  return parseVideoControllers(await ask('powershell.exe', ['-NoProfile', '-NonInteractive', '-Command', command]));
}

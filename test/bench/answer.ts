import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** Answers the questions that {@link startChild}'s side asks, one after the other, until its input ends. */
export async function answerQuestions(
  answer: (question: Readonly<Record<string, unknown>>) => Promise<Readonly<Record<string, unknown>>>,
): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const result = await answer(JSON.parse(line) as Record<string, unknown>);
    process.stdout.write(`@${JSON.stringify(result)}\n`);
  }
}

/** The greatest resident memory of this process since it began, in bytes. */
export function peakResidentBytes(): number {
  try {
    // Not the rusage figure, which on Linux can be that of the process that started this one.
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (peak !== undefined) return Number(peak) * 1024;
  } catch {
    // Only Linux has it.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/** What this process has computed since, on all cores together: other programs slow its clock down, but hardly this. */
export function cpuSecondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import { UserError } from '../base/errors.ts';
import type { Phase } from '../privacy/mechanism.ts';

/** `--set a=1 --set b=2` as a list. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** `--state running,queued`, also given several times. */
export function list(value: string, before: readonly string[] | undefined): readonly string[] {
  const parts = value.split(',').map((part) => part.trim());
  return [...(before ?? []), ...parts.filter((part) => part !== '')];
}

/** A whole number from `least` to `most`. */
export function whole(least: number, most = Infinity): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() === '' || !Number.isSafeInteger(number) || number < least || number > most)
      throw new InvalidArgumentError(`Expected a whole number from ${least}${most === Infinity ? '' : ` to ${most}`}.`);
    return number;
  };
}

/** A share of a whole, between 0 and 1. */
export function fraction(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number > 0 && number < 1))
    throw new InvalidArgumentError('Expected a number between 0 and 1.');
  return number;
}

/** A number above `above`, up to `most`, as the option's own words say it. */
export function number(above: number, most: number, expected: string): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (value.trim() === '' || !(parsed > above && parsed <= most))
      throw new InvalidArgumentError(`Expected ${expected}.`);
    return parsed;
  };
}

/** Of each example to enter a batch. */
export const samplingRate = number(1e-30, 1, 'a probability above 0 and at most 1');
/** The probability that epsilon may fail. */
export const deltaValue = number(1e-100, 1 - 2 ** -53, 'a number between 0 and 1, such as 1e-5');
/** The noise's deviation as a multiple of the clipping norm. */
export const noiseMultiplier = number(0, Number.MAX_VALUE, 'a number above 0, such as 1.1');

/** `--spent 0.01,1.1,1000`: earlier steps on the same data, also given several times. */
export function spent(value: string, before: readonly Phase[] | undefined): readonly Phase[] {
  const [rate, noise, steps, ...rest] = value.split(',').map((part) => part.trim());
  if (rate === undefined || noise === undefined || steps === undefined || rest.length > 0)
    throw new InvalidArgumentError('Expected RATE,NOISE,STEPS, such as 0.01,1.1,1000.');
  return [
    ...(before ?? []),
    { samplingRate: samplingRate(rate), noiseMultiplier: noiseMultiplier(noise), steps: whole(1)(steps) },
  ];
}

/** `--slots cpu=2`, of every command that starts runs. */
export function slotsOption(): Option {
  return new Option(
    '--slots <device=count>',
    'how many runs a device takes at once, as cpu=2, which share its threads; may be repeated; one where nothing is said',
  )
    .argParser(collect)
    .default([]);
}

/** The current folder. @throws UserError where it was removed meanwhile */
export function currentFolder(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw new UserError('the current folder is gone', 'Change to one that is there.', { cause: error });
  }
}

/** A folder that is there: a slip of the finger must neither find "no runs" nor make a workspace where nobody looks for it. @throws UserError */
export function existingFolder(path: string): string {
  // An empty text is a shell's variable without a value. Taken for the current folder, it would have "rm latest" delete what lies there.
  if (path.trim() === '') throw new UserError('--folder: there is no folder ""', 'Give its path.');
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new UserError(`--folder: there is no folder ${resolve(path)}`);
  if (!stat.isDirectory())
    throw new UserError(`--folder: ${resolve(path)} is a file`, 'Give the folder that holds .peft.');
  return path;
}

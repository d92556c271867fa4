// Measures what PEFT Lab promises against PyTorch, transformers and peft, both in one run. It judges nothing: no threshold fails it.
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../src/base/errors.ts';
import { compileCases, measureCompilation } from './compile.ts';
import { formatComparison, type Comparison } from './comparison.ts';
import { compareAgreement, eightBitCases, eightBitHeader, formatAgreement, measureEightBit } from './eight-bit.ts';
import { endToEndName, findSst2, measureEndToEnd } from './end-to-end.ts';
import { compareMethod, formatMethod, measureMethods, methodCases, methodHeader } from './methods.ts';
import { parseOptions } from './options.ts';
import { measurePasses, passesCases } from './passes.ts';
import { comparePrivacy, formatPrivacy, measurePrivacy, privacyCases, privacyHeader } from './privacy.ts';
import { compareProfile, formatProfile, measureProfile, profileCases, profileHeader, scaleCases } from './profile.ts';
import { findPython, type Python } from './python.ts';
import { encoders, writeRandomBert } from './random-checkpoint.ts';
import { measureRecomputation, recomputeCases } from './recompute.ts';
import { canStart, measureStart, startCases } from './start.ts';
import { measureStep, stepCases } from './step.ts';
import { ownVersions } from './versions.ts';

async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(args);
  const wanted = (name: string): boolean =>
    options.only.length === 0 || options.only.some((part) => name.includes(part));
  const steps = stepCases.filter(({ name }) => wanted(name));
  const compilations = compileCases.filter(({ name }) => wanted(name));
  const compared = methodCases.filter(({ name }) => wanted(name));
  const privately = privacyCases.filter(({ name }) => wanted(name));
  const recomputed = recomputeCases.filter(({ name }) => wanted(name));
  const inPasses = passesCases.filter(({ name }) => wanted(name));
  const starts = startCases.filter(({ name }) => wanted(name));
  const profiled = [...profileCases, ...scaleCases].filter(({ name }) => wanted(name));
  const rounded = eightBitCases.filter(({ name }) => wanted(name));
  const endToEnd = wanted(endToEndName);
  const names = [
    ...compilations,
    ...steps,
    ...compared,
    ...privately,
    ...recomputed,
    ...starts,
    ...profiled,
    ...rounded,
    ...inPasses,
    ...(endToEnd ? [{ name: endToEndName }] : []),
  ].map(({ name }) => name);
  if (names.length === 0)
    throw new UserError(
      `no comparison's name holds ${options.only.join(' or ')}`,
      'See them with: npm run bench -- --list',
    );
  if (options.list) {
    process.stdout.write(`${names.join('\n')}\n`);
    return;
  }
  const found = findPython(options.python);
  const python: Python | undefined = 'path' in found ? found : undefined;
  const note = (text: string): void => void process.stderr.write(`bench: ${text}\n`);
  if ('missing' in found) note(`only our side runs: ${found.missing} (name one with --python or PEFT_LAB_PYTHON)`);
  else if (!found.compiles && !options.quick) note('there is no C++ compiler, so torch.compile is left out');
  const context = {
    threads: options.threads,
    quick: options.quick,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: cpus().length,
    versions: { ...(await ownVersions()), ...python?.versions },
  };
  if (!options.json) {
    process.stdout.write(`${context.cpu}, ${context.cpus} CPUs, ${context.threads} threads each\n`);
    process.stdout.write(
      `${Object.entries(context.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}\n`,
    );
  }
  /** @param text for people; each comparison is a line of its own without it */
  const tell = (comparisons: readonly Comparison[], text?: string): void => {
    const lines = options.json
      ? comparisons.map((comparison) => JSON.stringify({ ...comparison, ...context }))
      : text === undefined
        ? comparisons.map(formatComparison)
        : [text];
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  };
  const folder = await mkdtemp(join(tmpdir(), 'peft-lab-bench-'));
  try {
    for (const encoder of new Set(
      [...compilations, ...steps, ...compared, ...privately, ...recomputed, ...inPasses].map((step) => step.encoder),
    )) {
      await writeRandomBert(join(folder, encoder), encoders[encoder]);
    }
    for (const step of compilations) {
      note(step.name);
      tell([await measureCompilation(step, folder, options, python)]);
    }
    for (const step of steps) {
      note(step.name);
      tell(await measureStep(step, folder, options, python));
    }
    for (const each of recomputed) {
      note(each.name);
      tell(await measureRecomputation(each, folder, options));
    }
    for (const each of inPasses) {
      note(each.name);
      tell(await measurePasses(each, folder, options));
    }
    for (const each of starts) {
      note(each.name);
      if (!canStart(each)) note(`${each.name} is left out: npm run build makes what it starts`);
      else {
        const measured = await measureStart(each, folder, options, findSst2(options.sst2));
        if (measured.length === 0) note(`${each.name} is left out: name the data with --sst2`);
        tell(measured);
      }
    }
    if (compared.length > 0) {
      if (!options.json) process.stdout.write(`${methodHeader}\n`);
      for await (const measured of measureMethods(compared, folder, options, note))
        tell(compareMethod(measured), formatMethod(measured));
    }
    if (privately.length > 0) {
      if (!options.json) process.stdout.write(`${privacyHeader}\n`);
      for (const each of privately) {
        note(each.name);
        const measured = await measurePrivacy(each, folder, options);
        tell(comparePrivacy(measured), formatPrivacy(measured));
      }
    }
    if (profiled.length > 0) {
      if (!options.json) process.stdout.write(`${profileHeader}\n`);
      for (const each of profiled) {
        note(each.name);
        const measured = await measureProfile(each, folder, options);
        tell([compareProfile(measured)], formatProfile(measured, profileCases.includes(each)));
      }
    }
    const { encoder } = options;
    const sst2 = findSst2(options.sst2);
    if (rounded.length > 0) {
      if (sst2 === undefined || encoder === undefined)
        note('eight-bit/ is left out: name a pretrained encoder with --encoder and the data with --sst2');
      else {
        if (!options.json) process.stdout.write(`${eightBitHeader}\n`);
        for (const each of rounded) {
          const measured = await measureEightBit(each, { sst2, encoder }, options);
          if (measured === undefined) note(`${each.name} leaves no matrix frozen`);
          else tell(compareAgreement(measured), formatAgreement(measured));
        }
      }
    }
    if (endToEnd) {
      if (sst2 === undefined) note(`${endToEndName} is left out: name the data with --sst2`);
      else if (encoder === undefined) note(`${endToEndName} is left out: name a pretrained encoder with --encoder`);
      else {
        note(endToEndName);
        tell(await measureEndToEnd({ sst2, encoder }, folder, options, python));
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}

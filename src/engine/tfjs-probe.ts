import { describeLibrary, findTfjs, NoTfjsError } from './backends/tfjs/library.ts';
import type { TfjsProbeResult } from './run-tfjs-probe.ts';

/**
 * The program that looks for TensorFlow.js, `node tfjs-probe.ts`, in a process of its own: loading TensorFlow ends the process where the
 * processor lacks what it was compiled for. It prints one line of JSON, a TfjsProbeResult.
 */
async function probe(): Promise<TfjsProbeResult> {
  try {
    const library = await findTfjs();
    return { kind: 'works', text: `${describeLibrary(library)}, in ${library.folder}` };
  } catch (error) {
    if (!(error instanceof NoTfjsError)) throw error;
    const [broken] = error.unusable;
    if (broken === undefined) return { kind: 'absent' };
    return { kind: 'fails', reason: `${broken.name} in ${broken.folder} cannot be loaded: ${broken.problem}` };
  }
}

process.stdout.write(`${JSON.stringify(await probe())}\n`);

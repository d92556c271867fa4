import { UserError } from '../base/errors.ts';
import { bytes } from '../base/format.ts';
import { installCudaRuntime } from '../engine/backends/onnx/cuda-runtime.ts';
import type { App } from './app.ts';
import { printJson } from './output.ts';

/** A line of progress for each so many bytes. */
const toldEvery = 50e6;

/** `peft-lab doctor --install cuda`: brings the runtime's CUDA provider into the user's own folder. @throws UserError */
export async function installCudaCommand(app: App, feed: string | undefined): Promise<number> {
  let told = 0;
  const giveUp = new AbortController();
  // Whoever ends it early finds no half of a download later; a second signal ends it at once.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.once(signal, () => giveUp.abort(new UserError('the download was interrupted', 'Nothing was installed.')));
  const { folder, already } = await installCudaRuntime({
    feed,
    signal: giveUp.signal,
    onProgress: (done, all) => {
      if (done - told < toldEvery) return;
      told = done;
      app.terminal.err(`${bytes(done)}${all === undefined ? '' : ` of ${bytes(all)}`}\n`);
    },
  });
  if (app.json) printJson(app.terminal, { folder, already });
  else
    app.terminal.out(
      already
        ? `The CUDA provider is there already, in ${folder}\n`
        : `The CUDA provider is in ${folder}\nIt needs CUDA 12 and cuDNN 9 on the machine; see: peft-lab doctor\n`,
    );
  return 0;
}

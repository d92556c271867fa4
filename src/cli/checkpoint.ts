import { messageOf, UserError } from '../base/errors.ts';
import { grouped } from '../base/format.ts';
import { saveCheckpoint } from '../runs/save-checkpoint.ts';
import { readWorkspace, type App } from './app.ts';
import { plainLines, printJson } from './output.ts';
import { findRuns } from './runs.ts';

/**
 * `peft-lab checkpoint RUN…`: has runs write a checkpoint and go on, and waits until they have.
 * @returns 2 when one of them does not train, or does not answer
 */
export async function checkpointCommand(app: App, texts: readonly string[]): Promise<number> {
  const workspace = readWorkspace(app);
  const results = await Promise.all(
    findRuns(workspace, texts).map(async (id) => {
      try {
        const { step, path } = await saveCheckpoint(workspace, id);
        if (!app.json) app.terminal.out(`${id}  checkpoint at step ${grouped(step)}\n`);
        return { id, step, path, reason: null };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (!app.json) app.terminal.err(`peft-lab: ${plainLines(messageOf(error))}\n`);
        return { id, step: null, path: null, reason: messageOf(error) };
      }
    }),
  );
  if (app.json) printJson(app.terminal, { runs: results });
  return results.some(({ reason }) => reason !== null) ? 2 : 0;
}

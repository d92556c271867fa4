import { annotationsOf } from '../runs/annotations.ts';
import { appendMarks, readMarks, tagMarks, type Untimed } from '../runs/marks.ts';
import { readRecordedConfiguration, runFolder } from '../runs/run-folder.ts';
import { readWorkspace, type App } from './app.ts';
import { plain, printJson } from './output.ts';
import { findRuns } from './runs.ts';

function mark(app: App, texts: readonly string[], marks: readonly Untimed[]): number {
  const workspace = readWorkspace(app);
  const marked = findRuns(workspace, texts).map((id) => {
    const folder = runFolder(workspace, id);
    appendMarks(folder, marks);
    const { tags, note, starred } = annotationsOf(readMarks(folder), readRecordedConfiguration(folder));
    return { id, tags, note, starred };
  });
  if (app.json) printJson(app.terminal, { runs: marked });
  else
    for (const { id, tags, note, starred } of marked)
      app.terminal.out(
        `${plain([id, starred ? '★' : '', tags.join(' '), note].filter((part) => part !== '').join('  '))}\n`,
      );
  return 0;
}

/** `peft-lab tag RUN TAG…`. */
export function tagCommand(
  app: App,
  run: string,
  tags: readonly string[],
  { remove }: { readonly remove: boolean },
): number {
  return mark(app, [run], remove ? tags.map((tag) => ({ type: 'untag', tag: tag.trim() })) : tagMarks(tags));
}

/** `peft-lab note RUN TEXT`: replaces the note. */
export function noteCommand(app: App, run: string, text: string): number {
  return mark(app, [run], [{ type: 'note', text }]);
}

/** `peft-lab star RUN…`. */
export function starCommand(app: App, runs: readonly string[], { off }: { readonly off: boolean }): number {
  return mark(app, runs, [{ type: 'star', on: !off }]);
}

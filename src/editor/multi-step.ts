import * as vscode from 'vscode';
import { messageOf } from '../base/errors.ts';
import type { Answer, Ask, BrowseStep, Choice, InputStep, PickStep, Position } from './core/steps.ts';
import { withoutIcons } from './core/text.ts';

/** Shows the questions of core/steps.ts as the editor's quick picks and input boxes. */

interface ChoiceItem<State> extends vscode.QuickPickItem {
  readonly apply?: (state: State) => State;
}

function itemOf<State>(choice: Choice<(state: State) => State>): ChoiceItem<State> {
  if (choice.kind === 'heading') return { label: choice.label, kind: vscode.QuickPickItemKind.Separator };
  const { label, description, detail, icon, value } = choice;
  return {
    // An icon in the label would be searched for and read aloud; names are not to become icons either.
    label: withoutIcons(label),
    ...(description === undefined ? {} : { description: withoutIcons(description) }),
    ...(detail === undefined ? {} : { detail: withoutIcons(detail) }),
    ...(icon === undefined ? {} : { iconPath: new vscode.ThemeIcon(icon) }),
    apply: value,
  };
}

function place(box: vscode.QuickInput, title: string, { step, total }: Position): void {
  box.title = title;
  box.step = step;
  box.totalSteps = total;
  box.ignoreFocusOut = true;
}

function pick<State>(
  question: PickStep<State>,
  state: State,
  position: Position,
  flow: string,
): Promise<Answer<State>> {
  const box = vscode.window.createQuickPick<ChoiceItem<State>>();
  place(box, `${flow}: ${question.title}`, position);
  box.placeholder = question.placeholder;
  box.matchOnDescription = true;
  box.matchOnDetail = true;
  if (position.canGoBack) box.buttons = [vscode.QuickInputButtons.Back];
  const ended = new AbortController();
  return new Promise((resolve) => {
    const finish = (answer: Answer<State>): void => {
      resolve(answer);
      box.hide();
    };
    let isFirst = true;
    box.onDidTriggerButton(() => finish({ kind: 'back' }));
    box.onDidAccept(() => {
      const [chosen] = box.selectedItems;
      if (chosen?.apply !== undefined) finish({ kind: 'answered', state: chosen.apply(state) });
    });
    box.onDidHide(() => {
      ended.abort();
      resolve({ kind: 'cancelled' });
      box.dispose();
    });
    const filled = question.load(
      state,
      ({ items, busy, active }) => {
        if (ended.signal.aborted) return;
        box.busy = busy;
        // A list that is filled bit by bit keeps the line that the user went to.
        const [standing] = box.activeItems;
        const hasMoved =
          !isFirst && standing !== undefined && standing !== box.items.find(({ apply }) => apply !== undefined);
        box.keepScrollPosition = !isFirst;
        box.items = items.map(itemOf);
        const kept = hasMoved ? box.items.find(({ label }) => label === standing.label) : undefined;
        const wanted =
          kept ??
          (active === undefined ? undefined : box.items.find(({ apply }) => apply !== undefined && active(apply)));
        if (wanted !== undefined) box.activeItems = [wanted];
        isFirst = false;
      },
      ended.signal,
    );
    Promise.resolve(filled).catch((problem: unknown) => {
      if (ended.signal.aborted) return;
      box.busy = false;
      box.placeholder = messageOf(problem).split('\n')[0] ?? '';
    });
    box.show();
  });
}

function input<State>(
  question: InputStep<State>,
  state: State,
  position: Position,
  flow: string,
): Promise<Answer<State>> {
  const box = vscode.window.createInputBox();
  place(box, `${flow}: ${question.title}`, position);
  box.prompt = question.prompt;
  box.placeholder = question.placeholder ?? '';
  box.value = question.value(state);
  if (position.canGoBack) box.buttons = [vscode.QuickInputButtons.Back];
  return new Promise((resolve) => {
    const finish = (answer: Answer<State>): void => {
      resolve(answer);
      box.hide();
    };
    box.onDidTriggerButton(() => finish({ kind: 'back' }));
    box.onDidChangeValue((value) => {
      box.validationMessage = value === '' ? '' : (question.problem(value, state) ?? '');
    });
    box.onDidAccept(() => {
      const problem = question.problem(box.value, state);
      if (problem === undefined) finish({ kind: 'answered', state: question.apply(state, box.value) });
      else box.validationMessage = problem;
    });
    box.onDidHide(() => {
      resolve({ kind: 'cancelled' });
      box.dispose();
    });
    box.show();
  });
}

async function browse<State>(question: BrowseStep<State>, state: State): Promise<Answer<State>> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectFiles: false,
    canSelectFolders: true,
    openLabel: question.title,
    title: question.title,
  });
  const [folder] = chosen ?? [];
  // A folder that only the editor sees holds nothing that could be trained on.
  return folder?.scheme !== 'file'
    ? { kind: 'back' }
    : { kind: 'answered', state: question.apply(state, folder.fsPath) };
}

/** Asks in the editor. @param flow the name of the whole, before each step's title */
export function editorAsk<State>(flow: string): Ask<State> {
  return (question, state, position) => {
    switch (question.kind) {
      case 'pick':
        return pick(question, state, position, flow);
      case 'input':
        return input(question, state, position, flow);
      case 'browse':
        return browse(question, state);
    }
  };
}

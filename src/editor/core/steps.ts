/**
 * Questions asked one after the other, with a way back: the steps as data and the order in which they come. What shows them is the
 * caller's, so that all of it can be tested without an editor.
 */

/** A line of a list: something to choose, or a heading. */
export type Choice<Value> =
  | {
      readonly kind: 'choice';
      readonly label: string;
      readonly description?: string;
      readonly detail?: string;
      readonly icon?: string;
      readonly value: Value;
    }
  | { readonly kind: 'heading'; readonly label: string };

/** What a list shows, and whether more is being looked for. */
export interface Choices<Value> {
  readonly items: readonly Choice<Value>[];
  readonly busy: boolean;
  /** Which is preselected: the first that this says yes to. */
  readonly active?: (value: Value) => boolean;
}

export interface PickStep<State> {
  readonly kind: 'pick';
  readonly title: string;
  readonly placeholder: string;
  /**
   * Fills the list and goes on filling it until `signal` aborts; the list is open meanwhile.
   * @throws what keeps it from being filled
   */
  readonly load: (
    state: State,
    show: (choices: Choices<(state: State) => State>) => void,
    signal: AbortSignal,
  ) => void | Promise<void>;
}

export interface InputStep<State> {
  readonly kind: 'input';
  readonly title: string;
  readonly prompt: string;
  readonly placeholder?: string;
  readonly value: (state: State) => string;
  /** What is wrong with the text; nothing where it will do. */
  readonly problem: (text: string, state: State) => string | undefined;
  readonly apply: (state: State, text: string) => State;
}

/** Asks for a folder or a file with the system's own dialog. */
export interface BrowseStep<State> {
  readonly kind: 'browse';
  readonly title: string;
  readonly apply: (state: State, path: string) => State;
}

export type Question<State> = PickStep<State> | InputStep<State> | BrowseStep<State>;

export interface Step<State> {
  readonly id: string;
  /** Left out where an earlier answer has made it needless. */
  readonly isNeeded: (state: State) => boolean;
  /** A step may ask a second question, such as the text after "Other…"; it counts as the same step. */
  readonly question: (state: State) => Question<State>;
}

export type Answer<State> =
  { readonly kind: 'answered'; readonly state: State } | { readonly kind: 'back' } | { readonly kind: 'cancelled' };

export interface Position {
  /** From 1. */
  readonly step: number;
  readonly total: number;
  readonly canGoBack: boolean;
}

export type Ask<State> = (question: Question<State>, state: State, position: Position) => Promise<Answer<State>>;

/**
 * Asks the steps that are needed, in order; going back returns to the state before the last answer.
 * @returns the last state, or nothing when the user gave up
 */
export async function askSteps<State>(
  steps: readonly Step<State>[],
  initial: State,
  ask: Ask<State>,
): Promise<State | undefined> {
  const past: State[] = [];
  let state = initial;
  for (;;) {
    const needed = steps.filter((step) => step.isNeeded(state));
    const [next] = needed;
    if (next === undefined) return state;
    // Those that were answered are needed no more, so the number of the step is what was answered before it.
    const answered = new Set(past.map((before) => steps.find((step) => step.isNeeded(before))?.id)).size;
    const repeated = past.length > 0 && steps.find((step) => step.isNeeded(past.at(-1) ?? state))?.id === next.id;
    const step = repeated ? answered : answered + 1;
    const answer = await ask(next.question(state), state, {
      step,
      total: step + needed.length - 1,
      canGoBack: past.length > 0,
    });
    if (answer.kind === 'cancelled') return undefined;
    if (answer.kind === 'back') state = past.pop() ?? state;
    else {
      past.push(state);
      state = answer.state;
    }
  }
}

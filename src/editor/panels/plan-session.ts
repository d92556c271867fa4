import { capitalised } from '../../base/format.ts';
import { messageOf, UserError } from '../../base/errors.ts';
import { oneAtATime } from '../../base/one-at-a-time.ts';
import type { Phase } from '../../privacy/mechanism.ts';
import type { BudgetStatement } from '../../runs/budget-statement.ts';
import type { PlanInputs, Size } from '../../webviews/plan/messages.ts';
import { planPanelMessage, type HostMessage } from '../../webviews/protocol.ts';
import { t } from '../core/l10n.ts';
import type { Operations, PlannedPrivacy, PlanRequest } from '../worker/operations.ts';
import { shareFeed } from './feed-sender.ts';
import { pageListener } from './page-listener.ts';

/** The host's side of the privacy planner, without the editor: it asks the worker point by point, so that others get their turn between. */
export interface PlanSession {
  readonly receive: (message: unknown) => void;
  /**
   * Plans something else than the page has.
   * @param begun plain data that the page is to keep with the inputs
   */
  readonly open: (inputs: PlanInputs, begun?: unknown) => void;
  /** Looks at sizes and data sets again. Calls while it looks are one more look. */
  readonly refresh: () => Promise<void>;
  readonly dispose: () => void;
}

/** The privacy of a configuration, as the user would write it. */
export type WrittenPrivacy = Readonly<Record<string, unknown>>;

/** A plan that is done. */
export interface FinishedPlan {
  readonly inputs: PlanInputs;
  readonly privacy: WrittenPrivacy;
}

type Ask<N extends keyof Operations> = (input: Operations[N]['input']) => Promise<Operations[N]['output']>;

export interface PlanSessionOptions {
  readonly feed: string;
  readonly sizes: () => Promise<readonly Size[]>;
  /** What was spent on the project's data sets, each with an id that stays. */
  readonly dataSets: () => Promise<readonly (BudgetStatement & { readonly id: string })[]>;
  readonly plan: Ask<'planPrivacy'>;
  readonly sketch: Ask<'sketchEpsilon'>;
  readonly post: (message: HostMessage) => void;
  readonly onCopy: (plan: FinishedPlan) => void;
  readonly onOpen: (plan: FinishedPlan) => void;
  readonly onProblem: (message: string) => void;
}

/** The noise multipliers of the curve: so many on either side of the plan's, each this much more than the one before. */
const curveReach = 10;
const curveFactor = 1.18;

/** Noises about one, nearest first, so that the curve grows from the plan outwards. */
function noisesAbout(noise: number): readonly number[] {
  return Array.from({ length: 2 * curveReach }, (_, index) => {
    const distance = Math.floor(index / 2) + 1;
    return noise * curveFactor ** (index % 2 === 0 ? distance : -distance);
  });
}

/** The `privacy` of a configuration that trains as planned; what is the default is left out. */
export function writtenPrivacy(inputs: PlanInputs, noiseMultiplier: number): WrittenPrivacy {
  const { goal, delta, accountant, spentOn } = inputs;
  return {
    // A target is for one run alone: beside earlier ones, only the noise says what was planned.
    ...(goal.kind === 'epsilon' && spentOn === null ? { epsilon: goal.epsilon } : { noiseMultiplier }),
    ...(delta === null ? {} : { delta }),
    ...(accountant === 'tightest' ? {} : { accountant }),
  };
}

/** A message of errors, which begins small and goes on in another line, as sentences. */
function sentence(message: string): string {
  const [first = '', ...others] = message.split(/\n\s*/);
  const text = others.length === 0 || /[.!?]$/.test(first) ? first : `${first}.`;
  return [capitalised(text), ...others].join(' ');
}

/** Makes the session of one panel. */
export function makePlanSession(options: PlanSessionOptions): PlanSession {
  const { onProblem } = options;
  const feed = shareFeed(options.feed, options.post);
  let counted = new Map<string, Pick<BudgetStatement, 'phases' | 'budget'>>();
  let latest: PlanInputs | undefined;
  let finished: FinishedPlan | undefined;
  let wish: 'copy' | 'open' | undefined;
  let generation = 0;
  let asked = 0;
  let isOver = false;
  let isRefused = false;

  const set = (...values: readonly (readonly [string, unknown])[]): void => {
    if (isOver) return;
    feed.set(values);
    feed.send();
  };

  function requestOf(inputs: PlanInputs): PlanRequest {
    const { examples, batchSize, epochs, delta, goal, accountant, spentOn } = inputs;
    const before = spentOn === null ? undefined : counted.get(spentOn);
    return {
      examples,
      batchSize,
      epochs,
      delta: delta ?? undefined,
      goal,
      accountant: accountant === 'tightest' ? undefined : accountant,
      spent: before?.phases ?? [],
      budgetDelta: before?.budget?.delta,
    };
  }

  /** Fills a curve point by point, as long as nobody asks for another plan. */
  async function fill(
    key: 'noise' | 'epochs',
    own: number,
    known: readonly { readonly x: number; readonly epsilon: number | null }[],
    places: readonly { readonly x: number; readonly phase: Phase }[],
    { delta, accountant, before }: { delta: number; accountant: PlanRequest['accountant']; before: readonly Phase[] },
  ): Promise<void> {
    const points = [...known];
    for (const { x, phase } of places) {
      if (own !== generation || isOver) return;
      set([key, { points, isWhole: false }]);
      const epsilon = await options.sketch({ phases: [...before, phase], delta, accountant });
      points.push({ x, epsilon });
    }
    if (own === generation) set([key, { points, isWhole: true }]);
  }

  async function compute(inputs: PlanInputs): Promise<void> {
    generation += 1;
    const own = generation;
    set(['state', { kind: 'computing' }]);
    const request = requestOf(inputs);
    let found: PlannedPrivacy;
    try {
      if (inputs.batchSize > inputs.examples)
        throw new UserError(t('A batch of {0} is more than {1} examples.', inputs.batchSize, inputs.examples));
      found = await options.plan(request);
    } catch (error) {
      if (own !== generation) return;
      [wish, isRefused] = [undefined, true];
      feed.remove(['plan', 'noise', 'epochs']);
      set(['state', { kind: 'refused', message: sentence(messageOf(error)) }]);
      return;
    }
    if (own !== generation) return;
    const { epochEnds, examples: _, deltaIsWeak, ...plan } = found;
    const { samplingRate, noiseMultiplier, totalSteps, stepsPerEpoch, delta, epsilon } = plan;
    finished = { inputs, privacy: writtenPrivacy(inputs, noiseMultiplier) };
    if (wish !== undefined) hand(wish);
    const way = { delta, accountant: request.accountant, before: request.spent };
    const whole = { x: totalSteps / stepsPerEpoch, epsilon };
    set(
      ['plan', { ...plan, deltaIsWeak, inputs }],
      ['noise', { points: [{ x: noiseMultiplier, epsilon }], isWhole: false }],
      ['epochs', { points: [whole], isWhole: false }],
      ['state', { kind: 'done' }],
    );
    const ends = epochEnds.filter((step) => step < totalSteps);
    await fill(
      'epochs',
      own,
      [whole],
      ends.map((steps) => ({ x: steps / stepsPerEpoch, phase: { samplingRate, noiseMultiplier, steps } })),
      way,
    );
    await fill(
      'noise',
      own,
      [{ x: noiseMultiplier, epsilon }],
      noisesAbout(noiseMultiplier).map((noise) => ({
        x: noise,
        phase: { samplingRate, noiseMultiplier: noise, steps: totalSteps },
      })),
      way,
    );
  }

  /** Hands the plan over, or once it is done: what is asked for is what is written now, not what was there before. */
  function hand(how: 'copy' | 'open'): void {
    wish = finished === undefined && latest !== undefined && !isRefused ? how : undefined;
    if (finished === undefined) return;
    if (how === 'copy') options.onCopy(finished);
    else options.onOpen(finished);
  }

  function plan(inputs: PlanInputs): void {
    latest = inputs;
    [finished, isRefused] = [undefined, false];
    compute(inputs).catch((error: unknown) => {
      if (!isOver) onProblem(messageOf(error));
    });
  }

  async function look(): Promise<void> {
    try {
      const [sizes, dataSets] = await Promise.all([options.sizes(), options.dataSets()]);
      const known = (): string => JSON.stringify(counted.get(latest?.spentOn ?? '') ?? null);
      const before = known();
      counted = new Map(dataSets.map(({ id, phases, budget }) => [id, { phases, budget }]));
      set(
        ['sizes', sizes],
        [
          'dataSets',
          dataSets.map(({ id, data, budget, spent: cost, delta, left, runs }) => ({
            id,
            data,
            budget,
            spent: cost === null ? 0 : cost.epsilon,
            delta,
            left,
            runs: runs.length,
          })),
        ],
      );
      // What counts with the plan has grown, or its budget was changed.
      if (latest !== undefined && known() !== before) plan(latest);
    } catch (error) {
      if (!isOver) onProblem(messageOf(error));
    }
  }

  return {
    receive: pageListener({
      page: 'the planner',
      schema: planPanelMessage,
      feed,
      onProblem,
      onMessage(message) {
        switch (message.type) {
          case 'plan':
            plan(message.inputs);
            return;
          case 'copyPlan':
            hand('copy');
            return;
          case 'openPlan':
            hand('open');
            return;
          case 'tookAsked':
            // A page that is made again would take them again, in place of what was typed since.
            if (message.count !== asked) return;
            feed.remove(['asked']);
            feed.send();
            return;
        }
      },
    }),
    open(inputs, begun) {
      asked += 1;
      set(['asked', { count: asked, inputs, ...(begun === undefined ? {} : { begun }) }]);
    },
    refresh: oneAtATime(look, () => isOver),
    dispose() {
      isOver = true;
      generation += 1;
    },
  };
}

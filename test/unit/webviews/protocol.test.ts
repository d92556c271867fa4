import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRunId } from '../../../src/runs/run-folder.ts';
import {
  comparePanelMessage,
  hostMessage,
  planPanelMessage,
  runCommands,
  runId,
  runPanelMessage,
} from '../../../src/webviews/protocol.ts';

const count = fc.nat(1_000_000);
const name = fc.string({ minLength: 1, maxLength: 200 });
const idLetter = fc.constantFrom(...Array.from('0123456789abcdefghjkmnpqrstvwxyz'));
const digits = (length: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));
const id = fc
  .tuple(digits(8), digits(9), fc.array(idLetter, { minLength: 6, maxLength: 6 }))
  .map(([day, time, random]) => `${day}-${time}-${random.join('')}`);

const curveQuery = fc.record(
  {
    metric: name,
    fromStep: count,
    toStep: count,
    points: fc.integer({ min: 4, max: 10_000 }),
    smoothing: fc.double({ min: 0, max: 0.999, noNaN: true }).map((weight) => (Object.is(weight, -0) ? 0 : weight)),
  },
  { requiredKeys: ['metric', 'points'], noNullPrototype: true },
);

const question = fc.oneof(
  fc.record(
    { kind: fc.constant('curves'), queries: fc.array(curveQuery, { maxLength: 5 }) },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('log'),
      limit: fc.integer({ min: 1, max: 5000 }),
      after: fc.record({ segment: count, seq: count }, { noNullPrototype: true }),
    },
    { requiredKeys: ['kind', 'limit'], noNullPrototype: true },
  ),
  fc.constantFrom({ kind: 'privacy' }, { kind: 'audit' }),
  fc.record(
    { kind: fc.constant('localCurves'), points: fc.integer({ min: 4, max: 10_000 }) },
    { noNullPrototype: true },
  ),
);

const ready = fc.constant({ type: 'ready' });
const pull = fc.record({ type: fc.constant('pull'), feed: name, since: count }, { noNullPrototype: true });
const problem = fc.record(
  { type: fc.constant('problem'), message: fc.string({ maxLength: 10_000 }) },
  { noNullPrototype: true },
);

const ofRun = fc.oneof(
  ready,
  pull,
  problem,
  fc.record({ type: fc.constant('ask'), id: count, question }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('command'), command: fc.constantFrom(...runCommands) }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('revealFile'), path: fc.string({ maxLength: 1000 }) }, { noNullPrototype: true }),
);

const sort = fc.record({ column: fc.string(), descending: fc.boolean() }, { noNullPrototype: true });

const ofComparison = fc.oneof(
  ready,
  pull,
  problem,
  fc.constant({ type: 'export' }),
  fc.record(
    {
      type: fc.constant('view'),
      view: fc.record(
        {
          metric: fc.string(),
          at: fc.constantFrom('best', 'last'),
          column: fc.option(fc.string()),
          axis: fc.constantFrom('parameters', 'epsilon'),
          count: fc.constantFrom('method', 'head', 'total'),
          facet: fc.constantFrom('none', 'privacy'),
          points: fc.constantFrom('means', 'runs'),
          chartAsTable: fc.boolean(),
          sort: fc.option(sort),
          pointSort: fc.option(sort),
        },
        { noNullPrototype: true },
      ),
    },
    { noNullPrototype: true },
  ),
  fc.record({ type: fc.constant('openRun'), run: id }, { noNullPrototype: true }),
);

const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true });

const ofPlan = fc.oneof(
  ready,
  pull,
  problem,
  fc.constantFrom({ type: 'copyPlan' }, { type: 'openPlan' }),
  fc.record({ type: fc.constant('tookAsked'), count }, { noNullPrototype: true }),
  fc.record(
    {
      type: fc.constant('plan'),
      inputs: fc.record(
        {
          task: fc.option(fc.string({ maxLength: 1000 })),
          examples: fc.integer({ min: 1, max: 1e12 }),
          batchSize: fc.integer({ min: 1, max: 1e12 }),
          epochs: positive,
          delta: fc.option(fc.double({ min: 1e-100, max: 0.999, noNaN: true })),
          accountant: fc.constantFrom('tightest', 'prv', 'rdp'),
          goal: fc.oneof(
            fc.record({ kind: fc.constant('epsilon'), epsilon: positive }, { noNullPrototype: true }),
            fc.record({ kind: fc.constant('noise'), noiseMultiplier: positive }, { noNullPrototype: true }),
          ),
          spentOn: fc.option(fc.string({ maxLength: 1000 })),
        },
        { noNullPrototype: true },
      ),
    },
    { noNullPrototype: true },
  ),
);

const ofHost = fc.oneof(
  fc.record(
    {
      type: fc.constant('changes'),
      feed: name,
      from: count,
      revision: count,
      changed: fc.array(fc.tuple(fc.string(), fc.jsonValue({ noNullPrototype: true } as object))),
      removed: fc.array(fc.string()),
    },
    { noNullPrototype: true },
  ),
  fc.record({ type: fc.constant('answer'), id: count, value: fc.jsonValue() }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('refused'), id: count, message: fc.string() }, { noNullPrototype: true }),
);

describe('messages survive the way', () => {
  for (const [title, schema, messages] of [
    ['from the run panel', runPanelMessage, ofRun],
    ['from the comparison', comparePanelMessage, ofComparison],
    ['from the planner', planPanelMessage, ofPlan],
    ['from the host', hostMessage, ofHost],
  ] as const)
    it(title, () => {
      fc.assert(
        fc.property(messages, (message) => {
          // As the editor carries them.
          const carried = JSON.parse(JSON.stringify(message)) as unknown;
          expect(schema.parse(carried)).toEqual(carried);
        }),
      );
    });
});

describe('the host refuses', () => {
  const refused: readonly (readonly [what: string, message: unknown])[] = [
    ['a command that there is none of', { type: 'command', command: 'workbench.action.terminal.new' }],
    ['a command with arguments', { type: 'command', command: 'stop', args: ['x'] }],
    ['a run by a path', { type: 'openRun', run: '../../etc/passwd' }],
    ['a run whose id goes on', { type: 'openRun', run: '20261121-053220069-5kzrkh/..' }],
    [
      'more points than any chart has',
      { type: 'ask', id: 1, question: { kind: 'curves', queries: [{ metric: 'loss', points: 1e9 }] } },
    ],
    [
      'a weight of 1',
      { type: 'ask', id: 1, question: { kind: 'curves', queries: [{ metric: 'loss', points: 10, smoothing: 1 }] } },
    ],
    ['a negative revision', { type: 'pull', feed: 'one', since: -1 }],
    ['another kind', { type: 'eval', code: '1' }],
  ];
  for (const [what, message] of refused)
    it(what, () => {
      expect(runPanelMessage.safeParse(message).success || comparePanelMessage.safeParse(message).success).toBe(false);
    });

  it('whatever else, without failing', () => {
    fc.assert(
      fc.property(fc.anything(), (message) => {
        runPanelMessage.safeParse(message);
        comparePanelMessage.safeParse(message);
        hostMessage.safeParse(message);
      }),
    );
  });
});

it('takes for ids what the run folders take for ids', () => {
  fc.assert(
    fc.property(fc.oneof(id, fc.string()), (text) => {
      expect(runId.safeParse(text).success).toBe(isRunId(text));
    }),
  );
});

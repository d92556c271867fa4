import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeConnection } from '../../../src/webviews/connection.ts';
import { applyChanges, emptyReplica, makeFeed, type Replica } from '../../../src/webviews/feed.ts';

const key = fc.constantFrom('a', 'b', 'c', 'd');
const action = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key, value: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant('remove' as const), key }),
  fc.record({ kind: fc.constant('replace' as const), values: fc.dictionary(key, fc.integer({ min: 0, max: 3 })) }),
);

describe('a feed', () => {
  it('brings any replica up to date, from whichever revision it is at', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(action, fc.boolean()), { maxLength: 40 }), (steps) => {
        const feed = makeFeed('one');
        const truth = new Map<string, unknown>();
        let replica: Replica = emptyReplica;
        for (const [step, isSeen] of steps) {
          if (step.kind === 'set') {
            feed.set([[step.key, step.value]]);
            truth.set(step.key, step.value);
          } else if (step.kind === 'remove') {
            feed.remove([step.key]);
            truth.delete(step.key);
          } else {
            feed.replace(Object.entries(step.values));
            truth.clear();
            for (const [name, value] of Object.entries(step.values)) truth.set(name, value);
          }
          if (isSeen) replica = applyChanges(replica, feed.since(replica.revision)) ?? replica;
        }
        replica = applyChanges(replica, feed.since(replica.revision)) ?? replica;
        expect(new Map([...replica.values].sort())).toEqual(new Map([...truth].sort()));
      }),
    );
  });

  it('sends only what has changed', () => {
    const feed = makeFeed('one');
    feed.set([
      ['a', { deep: [1, 2] }],
      ['b', 1],
    ]);
    const { revision } = feed.since(0);
    feed.set([
      ['a', { deep: [1, 2] }],
      ['b', 2],
    ]);
    expect(feed.since(revision)).toMatchObject({ changed: [['b', 2]], removed: [] });
    expect(feed.since(feed.revision())).toMatchObject({ changed: [], removed: [] });
  });

  it('gives all there is to who names a revision that never was', () => {
    const feed = makeFeed('one');
    feed.set([['a', 1]]);
    for (const revision of [-1, 0.5, NaN, 17])
      expect(feed.since(revision)).toMatchObject({ from: 0, changed: [['a', 1]] });
  });
});

describe('a replica', () => {
  it('takes the same changes twice, and older ones, without harm', () => {
    const feed = makeFeed('one');
    feed.set([['a', 1]]);
    const first = feed.since(0);
    feed.set([['a', 2]]);
    const second = feed.since(1);
    const replica = applyChanges(applyChanges(emptyReplica, first) ?? emptyReplica, second) ?? emptyReplica;
    expect(applyChanges(replica, second)).toBe(replica);
    expect(applyChanges(replica, first)).toBe(replica);
    expect(replica.values.get('a')).toBe(2);
  });

  it('notices what it has missed, also of a host that was started anew', () => {
    const feed = makeFeed('one');
    feed.set([['a', 1]]);
    feed.set([['b', 1]]);
    expect(applyChanges(emptyReplica, feed.since(1))).toBeUndefined();
    const replica = applyChanges(emptyReplica, feed.since(0)) ?? emptyReplica;
    const other = makeFeed('two');
    other.set([['c', 1]]);
    other.set([['c', 2]]);
    expect(applyChanges(replica, other.since(1))).toBeUndefined();
    expect([...(applyChanges(replica, other.since(0))?.values ?? [])]).toEqual([['c', 2]]);
  });
});

describe('a connection', () => {
  it('ends with what the host has, whatever is lost, doubled or late', () => {
    const fate = fc.constantFrom<'arrives' | 'lost' | 'twice' | 'late'>('arrives', 'lost', 'twice', 'late');
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.integer({ min: 0, max: 9 }), fate), { maxLength: 30 }), (steps) => {
        const feed = makeFeed('one');
        let sent = 0;
        const late: unknown[] = [];
        const pulls: number[] = [];
        const connection = makeConnection({
          post: (message) => {
            const asked = message as { readonly type: string; readonly since?: number };
            if (asked.type === 'pull' || asked.type === 'ready') pulls.push(asked.since ?? 0);
          },
          onValues: () => undefined,
        });
        const answerPulls = (): void => {
          for (const since of pulls.splice(0)) connection.receive({ type: 'changes', ...feed.since(since) });
        };
        for (const [name, value, how] of steps) {
          feed.set([[name, value]]);
          const message = { type: 'changes', ...feed.since(sent) };
          sent = feed.revision();
          if (how === 'late') late.push(message);
          if (how === 'arrives' || how === 'twice') connection.receive(message);
          if (how === 'twice') connection.receive(message);
          answerPulls();
        }
        for (const message of late) connection.receive(message);
        answerPulls();
        // The panel becomes visible.
        connection.catchUp();
        answerPulls();
        const whole = applyChanges(emptyReplica, feed.since(0)) ?? emptyReplica;
        expect(new Map([...connection.values()].sort())).toEqual(new Map([...whole.values].sort()));
      }),
    );
  });

  it('passes over what is none of its messages', () => {
    const connection = makeConnection({ post: () => undefined, onValues: () => expect.fail() });
    fc.assert(fc.property(fc.anything(), (message) => connection.receive(message)));
  });

  it('settles each question with its own answer', async () => {
    const asked: { readonly id: number }[] = [];
    const connection = makeConnection({
      post: (message) => asked.push(message as { readonly id: number }),
      onValues: () => undefined,
    });
    const first = connection.ask({ kind: 'curves', queries: [] });
    const second = connection.ask({ kind: 'log', limit: 10 });
    connection.receive({ type: 'answer', id: asked[1]?.id, value: 'lines' });
    connection.receive({ type: 'refused', id: asked[0]?.id, message: 'no such run' });
    await expect(second).resolves.toBe('lines');
    await expect(first).rejects.toThrow('no such run');
  });
});

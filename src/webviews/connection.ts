import { applyChanges, emptyReplica, type Changes, type Replica } from './feed.ts';
import { hostMessage, type Question } from './protocol.ts';

/** A webview's side of the conversation with its host. */
export interface Connection {
  readonly values: () => ReadonlyMap<string, unknown>;
  /** Takes a message of the host's; anything else is passed over. */
  readonly receive: (message: unknown) => void;
  /** Says that the webview listens. */
  readonly start: () => void;
  /** Asks for whatever was missed: when the panel becomes visible, nobody knows what got lost. */
  readonly catchUp: () => void;
  /** Rejects with an Error when the host refuses. */
  readonly ask: (question: Question) => Promise<unknown>;
}

export interface ConnectionOptions {
  readonly post: (message: unknown) => void;
  /** After values have changed, with the keys that did. */
  readonly onValues: (keys: readonly string[]) => void;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/** Keeps a replica of the host's feed, however messages are lost, doubled or late. */
export function makeConnection({ post, onValues }: ConnectionOptions): Connection {
  let replica: Replica = emptyReplica;
  let asked = 0;
  const waiting = new Map<number, Waiting>();

  function settle(id: number, how: (waiting: Waiting) => void): void {
    const found = waiting.get(id);
    waiting.delete(id);
    if (found !== undefined) how(found);
  }

  function takeChanges(changes: Changes): void {
    const next = applyChanges(replica, changes);
    if (next === undefined) {
      const since = changes.feed === replica.feed ? replica.revision : 0;
      post({ type: 'pull', feed: changes.feed, since });
      return;
    }
    if (next === replica) return;
    const before = replica.values;
    replica = next;
    const keys = new Set([...before.keys(), ...next.values.keys()]);
    const changed = [...keys].filter((key) => before.get(key) !== next.values.get(key));
    if (changed.length > 0) onValues(changed);
  }

  return {
    values: () => replica.values,
    receive(message) {
      const parsed = hostMessage.safeParse(message);
      if (!parsed.success) return;
      const { data } = parsed;
      if (data.type === 'changes') takeChanges(data);
      else if (data.type === 'answer') settle(data.id, ({ resolve }) => resolve(data.value));
      else settle(data.id, ({ reject }) => reject(new Error(data.message)));
    },
    start: () => post({ type: 'ready' }),
    catchUp() {
      if (replica.feed === undefined) post({ type: 'ready' });
      else post({ type: 'pull', feed: replica.feed, since: replica.revision });
    },
    ask: (question) =>
      new Promise((resolve, reject) => {
        asked += 1;
        waiting.set(asked, { resolve, reject });
        post({ type: 'ask', id: asked, question });
      }),
  };
}

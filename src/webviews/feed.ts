/**
 * State that a host shares with a webview, which may lose any message. Each value has a key and the revision at which it last
 * changed. A message carries every change since a revision, so it is a whole truth from there on: applying it twice, or one
 * that overlaps with another, does no harm, and who has missed one notices by the revision and asks again.
 */

/** Every change of a feed after revision `from`, up to `revision`. */
export interface Changes {
  /** Which feed: a host that was started anew counts from 0 again. */
  readonly feed: string;
  readonly from: number;
  readonly revision: number;
  readonly changed: readonly (readonly [key: string, value: unknown])[];
  readonly removed: readonly string[];
}

interface Entry {
  readonly text: string | undefined;
  readonly value: unknown;
  readonly revision: number;
}

/** The host's side. Values are plain data. */
export interface Feed {
  readonly id: string;
  readonly revision: () => number;
  /** Sets values; those that equal what is there change nothing. */
  readonly set: (values: Iterable<readonly [key: string, value: unknown]>) => void;
  readonly remove: (keys: Iterable<string>) => void;
  /** As `set`, and removes what is not among the values. */
  readonly replace: (values: Iterable<readonly [key: string, value: unknown]>) => void;
  /** The changes after a revision; all there is when the revision is not one of this feed's. */
  readonly since: (revision: number) => Changes;
}

/** A feed without values. @param id a text that no other feed of the same panel has had */
export function makeFeed(id: string): Feed {
  const entries = new Map<string, Entry>();
  let revision = 0;

  function put(key: string, text: string | undefined, value: unknown): void {
    const before = entries.get(key);
    if (before === undefined ? text === undefined : before.text === text) return;
    revision += 1;
    entries.set(key, { text, value, revision });
  }

  function set(values: Iterable<readonly [key: string, value: unknown]>): void {
    for (const [key, value] of values) put(key, JSON.stringify(value), value);
  }

  return {
    id,
    revision: () => revision,
    set,
    remove(keys) {
      for (const key of keys) put(key, undefined, undefined);
    },
    replace(values) {
      const kept = new Map(values);
      for (const key of entries.keys()) if (!kept.has(key)) put(key, undefined, undefined);
      set(kept);
    },
    since(wanted) {
      const from = Number.isInteger(wanted) && wanted >= 0 && wanted <= revision ? wanted : 0;
      const newer = [...entries].filter(([, entry]) => entry.revision > from);
      return {
        feed: id,
        from,
        revision,
        changed: newer.filter(([, { text }]) => text !== undefined).map(([key, { value }]) => [key, value] as const),
        removed: newer.filter(([, { text }]) => text === undefined).map(([key]) => key),
      };
    },
  };
}

/** What a webview has of a feed. */
export interface Replica {
  readonly feed: string | undefined;
  readonly revision: number;
  readonly values: ReadonlyMap<string, unknown>;
}

export const emptyReplica: Replica = { feed: undefined, revision: 0, values: new Map() };

/**
 * The replica with the changes applied; the same one when they bring nothing new; undefined when something before them is
 * missing, and everything since the replica's revision (or since 0, of another feed) has to be asked for.
 */
export function applyChanges(replica: Replica, changes: Changes): Replica | undefined {
  const isOther = changes.feed !== replica.feed;
  if (isOther ? changes.from > 0 : changes.from > replica.revision) return undefined;
  if (!isOther && changes.revision <= replica.revision) return replica;
  const values = isOther || changes.from === 0 ? new Map<string, unknown>() : new Map(replica.values);
  for (const key of changes.removed) values.delete(key);
  for (const [key, value] of changes.changed) values.set(key, value);
  return { feed: changes.feed, revision: changes.revision, values };
}

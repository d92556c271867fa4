import { isRecord } from '../../base/is-record.ts';
import type { ComparisonSelection, RunRef } from '../app.ts';
import type { FolderNode, GroupNode, TreeNode } from './run-tree.ts';

/**
 * What a command was called on. The editor hands over the node of a tree, with all that are selected; panels and other code hand over
 * references of runs.
 */

/** The runs of a group, the newest first. */
type RunsOf = (node: FolderNode | GroupNode) => readonly RunRef[];

function refOf(value: unknown): RunRef | undefined {
  if (!isRecord(value)) return undefined;
  // Nodes of the explorer have a reference, those of the queue hold a node that has one.
  if (value['ref'] !== undefined) return refOf(value['ref']);
  if (value['node'] !== undefined) return refOf(value['node']);
  const { folder, id } = value;
  return typeof folder === 'string' && typeof id === 'string' && value['kind'] === undefined
    ? { folder, id }
    : undefined;
}

function groupOf(value: unknown): FolderNode | GroupNode | undefined {
  if (!isRecord(value)) return undefined;
  const node = value as unknown as TreeNode;
  return (node.kind === 'group' || node.kind === 'folder') && typeof node.folder === 'string' ? node : undefined;
}

/** The runs that a command was called on, each once: of the whole selection where what was clicked is part of it. */
export function refsOf(given: readonly unknown[], runsOf: RunsOf): readonly RunRef[] {
  const [clicked, selected] = given;
  const all = Array.isArray(clicked) ? clicked : Array.isArray(selected) && selected.length > 0 ? selected : [clicked];
  const refs = all.flatMap((each: unknown): readonly RunRef[] => {
    const group = groupOf(each);
    if (group !== undefined) return runsOf(group);
    const ref = refOf(each);
    return ref === undefined ? [] : [ref];
  });
  return [...new Map(refs.map((ref) => [`${ref.folder} ${ref.id}`, ref])).values()];
}

/** A selection that other code hands over, which may be anything; of its runs those that are none are left out. */
function handedSelection(value: unknown): ComparisonSelection | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, runs, folder, sweep } = value;
  if (kind === 'everything') return { kind };
  if (kind === 'sweep')
    return typeof folder === 'string' && typeof sweep === 'string' ? { kind, folder, sweep } : undefined;
  if (kind !== 'runs' || !Array.isArray(runs)) return undefined;
  const found = runs.flatMap((run: unknown) => refOf(run) ?? []);
  return found.length === 0 ? undefined : { kind, runs: found };
}

/** What a comparison was asked of; nothing where it has to be asked, such as for a single run. */
export function selectionOf(given: readonly unknown[], runsOf: RunsOf): ComparisonSelection | undefined {
  const [clicked, selected] = given;
  const handed = handedSelection(clicked);
  if (handed !== undefined) return handed;
  const group = groupOf(clicked);
  const isAlone = !Array.isArray(selected) || selected.length < 2;
  if (group?.kind === 'group' && isAlone && group.by === 'sweep' && group.value !== null)
    return { kind: 'sweep', folder: group.folder, sweep: group.value };
  const runs = refsOf(given, runsOf);
  return runs.length === 0 ? undefined : { kind: 'runs', runs };
}

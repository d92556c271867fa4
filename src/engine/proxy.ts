import http from 'node:http';
import { messageOf, UserError } from '../base/errors.ts';

/** The variables that other tools take a proxy from; Node itself reads them only where it is told to. */
const variables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] as const;

let applied: { readonly settings: string; readonly restore: () => void } | undefined;

/** For every kind of address that has no proxy of its own, as requests and curl have it; Node knows no such variable. */
const forAll = ['all_proxy', 'ALL_PROXY'] as const;

/** The variables that are set, those for all addresses in the place of those that are not. */
function proxies(): readonly (readonly [name: string, value: string])[] {
  const valueOf = (name: string): string => process.env[name]?.trim() ?? '';
  const found = variables.flatMap((name) => (valueOf(name) === '' ? [] : [[name, valueOf(name)] as const]));
  const all = forAll.map(valueOf).find((value) => value !== '');
  if (all === undefined) return found;
  const isSet = (kind: string): boolean => found.some(([name]) => name.toUpperCase() === kind);
  const more = ['HTTP_PROXY', 'HTTPS_PROXY'].flatMap((kind) => (isSet(kind) ? [] : [[kind, all] as const]));
  return [...found, ...more];
}

/**
 * Makes `fetch` in this process go through the proxy that the environment names, and past it again where it names none any more. In an
 * editor, and in Node before 24.14, nothing changes: an editor sees to proxies itself.
 * @throws UserError for the address of a proxy that is none
 */
export function useProxyOfEnvironment(): void {
  const { setGlobalProxyFromEnv } = http as Partial<typeof http>;
  if (setGlobalProxyFromEnv === undefined) return;
  const found = proxies();
  const settings = JSON.stringify(found);
  if (settings === (applied?.settings ?? '[]')) return;
  applied?.restore();
  applied = undefined;
  if (found.length === 0) return;
  try {
    applied = { settings, restore: setGlobalProxyFromEnv(Object.fromEntries(found)) };
  } catch (cause) {
    throw new UserError(
      `the environment names a proxy that cannot be used: ${messageOf(cause)}`,
      'Set HTTPS_PROXY and HTTP_PROXY, or ALL_PROXY, to something like http://proxy.example:3128, or unset them.',
      { cause },
    );
  }
}

import http from 'node:http';
import { messageOf, UserError } from '../base/errors.ts';

/** The variables that other tools take a proxy from; Node itself reads them only where it is told to. */
const variables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] as const;

let applied: { readonly settings: string; readonly restore: () => void } | undefined;

/**
 * Makes `fetch` in this process go through the proxy that the environment names, and past it again where it names none any more. In an
 * editor, and in Node before 24.14, nothing changes: an editor sees to proxies itself.
 * @throws UserError for the address of a proxy that is none
 */
export function useProxyOfEnvironment(): void {
  const { setGlobalProxyFromEnv } = http as Partial<typeof http>;
  if (setGlobalProxyFromEnv === undefined) return;
  const found = variables.flatMap((name) => {
    const value = process.env[name]?.trim() ?? '';
    return value === '' ? [] : [[name, value] as const];
  });
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
      'Set HTTPS_PROXY and HTTP_PROXY to something like http://proxy.example:3128, or unset them.',
      { cause },
    );
  }
}

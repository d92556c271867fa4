/** Where the hub and its cache are, and as whom it is asked: what the environment says of it, as the Python tools read it. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';

function environment(name: string): string | undefined {
  const value = process.env[name]?.trim();
  return value === undefined || value === '' ? undefined : value;
}

function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') || path.startsWith('~\\') ? join(homedir(), path.slice(1)) : path;
}

function hubHome(): string {
  return expandHome(
    environment('HF_HOME') ?? join(environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface'),
  );
}

/** The folder that holds the cached models of this user, as the Python tools find it. */
export function hubCacheFolder(): string {
  return expandHome(environment('HF_HUB_CACHE') ?? environment('HUGGINGFACE_HUB_CACHE') ?? join(hubHome(), 'hub'));
}

/** Whether the user forbade the network. */
export function isHubOffline(): boolean {
  return ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].some((name) => /^(1|on|yes|true)$/iu.test(environment(name) ?? ''));
}

/** The address of the hub. @throws UserError for one that is no plain http(s) URL */
export function hubEndpoint(endpoint: string | undefined): URL {
  const text = endpoint ?? environment('HF_ENDPOINT') ?? 'https://huggingface.co';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/u.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new UserError(
      'the address of the hub is not a plain http(s) URL',
      'Set HF_ENDPOINT to something like https://huggingface.co; put a token into HF_TOKEN, not into the address.',
    );
  return url;
}

/** The token to ask with, if there is one. @throws UserError for one that holds what no token does */
export async function hubToken(given: string | null | undefined): Promise<string | undefined> {
  if (given === null) return undefined;
  const found =
    given ?? environment('HF_TOKEN') ?? environment('HUGGING_FACE_HUB_TOKEN') ?? (await tokenOfCommandLine()) ?? '';
  // Line breaks come with copying, as Python's tools know too.
  const token = found.replaceAll(/[\r\n]/gu, '').trim();
  // Refused here, because fetch would quote it in its error.
  if (!/^[\x21-\x7e]*$/u.test(token))
    throw new UserError(
      'the token for the hub holds characters that no token has',
      'Set HF_TOKEN to the token alone, without blanks or quotes, or run `hf auth login` again.',
    );
  return token === '' ? undefined : token;
}

async function tokenOfCommandLine(): Promise<string | undefined> {
  try {
    return await readFile(expandHome(environment('HF_TOKEN_PATH') ?? join(hubHome(), 'token')), 'utf8');
  } catch {
    // No such file, or not ours to read: then there is no token.
    return undefined;
  }
}

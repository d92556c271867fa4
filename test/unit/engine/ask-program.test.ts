import { describe, expect, it } from 'vitest';
import { askProgram } from '../../../src/engine/ask-program.ts';

const ask = (source: string, patience = { milliseconds: 60_000 }) =>
  askProgram(process.execPath, ['-e', source], patience);

describe('a program that is asked', () => {
  it('gives what it prints, or how it ended', async () => {
    expect(await ask('console.log("so")')).toEqual({ kind: 'answered', stdout: 'so\n' });
    expect(await ask('console.log("some"); console.error("why"); process.exitCode = 3')).toEqual({
      kind: 'failed',
      end: 'exit code 3',
      stdout: 'some\n',
      stderr: 'why\n',
    });
    expect(await askProgram('/nowhere/program', [], { milliseconds: 60_000 })).toMatchObject({
      kind: 'failed',
      end: 'exit code ENOENT',
    });
  });

  it('is ended when it does not answer', async () => {
    const answer = await ask('setInterval(() => 0, 1e6)', { milliseconds: 300 });
    expect(answer.kind).toBe('silent');
    if (answer.kind === 'silent') await answer.ended;
  });

  it.skipIf(process.platform === 'win32')('is left behind when no signal ends it', async () => {
    // It ends by itself when nobody is at the other end of its input any more.
    const deaf = 'setInterval(() => 0, 1e6); process.stdin.resume().on("close", () => process.exit())';
    const patience = { milliseconds: 300, killSignal: 'SIGCONT' } as const;
    expect(await ask(deaf, patience)).toMatchObject({ kind: 'silent' });
  });
});

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A process that answers each JSON line on its stdin with one on its stdout. */
export interface Child {
  ask(question: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>>;
  /** Ends its input and waits until it is gone. */
  end(): Promise<void>;
}

/** Lines that programs write to stdout beside their answers (a compiler's, a library's notes) do not begin like this. */
const ANSWER = '@';

/**
 * Starts a process that answers on lines beginning with `@`.
 * @throws Error from `ask` when the process ends before it answers, with the end of its stderr
 */
export function startChild(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Child {
  const child = spawn(program, [...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  child.stdin.on('error', () => undefined); // The exit below tells of it.
  const waiting: PromiseWithResolvers<Readonly<Record<string, unknown>>>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith(ANSWER))
      waiting.shift()?.resolve(JSON.parse(line.slice(ANSWER.length)) as Record<string, unknown>);
  });
  const gone = Promise.withResolvers<undefined>();
  const fail = (why: string): void => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`${program} ${args[0] ?? ''} ${why}\n${errors}`));
    gone.resolve(undefined);
  };
  child.on('error', (error) => {
    fail(error.message);
  });
  child.on('close', (code, signal) => {
    fail(`ended with ${String(signal ?? code)}`);
  });
  return {
    ask(question) {
      const answer = Promise.withResolvers<Readonly<Record<string, unknown>>>();
      waiting.push(answer);
      if (child.exitCode !== null || child.signalCode !== null) fail('is gone');
      else child.stdin.write(`${JSON.stringify(question)}\n`);
      return answer.promise;
    },
    async end() {
      child.stdin.end();
      await gone.promise;
    },
  };
}

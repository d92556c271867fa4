import { isLongSilent, isUnseen, runState } from './run-state.ts';

/** A trainer shows every two seconds that it lives; one that cannot be seen and shows nothing for so long is not waited for. */
const silentAfterMs = 15_000;
/** One that has shown nothing for many minutes is given a chance to be a trainer on a machine whose clock is off. */
const lostAfterMs = 5000;

export interface SilenceWatch {
  /** Aborts when the trainer cannot be seen from here and has shown no life for longer than one that lives is silent. */
  readonly signal: AbortSignal;
  end(): void;
}

/** Watches whether a run that is waited for has a trainer that can answer. One on this machine can: it lives, or is seen to be dead. */
export function watchSilence(folder: string): SilenceWatch {
  const silence = new AbortController();
  let seen = { heartbeat: runState(folder).heartbeat, at: Date.now() };
  const timer = setInterval(() => {
    const status = runState(folder);
    if (status.heartbeat !== seen.heartbeat || !isUnseen(status))
      seen = { heartbeat: status.heartbeat, at: Date.now() };
    else if (Date.now() - seen.at > (isLongSilent(status.heartbeat ?? 0) ? lostAfterMs : silentAfterMs))
      silence.abort();
  }, 500);
  return { signal: silence.signal, end: () => clearInterval(timer) };
}

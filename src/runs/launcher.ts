/** What a launcher is told of a run that it is to start. */
export interface LaunchRequest {
  readonly folder: string;
  /** The nonce of the lease that the trainer is to take over. */
  readonly lease: string;
  /** How many runs its device takes at once: they share the processor. */
  readonly sharers: number;
}

/** What a launcher knows of something it started. `unknown` is no end: no state is concluded from silence. */
export type LaunchStatus =
  | { readonly state: 'pending' | 'running' | 'unknown'; readonly detail?: string }
  | { readonly state: 'ended'; readonly exitCode?: number; readonly signal?: string; readonly detail?: string };

/**
 * Starts trainers somewhere and ends them there. How a run goes, the run's own files tell; a launcher is asked only what they cannot:
 * whether what was started is still there.
 */
export interface Launcher {
  readonly id: string;
  /**
   * Starts the trainer of a claimed run.
   * @returns what finds it again after a restart of this program, a JSON value
   * @throws UserError when it cannot be started
   */
  submit(request: LaunchRequest): Promise<unknown>;
  /** Looks after all of them at once; the answers are in the order of the handles. */
  poll(handles: readonly unknown[]): Promise<readonly LaunchStatus[]>;
  /** Ends it with everything it started. @returns whether there was anything to end */
  cancel(handle: unknown, how: 'terminate' | 'kill'): Promise<boolean>;
  /** Settles when it has ended, where the launcher is told so at once; elsewhere polling finds out. */
  ended?(handle: unknown): Promise<unknown> | undefined;
  /** The last lines that a trainer wrote to its stderr. */
  output(handle: unknown, folder: string): string | undefined;
}

/** The environment variable that hands the lease's nonce to the trainer. */
export const leaseVariable = 'PEFT_LAB_LEASE';

/** The environment variable that tells the trainer how many runs its device takes at once. */
export const sharersVariable = 'PEFT_LAB_SHARERS';

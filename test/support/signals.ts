/** Windows only ends processes: there is no signal that one could answer, and a killed one leaves the exit code 1. */
export const hasSignals = process.platform !== 'win32';

/** What a run's reason tells of a trainer that was killed. */
export const killed = hasSignals ? 'SIGKILL' : 'exit code 1';

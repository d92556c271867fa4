/** How mocha runs the suite, in every editor. */
export const mochaOptions = /** @type {const} */ ({ ui: 'tdd', timeout: 120_000 });

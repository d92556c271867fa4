import fc from 'fast-check';

/** A failure must come back on the next run; PEFT_TEST_SEED explores other draws. */
const asked = process.env['PEFT_TEST_SEED'];
fc.configureGlobal({ seed: asked === undefined ? 20_261_121 : Number(asked) });

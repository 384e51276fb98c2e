"""Pure values and rules: drive, pattern, program, policy, job, evidence, sampling, certificate.

No I/O, no clock, no chance: what a rule needs is passed in. Imports the standard library and `eraser.errors` only;
every other layer may import from here.
"""

"""The station in a simulated world: the real scheduler, jobs, fold and verdict; simulated time, drives, journal and people.

`python -m tests.simulation SEED` plays one seed and tells its story. One seed is one run: the same each time.
"""

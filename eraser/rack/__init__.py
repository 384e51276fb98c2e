"""The run of a job: guard, plan, passes, verification, certificate.

May import from `eraser.certificates` and below.
"""

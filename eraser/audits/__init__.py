"""Audits: a sample of the log's certificates is drawn, checked, and what was found is signed.

`population` and `planning` say what is drawn from and what was; `running` what became of it; `records` its signature.
"""

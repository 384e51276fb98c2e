"""Alembic's revisions of the ledger: `versions/`, run by `eraser.ledger.migrating`. Imports nothing of Eraser.

A revision says in full what it makes: the tables as the code sees them today are in `schema.py`, and they move on.
"""

"""Certificates: keys, signing, the envelope, issuing and verifying.

May import from `eraser.ledger` and below.
"""

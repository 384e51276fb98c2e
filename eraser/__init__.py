"""Eraser: bulk erasure of drives, with proof.

The layers, top to bottom: cli, rack, certificates, ledger, drives and engine, domain; a module imports only from below.
"""

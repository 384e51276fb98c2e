"""The Python face of the native engine: patterns and hashes in `_native`, a pass over a drive in `transfer`.

Bytes of drives stay in C: Python hands over descriptors and plans and reads counters. Imports domain and errors.
"""

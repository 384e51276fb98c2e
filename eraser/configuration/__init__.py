"""The station's configuration: `model.py` says what there is, `reading.py` reads it and names each error with its place.

A side module for rows 2 and up. It loads pydantic, a quarter of a second: commands that must start fast (`erase`) know
only `eraser.settings`. `example.toml` is the commented example that is printed, documented and tested.
"""

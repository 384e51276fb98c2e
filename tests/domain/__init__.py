"""Tests of `eraser.domain`."""

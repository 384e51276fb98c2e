"""Tests of `eraser.cli`."""

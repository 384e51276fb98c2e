"""Tests of `eraser.certificates`."""

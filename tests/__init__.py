"""The project's tests; the tree mirrors the code's."""

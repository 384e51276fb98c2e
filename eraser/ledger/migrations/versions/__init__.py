"""One module a revision, never changed once a station may have run it."""

"""One drive from its path to its certificate: the installed command on real drives, honest and bad."""

"""What happened, kept durably: the journal of each job. Imports domain and what touches files; nothing above."""

"""The command line: one file per verb, wiring and exit codes only."""

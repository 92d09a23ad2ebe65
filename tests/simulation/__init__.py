"""Whole histories of a config repo and its targets, played through the real pass in virtual time and checked after each step.

    declared.py    what a history believes is declared: documents as values, and the YAML that they make
    author.py      people: random commits
    ground.py      the world: targets that fail, locks that are lost, processes that are killed; every write is noted
    team.py        one config repo with the reconciler that serves it, and what an outsider knows about both
    invariants.py  the rules, each a function of its own
    history.py     one seed -> one history: events, passes, checks, and the end at which everything must have converged

`python -m tests.simulation SEED` replays one and prints it as a script.
"""

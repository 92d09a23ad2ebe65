"""When passes run: Git is polled, a person triggers, a target says that it changed, something waits. Read `loop.py` first.

The daemon is no parent of what serves: it can be killed at any moment, and its next start adopts what runs.
"""

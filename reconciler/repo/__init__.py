"""A revision's YAML -> a Snapshot: declarations with file, line and column, and what could not be read."""

"""What people declare: one file per kind, closed and frozen. The docstrings of the fields are the manual."""

"""One folder per kind of place we write to. A folder has a pure half (`render.py`, `rules.py`), which `compile` and `plan` reach
through `registry.py`, and a half with the I/O (`read.py`, `write.py`, `client.py`), which `observe` and `apply` get as a `Target`."""

"""Ray Serve by its REST API: one application per endpoint, the whole list read and written at once."""

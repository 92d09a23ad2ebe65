"""Ray Serve: one application per endpoint, the whole list put at once, replicas reached past Serve's proxy.

Pure: `settings`, `render`, `rules`, `document`, `answer`, `health`. With I/O: `client`, `read`, `write`, `problems`, `target`.
"""

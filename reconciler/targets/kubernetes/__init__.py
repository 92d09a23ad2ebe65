"""Kubernetes: endpoints as Deployments and what belongs to them, by server-side apply, over a client of our own.

`render.py`, `rules.py`, `owned.py`, `health.py` and the tables beside them are pure. `client.py` is the only way to the API server.
"""

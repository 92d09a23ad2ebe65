"""Envoy by files: routes and keys in neutral words, and the one order of writing that loses no request."""

"""Pods, workloads and events as serving facts: the class of each replica with one line for a person, and whether it still moves. Pure."""

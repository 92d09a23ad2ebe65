"""Kubernetes: an endpoint is a Deployment (or LeaderWorkerSet) and what belongs to it, applied by the server, owned field by field.

    render, rules, settings     the pure half: objects of an endpoint; ranks, immutable fields, effects      (manifests/: the templates)
    gather -> decide -> read    a reading: LISTs; what is wanted against what is live; resources            (fields/, health/)
    inventory, write            the ApplySet's parent; applies and deletes
    watch, approve              hints for the daemon; a person's approval of replicas
    target                      all of it as a Target                                                       (api/: the server itself)

Shared by both halves: kinds, labels, mark, address, body, quantity, shapes. `remember` keeps what was found equal.
"""

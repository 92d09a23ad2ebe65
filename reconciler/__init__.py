"""GitOps for LLM inference endpoints. The pass, in order (`reconcile.py` is the same on one screen):

    Git commit -> repo -> compile -> desired -.
                                              +-> plan -> guards -> apply -> outcomes -> status, report -> publish
    clusters, gateways -> observe -> live ---'

`plan` is the pass up to the guards, `apply` is the whole pass once, `run` is the pass in a loop. A pass never waits:
what must wait is held with its reason, and the next pass looks again.
"""

__version__ = "0.1.0"

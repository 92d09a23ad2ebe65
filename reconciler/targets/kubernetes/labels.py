"""Names of labels and annotations that we write, in one place: other tools and people's queries depend on them.

Two sets that never mix. The mark (mark.py) stands on an object's own metadata only: in a pod template a change of it would restart.
The rest describes, and is part of the manifest.
"""

from typing import Final

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
NAME: Final = "app.kubernetes.io/name"
PART_OF: Final = "app.kubernetes.io/part-of"

OURS: Final = "reconciler.dev/"
ENDPOINT: Final = f"{OURS}endpoint"
WORKSPACE: Final = f"{OURS}workspace"
ENGINE: Final = f"{OURS}engine"
ROLE: Final = f"{OURS}role"
SERVER: Final = "server"  # role of a pod that answers requests; the other machines of a replica are workers
INITIAL_REPLICAS: Final = f"{OURS}initial-replicas"  # annotation of an autoscaled workload: what the writer starts it with
RESTARTED_AT: Final = f"{OURS}restarted-at"
APPROVED: Final = f"{OURS}approved"  # condition type of the readiness gate

INSTANCE: Final = f"{OURS}instance"
OWNER_KIND: Final = f"{OURS}owner-kind"
OWNER_WORKSPACE: Final = f"{OURS}owner-workspace"
OWNER_NAME: Final = f"{OURS}owner-name"
APPLYSET_PART_OF: Final = "applyset.kubernetes.io/part-of"

DIGEST: Final = f"{OURS}digest"
PROTECT: Final = f"{OURS}protect"
REPO: Final = f"{OURS}repo"

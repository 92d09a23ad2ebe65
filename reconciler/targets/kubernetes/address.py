"""Where an object stands in the cluster, and its key in our plans: one and the same identity in two spellings.

A key names our workspace, the cluster's address the real namespace `<namespacePrefix><workspace>`. For one target the two map onto each
other one to one, so that what is found by LIST has the key of what was rendered, and nothing else has:

    Deployment/team-a/chat          <->  Deployment chat in namespace llm-team-a      (prefix `llm-`)
    Namespace/team-a/llm-team-a     <->  Namespace llm-team-a, which is in no namespace: its workspace follows from its name
    Deployment/=old-team/chat       <->  Deployment chat in namespace old-team, which does not start with the prefix: `=` means literally

The last is how what was made under another prefix is still seen, and pruned. No workspace begins with `=`.
"""

from typing import Final, NamedTuple

from reconciler.errors import CompileError
from reconciler.resource import ResourceKey
from reconciler.targets.kubernetes.kinds import KINDS
from reconciler.targets.kubernetes.settings import KubernetesSettings

LITERAL: Final = "="
LONGEST_NAME: Final = 63  # of a DNS label
SYSTEM: Final = ("kube-", "openshift-")  # namespaces of the cluster itself


class Address(NamedTuple):
    """namespace: "" for what is in none."""

    kind: str
    namespace: str
    name: str


def namespace_of(settings: KubernetesSettings, workspace: str) -> str:
    """The real namespace of a workspace (of a key's `namespace`)."""
    if workspace.startswith(LITERAL):
        return workspace[len(LITERAL) :]
    return f"{settings.prefix}{workspace}"


def workspace_of(settings: KubernetesSettings, namespace: str) -> str:
    """The key's `namespace` of what stands in this real namespace: the inverse of `namespace_of`."""
    inside = namespace.startswith(settings.prefix) and len(namespace) > len(settings.prefix)
    return namespace[len(settings.prefix) :] if inside else f"{LITERAL}{namespace}"


def key_of(settings: KubernetesSettings, kind: str, namespace: str, name: str) -> ResourceKey:
    """The key of an object. Raises KeyError for a kind that is not in the table."""
    lives_in = namespace if KINDS[kind].namespaced else name
    return ResourceKey(settings.name, kind, workspace_of(settings, lives_in), name)


def address_of(settings: KubernetesSettings, key: ResourceKey) -> Address:
    """Where the object of a key stands. Raises KeyError for a kind that is not in the table."""
    return Address(key.kind, namespace_of(settings, key.namespace) if KINDS[key.kind].namespaced else "", key.name)


def checked_namespace(settings: KubernetesSettings, workspace: str) -> str:
    """The namespace to render into. Raises CompileError (E2) for one that no namespace can have, or that is the cluster's own."""
    namespace = namespace_of(settings, workspace)
    if len(namespace) > LONGEST_NAME:
        why, todo = f"names of namespaces have at most {LONGEST_NAME} characters", "shorten the workspace or namespacePrefix"
        raise CompileError(f"namespace '{namespace}' is too long ({len(namespace)})", code="E2", why=why, todo=todo)
    if namespace.startswith(SYSTEM):
        why, todo = "it belongs to the cluster itself", "rename the workspace, or set kubernetes.namespacePrefix of the cluster"
        raise CompileError(f"namespace '{namespace}' is reserved", code="E2", why=why, todo=todo)
    return namespace

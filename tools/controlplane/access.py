"""Who may come in, and with what rights.

`admin` is exempt from flow control and may do all: for set-up only, a measurement as admin flatters. `reconciler` is an ordinary user, by
token or by certificate, with the rights of `deploy/kubernetes/rbac.yaml` and no others: every test that runs as it proves that these are
enough. Tokens are drawn afresh, so that nobody else on this machine can guess them.
"""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tools.environment import CHECKOUT

USER: Final = "reconciler"
ADMINISTRATORS: Final = "system:masters"
RBAC: Final = CHECKOUT / "deploy" / "kubernetes" / "rbac.yaml"

Manifest = dict[str, Any]


def tokens(folder: Path) -> dict[str, str]:
    """Draw a token per user and write the file by which the API server knows them."""
    drawn = {"admin": secrets.token_hex(16), USER: secrets.token_hex(16)}
    (folder / "tokens.csv").write_text(f'{drawn["admin"]},admin,1,"{ADMINISTRATORS}"\n{drawn[USER]},{USER},2\n')
    return drawn


def kubeconfig(path: Path, url: str, ca: Path, user: Mapping[str, str]) -> Path:
    """Write a kubeconfig of one context, by which `user` (its credentials) reaches `url`."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": dict(user)}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def rights() -> list[Manifest]:
    """The project's own manifests, as they are given to everybody."""
    return [document for document in yaml.safe_load_all(RBAC.read_text()) if document]


def bindings(manifests: list[Manifest]) -> Iterator[Manifest]:
    """For every binding among the manifests one more, that gives the same role to the test's user."""
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}
    for manifest in manifests:
        if manifest["kind"] in ("ClusterRoleBinding", "RoleBinding"):
            metadata = manifest["metadata"] | {"name": f"{manifest['metadata']['name']}-test-user"}
            yield manifest | {"metadata": metadata, "subjects": [subject]}

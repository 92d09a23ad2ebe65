"""A config repo of any size, made of the example's declarations: its chat endpoint many times over, ten to a workspace."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

EXAMPLE: Final = Path(__file__).resolve().parent.parent / "examples" / "repo"
PER_WORKSPACE: Final = 10
GIT: Final = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgsign=false")
KEY: Final = """apiVersion: reconciler.dev/v1alpha1
kind: ApiKey
metadata: {{name: ci, workspace: {workspace}}}
spec: {{owner: ci@example.com, credentials: [{{id: {id}, sha256: {sha256}}}]}}
"""
KUBERNETES: Final = """apiVersion: reconciler.dev/v1alpha1
kind: Cluster
metadata: {{name: {cluster}}}
spec:
  type: kubernetes
  kubernetes: {{kubeconfigRef: {{name: {cluster}}}, namespacePrefix: {cluster}-}}
  modelCaches: [{{name: models, hostPath: /srv/models}}]
"""


def write(folder: Path, endpoints: int) -> None:
    """Write the repo and commit it: one file per endpoint, a key and a Workspace for every ten."""
    shutil.copytree(EXAMPLE, folder)
    chat = (folder / "workspaces" / "team-a" / "endpoints" / "chat.yaml").read_text()
    shutil.rmtree(folder / "workspaces")
    chat = re.sub(r"^ +servedName:.*\n", "", chat, flags=re.MULTILINE)  # a name of its own is claimed once in a repo
    for number in range(endpoints):
        team, member = divmod(number, PER_WORKSPACE)
        place = folder / "workspaces" / f"team-{team}"
        if member == 0:
            _team(place, team)
        text = chat.replace("name: chat", f"name: chat-{member}").replace("workspace: team-a", f"workspace: team-{team}")
        (place / f"chat-{member}.yaml").write_text(text)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "A fleet")


def write_kubernetes(folder: Path, endpoints: int, cluster: str) -> None:
    """The same endpoints on a Kubernetes cluster and no gateway in front (so no keys), in namespaces `<cluster>-team-0` and so on."""
    write(folder, endpoints)
    (folder / "clusters" / "local.yaml").unlink()
    (folder / "clusters" / f"{cluster}.yaml").write_text(KUBERNETES.format(cluster=cluster))
    shutil.rmtree(folder / "gateways")
    for key in folder.rglob("key.yaml"):
        key.unlink()
    for chat in endpoints_of(folder):
        chat.write_text(chat.read_text().replace("cluster: local", f"cluster: {cluster}"))
    commit(folder, "On Kubernetes")


def endpoints_of(folder: Path) -> list[Path]:
    """The endpoints' files, in order."""
    return sorted((folder / "workspaces").rglob("chat-*.yaml"))


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def git(folder: Path, *words: str) -> None:
    subprocess.run([*GIT, *words], cwd=folder, check=True, stdin=subprocess.DEVNULL)


def _team(place: Path, team: int) -> None:
    place.mkdir(parents=True)
    head = "apiVersion: reconciler.dev/v1alpha1\nkind: Workspace\n"
    (place / "workspace.yaml").write_text(f"{head}metadata: {{name: team-{team}}}\nspec: {{displayName: Team {team}}}\n")
    (place / "key.yaml").write_text(KEY.format(workspace=f"team-{team}", id=f"team{team}", sha256=f"{team:064x}"))

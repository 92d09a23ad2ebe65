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
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "A fleet")):
        subprocess.run([*GIT, *words], cwd=folder, check=True, stdin=subprocess.DEVNULL)


def _team(place: Path, team: int) -> None:
    place.mkdir(parents=True)
    head = "apiVersion: reconciler.dev/v1alpha1\nkind: Workspace\n"
    (place / "workspace.yaml").write_text(f"{head}metadata: {{name: team-{team}}}\nspec: {{displayName: Team {team}}}\n")
    (place / "key.yaml").write_text(KEY.format(workspace=f"team-{team}", id=f"team{team}", sha256=f"{team:064x}"))

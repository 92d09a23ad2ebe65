"""The config repo as a person edits it: find a declaration's file, set a field in its text, commit."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.demo import DemoFailed
from tools.demo.stage import BRANCH, CHECKOUT, Stage
from tools.ports import free_port

EXAMPLE: Final = CHECKOUT / "examples" / "repo"
IDENTITY: Final = (("user.name", "demo"), ("user.email", "demo@example.com"), ("commit.gpgsign", "false"), ("gc.auto", "0"))


@dataclass(frozen=True, slots=True)
class Declared:
    """One declaration: its file, and what it says."""

    path: Path
    document: Any

    @property
    def spec(self) -> Any:
        return self.document["spec"]

    @property
    def workspace(self) -> str:
        return str(self.document["metadata"].get("workspace", "default"))


def find(folder: Path, kind: str, name: str | None = None) -> Declared:
    """The declaration of that kind and name. Raises DemoFailed when the example has none."""
    for path in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document and document.get("kind") == kind and name in (None, document["metadata"]["name"]):
                return Declared(path, document)
    raise DemoFailed(f"the example repo declares no {kind} {name or ''}")


def set_field(path: Path, name: str, value: object) -> None:
    """Set a field right below `spec:` in the file's text, as a person would: change its line, or add one."""
    text = path.read_text()
    line = f"  {name}: {value}"
    changed, count = re.subn(rf"^  {name}:.*$", line, text, count=1, flags=re.MULTILINE)
    path.write_text(changed if count else re.sub(r"^spec:.*$", rf"\g<0>\n{line}", text, count=1, flags=re.MULTILINE))


def drop_field(path: Path, name: str) -> None:
    path.write_text(re.sub(rf"^  {name}:.*\n", "", path.read_text(), count=1, flags=re.MULTILINE))


def choose_port(folder: Path) -> int:
    """Write a free port into the gateway's declaration, wherever it names its port. The port."""
    gateway = find(folder, "Gateway")
    port = free_port()
    text = gateway.path.read_text()
    gateway.path.write_text(re.sub(rf"\b{gateway.spec['listen']['port']}\b", str(port), text))
    return port


def create(stage: Stage) -> None:
    """A copy of the example as a Git repository without a commit yet."""
    shutil.copytree(EXAMPLE, stage.config)
    stage.run("git", "init", "--quiet", "--initial-branch", BRANCH, str(stage.config))
    for name, value in IDENTITY:
        stage.git("config", name, value)

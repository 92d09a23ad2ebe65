"""Which repository, branch and state folder: an option, else an environment variable, else reconciler.toml here, else the default."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import UsageError

FILE: Final = "reconciler.toml"
KNOWN: Final = ("repo", "branch", "state")


@dataclass(frozen=True, slots=True)
class Where:
    """repo: URL or path of a Git repository, "" where none was named. branch: "" = what HEAD names. state: absolute."""

    repo: str
    branch: str
    state: Path

    def named_repo(self) -> str:
        """Raises UsageError where no repository was named."""
        if not self.repo:
            raise UsageError(
                "which repository?",
                why="neither --repo, nor RECONCILER_REPO, nor repo in reconciler.toml names one",
                todo="name it with --repo URL (any Git URL or path)",
                code="U2",
            )
        return self.repo


def add_where(parser: argparse.ArgumentParser, *, repo: bool = True) -> None:
    if repo:
        parser.add_argument("--repo", metavar="URL", help="Git repository: URL, or path of a bare or ordinary one")
        parser.add_argument("--branch", metavar="NAME", help="branch to read (default: the one that HEAD names)")
    parser.add_argument("--state", metavar="FOLDER", help="state folder (default $XDG_STATE_HOME/reconciler)")


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print versioned JSON")
    parser.add_argument("--no-color", action="store_true", help="never colour the text")


def where_of(parsed: argparse.Namespace) -> Where:
    """Raises UsageError for a reconciler.toml that cannot mean this."""
    written = _written(Path(FILE))
    repo = _first(getattr(parsed, "repo", None), "RECONCILER_REPO", written.get("repo"), "")
    branch = _first(getattr(parsed, "branch", None), "RECONCILER_BRANCH", written.get("branch"), "")
    state = _first(parsed.state, "RECONCILER_STATE", written.get("state"), str(default_state()))
    return Where(repo, branch, _absolute(state))


def _absolute(state: str) -> Path:
    try:
        return Path(state).expanduser().absolute()
    except (OSError, RuntimeError) as error:  # the folder that the caller stands in was removed; or there is no such user
        todo = "cd to a folder that exists, and name the state folder by its whole path"
        raise UsageError(f"which folder is '{state}'?", why=str(error), todo=todo, code="U2") from error


def _first(option: str | None, variable: str, written: str | None, default: str) -> str:
    return option or os.environ.get(variable) or written or default


def default_state() -> Path:
    """`$XDG_STATE_HOME/reconciler`; the specification wants an absolute path there and ~/.local/state without it."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "reconciler"


def _written(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{FILE} cannot be read: {error}", where=FILE, code="U3") from error
    import tomllib

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{FILE} is no TOML: {error}", where=FILE, todo='write lines like repo = "URL"', code="U3") from error
    for key, value in found.items():
        _check(key, value)
    return found


def _check(key: str, value: object) -> None:
    if key not in KNOWN:
        from difflib import get_close_matches

        near = get_close_matches(key, KNOWN, 1)
        todo = f"did you mean {near[0]}?" if near else f"known: {', '.join(KNOWN)}"
        raise UsageError(f"unknown key '{key}'", where=FILE, todo=todo, code="U3")
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key} is not a text", where=FILE, todo=f'write {key} = "..."', code="U3")

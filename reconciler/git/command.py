"""The git program, sealed: asks nobody, runs no hook, filter, submodule or helper of a repo, and never outlives its time.

The repo is untrusted, its user is not: global and system configuration (proxies, certificates, credential helpers) stay in force,
and what a repo could abuse is overridden through GIT_CONFIG_* in the environment, which no repo can override and no process list
shows. That is also how a token gets to git. Each command is a process group of its own, so that a helper (git-remote-https, ssh)
ends with it.
"""

import fcntl
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import RepoError

TIMED_OUT: Final = 124  # as timeout(1) has it
SEAL: Final = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("credential.interactive", "false"),
    ("protocol.ext.allow", "never"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
)
_FIXED: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
_DROPPED: Final = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|EXTERNAL_DIFF|PREFIX|QUARANTINE_PATH"
    r"|CONFIG|CONFIG_PARAMETERS|TEMPLATE_DIR|EXEC_PATH|PROXY_COMMAND|TRACE\w*|CURL_VERBOSE)|SSH_ASKPASS(_REQUIRE)?|LANGUAGE"
)
_CREDENTIALS: Final = re.compile(r"(://)[^/\s'\"@]+@")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. err: without any credential in it."""

    code: int
    out: bytes
    err: str


def sealed(environ: Mapping[str, str], config: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The environment of every git: the caller's, without what redirects git, with the seal and `config` on top."""
    kept = {name: value for name, value in environ.items() if not _DROPPED.fullmatch(name)}
    given = kept.get("GIT_CONFIG_COUNT", "0")
    first = int(given) if given.isdigit() else 0
    for number, (key, value) in enumerate((*SEAL, *config), first):
        kept[f"GIT_CONFIG_KEY_{number}"], kept[f"GIT_CONFIG_VALUE_{number}"] = key, value
    ssh = kept.get("GIT_SSH_COMMAND", "ssh")
    kept["GIT_SSH_COMMAND"] = f"{ssh} -oBatchMode=yes -oConnectTimeout=15"
    return {**kept, **_FIXED, "GIT_CONFIG_COUNT": str(first + len(SEAL) + len(config))}


def redact(text: str, hidden: Sequence[str] = ()) -> str:
    """Without the user part of URLs, and without what must not be seen."""
    for word in hidden:
        text = text.replace(word, "***") if word else text
    return _CREDENTIALS.sub(r"\1***@", text)


class Git:
    """Runs git on one bare repository. hidden: texts that no message may hold."""

    def __init__(self, folder: Path, config: Sequence[tuple[str, str]] = (), hidden: Sequence[str] = ()) -> None:
        self.folder = folder
        self.hidden = tuple(hidden)
        self.environment = sealed(os.environ, config)
        self._lock: int | None = None

    def run(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> Answer:
        """Code 124 where it took longer than `seconds`. Raises RepoError where there is no git."""
        command = ["git", f"--git-dir={self.folder}", *words]
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment,
                cwd="/",
                start_new_session=True,
                pass_fds=() if self._lock is None else (self._lock,),
            )
        except FileNotFoundError as error:
            raise RepoError(
                "the program git was not found", why=f"looked for it on PATH, to run in {self.folder}", todo="install git"
            ) from error
        with child:
            try:
                out, err = child.communicate(stdin, timeout=seconds)
            except subprocess.TimeoutExpired:
                return self._ended(child, seconds)
            except BaseException:
                _kill(child)
                raise
        return Answer(child.returncode, out, redact(err.decode(errors="replace"), self.hidden))

    def _ended(self, child: "subprocess.Popen[bytes]", seconds: float) -> Answer:
        _kill(child)
        child.communicate()
        return Answer(TIMED_OUT, b"", f"timed out after {seconds:g} s")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time changes this repository. Git's children hold the lock too, so that it outlives a killed reconciler
        exactly as long as they do; whoever has it may therefore remove lock files that a kill left behind."""
        lock = os.open(self.folder / "reconciler.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._lock = lock
            self._remove_leftovers()
            yield
        finally:
            self._lock = None
            os.close(lock)

    def _remove_leftovers(self) -> None:
        for stale in (*self.folder.glob("*.lock"), *self.folder.glob("refs/**/*.lock")):
            if stale.name != "reconciler.lock":
                stale.unlink(missing_ok=True)


def _kill(child: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)

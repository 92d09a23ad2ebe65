"""What git said, told apart: unreachable, refused, not there, cut off. Literal table; the first line that matches decides.

R1  git failed in a way that is not listed     R6  not a Git repository, or one that may not be seen
R2  unreachable (later may help)               R7  objects missing, damaged or cut off (later may help)
R3  the token, key or host key is refused      R8  the folder belongs to another user
R4  the branch does not exist                  R9  a shallow clone
R5  no commits                                 R10 the branch moved while it was pushed to; R11 too large; R12 cache not writable
"""

import re
from typing import Final

from reconciler.errors import RepoError, RepoUnavailable
from reconciler.git.command import TIMED_OUT, Answer

_LATER: Final = "the last commit that was fetched stays in force; it is tried again"

LONGEST: Final = 500  # characters of git's own words in a message
FAILURES: Final = (
    (
        "R12",
        r"No space left on device|[Dd]isk quota|insufficient permission|unable to create temporary|File too large|died of signal 25",
        "cannot be fetched: the Git cache cannot be written",
        "make room in {cache} or correct its rights, or name another state folder with --state; it is tried again",
    ),
    ("R8", r"dubious ownership", "belongs to another user", "if you trust it: git config --global --add safe.directory {where}"),
    ("R9", r"shallow roots|shallow update not allowed", "is a shallow clone", "clone it with its history (fetch-depth: 0)"),
    (
        "R3",
        r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|error: 40[13]|HTTP 40[13]|Permission denied \("
        r"|Host key verification failed|access denied|not authorized",
        "refuses us",
        "set RECONCILER_GIT_TOKEN to a token that may read it, or give ssh its key and the host's in known_hosts",
    ),
    (
        "R2",
        r"Could not resolve|Couldn't resolve|Failed to connect|Couldn't connect|Connection (refused|timed out|reset)|No route to host"
        r"|Network is unreachable|Operation timed out|timed out|error: (429|5\d\d)|SSL|certificate|Proxy CONNECT|Empty reply",
        "cannot be reached",
        _LATER,
    ),
    (
        "R7",
        r"early EOF|unexpected disconnect|hung up|index-pack|missing (blob|tree|commit|necessary)|bad (object|tree|pack)|corrupt|inflate"
        r"|did not send all|unable to read|loose object|Could not read [0-9a-f]{40}|not a valid object|is missing|truncated",
        "has missing or damaged objects, or the transfer was cut off",
        "run git fsck there; a transfer is tried again; a Git cache of ours may be removed, it is fetched anew",
    ),
    (
        "R6",
        r"not appear to be a git repository|not a git repository|[Rr]epository .{0,300}not found|does not exist|not found|No such file",
        "is not a Git repository",
        "name a repository: a folder, or a URL with https:// or ssh://; a private one needs RECONCILER_GIT_TOKEN or a key",
    ),
)
_AGAIN: Final = frozenset({"R2", "R7", "R12"})


def failure_of(answer: Answer, where: str, cache: str = "the Git cache") -> RepoError:
    """The error for an answer that was not 0. where: URL or folder, without credentials; cache: the folder that was fetched into."""
    said = _last_words(answer.err)
    for code, pattern, what, todo in FAILURES:
        if re.search(pattern, answer.err):
            made = RepoUnavailable if code in _AGAIN else RepoError
            return made(f"{where} {what}", why=said, todo=todo.format(where=where, cache=cache), code=code)
    if answer.code == TIMED_OUT:
        return RepoUnavailable(f"{where} cannot be reached", why=said, todo=_LATER, code="R2")
    return RepoError(f"git failed on {where}", why=said, todo="try the same with git by hand", code="R1")


def _last_words(text: str) -> str:
    """The last lines, each once: git says the same thing of every object."""
    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    while len(lines) > 1 and sum(map(len, lines)) > LONGEST:
        lines.pop(0)
    return " ".join(lines)[:LONGEST]

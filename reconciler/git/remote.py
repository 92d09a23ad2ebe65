"""Where the repository is: a folder or a URL, without what must not be seen.

A token never stands in an argument or in a file: it travels as a header in git's environment. It is sent over https only, or to this box.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from reconciler.errors import RepoError

TOKEN: Final = "RECONCILER_GIT_TOKEN"
_SCHEMES: Final = ("file", "git", "http", "https", "ssh")
_SCP: Final = re.compile(r"(?:[A-Za-z0-9_.-]+@)?[A-Za-z0-9_.-]+:(?!/?/)[^\s]+")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Remote:
    """url: for git, without credentials; config: what git needs to get in; hidden: what no message may hold."""

    url: str
    config: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    @property
    def slug(self) -> str:
        """A folder name for it: readable, and unique by its hash."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", self.url.rstrip("/").rpartition("/")[2]).strip("-")[:40] or "repo"
        return f"{name}-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}.git"


def remote_of(url_or_path: str, environ: Mapping[str, str]) -> Remote:
    """Raises RepoError (R6) for what is neither a folder that exists nor a URL, RepoError (R3) where a token would go out in clear."""
    if not url_or_path or url_or_path.startswith("-") or "::" in url_or_path or any(ord(letter) < 32 for letter in url_or_path):
        raise _no_repo(url_or_path, "neither a folder nor a URL")
    if Path(url_or_path).exists():
        return Remote(str(Path(url_or_path).resolve()))
    if "://" in url_or_path:
        return _of_url(url_or_path, environ)
    if _SCP.fullmatch(url_or_path):
        return Remote(url_or_path)
    raise _no_repo(url_or_path, "there is no such folder")


def _no_repo(name: str, why: str) -> RepoError:
    return RepoError(
        f"'{name}' is not a Git repository", why=why, todo="name a repository: a folder, or a URL with https:// or ssh://", code="R6"
    )


def _of_url(url: str, environ: Mapping[str, str]) -> Remote:
    parts = _split(url)
    if parts.scheme not in ("http", "https"):
        return Remote(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    place = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
    clean = f"{place}{parts.path}"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    token = environ.get(TOKEN, "").strip()
    if not (user or token):
        return Remote(clean)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise RepoError(f"{clean} would get the token in clear", why="the address is not https", todo="use https", code="R3")
    pair = f"{user}:{password}" if user else f"x-access-token:{token}"
    header = base64.b64encode(pair.encode()).decode()
    hidden = tuple(word for word in (header, password, token, user if not password else "") if word)
    return Remote(clean, ((f"http.{place}/.extraHeader", f"Authorization: Basic {header}"),), hidden)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in _SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:
        raise _no_repo(re.sub(r"//[^/]*@", "//***@", url), f"known are {', '.join(_SCHEMES)}")
    return parts

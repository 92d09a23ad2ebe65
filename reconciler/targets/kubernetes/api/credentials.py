"""As whom the next request is sent: the Authorization header and the client certificate that hold now.

What can change is looked at for every request (a file by its mtime, which costs a few microseconds), what ends is renewed before it does,
and once after the server has said 401. A plugin runs in one thread while the others wait for it.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Access, Certificate, Login, Pair, Secret, bearer
from reconciler.targets.kubernetes.api.certificate import date, end_of
from reconciler.targets.kubernetes.api.failures import KubeRefused, KubeUnavailable, refused

EARLY: Final = 30.0  # seconds before its end that a credential is renewed
REST: Final = 5.0  # seconds after a failure before a plugin is run again: sixteen threads want it at the same moment


class Credentials:
    """For many threads. now: seconds since the epoch, as certificates and plugins count them."""

    def __init__(self, access: Access, now: Callable[[], float] = time.time) -> None:
        user = access.user
        self._access, self._now = access, now
        self._plain = access.server.startswith("http://")
        self._certificate = _FilePair(user.pair, access.where, now) if user.pair is not None else None
        self._token_file = _FileText(user.token_file, access.where) if user.token_file is not None else None
        self._lock = threading.Lock()
        self._issued: Login | None = None  # by the plugin or provider
        self._renew_at = 0.0
        self._error: KubeRefused | KubeUnavailable | None = None
        self._failed_at = 0.0

    def current(self) -> Login:
        """What holds now. Over plain HTTP nothing, as with kubectl: it would be read on the way.

        Raises KubeRefused: KUBE2 for what has ended, KUBE9 for what is missing; KubeUnavailable (KUBE2) for a plugin that fails.
        """
        if self._plain:
            return Login()
        return self._whole(self._current_issue())

    def renew(self, refused_login: Login) -> bool:
        """The server answered 401 to this login: is there another one now?"""
        if self._plain:
            return False
        with self._lock:
            if self._issued is not None and self._whole(self._issued) == refused_login:
                self._issued = None
        return self.current() != refused_login

    def _whole(self, issued: Login) -> Login:
        """What was issued, and what stands in the kubeconfig for the rest."""
        certificate = issued.certificate or (self._certificate.current() if self._certificate is not None else None)
        return Login(issued.authorization or self._standing_token(), certificate)

    def _standing_token(self) -> Secret:
        token = Secret(self._token_file.current()) if self._token_file is not None else self._access.user.token
        try:
            return bearer(token)
        except ValueError as error:
            raise refused(failures.CREDENTIALS, str(error), "put it into the kubeconfig again, whole", self._access.where) from None

    def _current_issue(self) -> Login:
        if self._access.user.plugin is None and self._access.user.provider is None:
            return Login()
        with self._lock:
            if self._issued is None or self._now() >= self._renew_at:
                self._issue()
            assert self._issued is not None
            return self._issued

    def _issue(self) -> None:
        """Holds the lock. An error is remembered for REST seconds."""
        from reconciler.targets.kubernetes.api.plugin import issued

        if self._error is not None and 0 <= self._now() - self._failed_at < REST:
            raise self._error
        self._error = None
        try:
            self._issued, end = issued(self._access, self._now())
        except (KubeRefused, KubeUnavailable) as error:
            self._issued, self._error, self._failed_at = None, error, self._now()
            raise
        self._renew_at = end - min(EARLY, (end - self._now()) / 10)


class _FileText:
    """A file's text, read again when the file changes; one that is away for a moment is remembered."""

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._where = path, where
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def current(self) -> str:
        try:
            state = os.stat(self._path)
            seen = (state.st_mtime_ns, state.st_size, state.st_ino)
            if seen != self._seen:
                self._text = self._path.read_text().strip()
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            if not self._text:
                why = f"{self._path} cannot be read: {getattr(error, 'strerror', None) or error}"
                raise refused(failures.KUBECONFIG, why, "correct the path or the file's rights", self._where) from error
        if not self._text:
            raise refused(failures.CREDENTIALS, f"{self._path} is empty", "", self._where)
        return self._text


class _FilePair:
    """The client certificate of the kubeconfig, checked for its time."""

    def __init__(self, pair: Pair, where: str, now: Callable[[], float]) -> None:
        self._chain = _FileText(pair.chain, where) if isinstance(pair.chain, Path) else pair.chain
        self._key = _FileText(pair.key, where) if isinstance(pair.key, Path) else pair.key
        self._where, self._now = where, now
        self._ends = 0.0
        self._certificate: Certificate | None = None

    def current(self) -> Certificate:
        chain = self._chain if isinstance(self._chain, str) else self._chain.current()
        key = self._key if isinstance(self._key, Secret) else Secret(self._key.current())
        if self._certificate is None or self._certificate.chain != chain or self._certificate.key != key:
            self._ends = end_of(chain)
            self._certificate = Certificate(chain, key)
        if self._ends and self._now() >= self._ends:
            why = f"the client certificate ended on {date(self._ends)}"
            raise refused(failures.CREDENTIALS, why, "have a new one issued, and put it into the kubeconfig", self._where)
        return self._certificate

"""What a client needs to reach one cluster: values, made by `kubeconfig.py`, used by `credentials.py` and `connections.py`.

What is secret has a type that does not print, compares, and is not pickled: an Access may stand in a traceback or a log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from reconciler.resource import Json


class Secret:
    """A text that is printed nowhere."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is written nowhere")

    def reveal(self) -> str:
        return self._text


NO_SECRET: Final = Secret("")


@dataclass(frozen=True, slots=True)
class Pair:
    """A client certificate and its key: PEM texts, or files that are read when needed and again when they change."""

    chain: str | Path
    key: Secret | Path


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that prints credentials. version: its apiVersion. cluster: `spec.cluster` of what it is told, if it asked for that."""

    version: str
    command: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, Secret], ...] = ()
    cluster: Mapping[str, Json] | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """An `auth-provider` of the years before plugins; document: the whole kubeconfig, for the official package."""

    name: str
    document: Secret
    context: str


@dataclass(frozen=True, slots=True)
class User:
    """As whom. token_file, plugin and provider are asked again when what they gave ends. headers: of impersonation."""

    name: str = ""
    pair: Pair | None = None
    token: Secret = NO_SECRET
    token_file: Path | None = None
    plugin: Plugin | None = None
    provider: Provider | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Proxy:
    """socks: SOCKS5, which finds the server's name itself; otherwise HTTP, by CONNECT. user: "" for none."""

    host: str
    port: int
    user: str = ""
    password: Secret = NO_SECRET
    socks: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """All that a client needs. authority: PEM text of the CAs to trust, "" for the system's. server_name: the name that the certificate
    must have, "" for the server's host. where: for messages."""

    server: str
    user: User
    where: str
    authority: str = ""
    verify: bool = True
    server_name: str = ""
    proxy: Proxy | None = None
    namespace: str = ""
    in_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM texts. The same object as long as nothing changes: connections and TLS contexts are kept by it."""

    chain: str
    key: Secret


@dataclass(frozen=True, slots=True)
class Login:
    """What one request goes out with. authorization: the header's value, empty for none."""

    authorization: Secret = NO_SECRET
    certificate: Certificate | None = None


def bearer(token: Secret) -> Secret:
    """The header's value. Raises ValueError, without the token in it, for what no header can carry."""
    text = token.reveal().strip()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("the token has characters that no token has")
    return Secret(f"Bearer {text}" if text else "")

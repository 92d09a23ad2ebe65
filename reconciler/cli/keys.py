"""`reconciler keys create|rotate|revoke`: mint an API key, print it once, and write what Git may hold of it. Nothing is sent anywhere."""

import argparse
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from reconciler.cli.output import emit, note
from reconciler.errors import UsageError

SHOWN_ONCE = "This key is shown once and kept nowhere: hand it over now."


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    found = verbs.add_parser("keys", help="make, rotate and revoke API keys (only hashes go into files)")
    actions = found.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    _add_create(actions.add_parser("create", help="mint a key, print it once, print or write its declaration"))
    _add_rotate(actions.add_parser("rotate", help="mint a second key under the same id; the old one ends after a grace time"))
    _add_revoke(actions.add_parser("revoke", help="remove the hash of a key from its file"))


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workspace", default="default", metavar="NAME")
    parser.add_argument("--endpoints", metavar="A,B", help="endpoints that the key opens; absent: every one of the workspace")
    parser.add_argument("--owner", required=True, metavar="WHO", help="who answers for it")
    parser.add_argument("--name", metavar="NAME", help="name of the ApiKey (default: made from the owner)")
    parser.add_argument("--ttl", metavar="TIME", help="good for so long: 90d, 24h (default: for ever)")
    parser.add_argument("--write", metavar="FILE", help="write or append the declaration there instead of printing it")
    parser.set_defaults(run=create)


def _add_rotate(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--grace", default="24h", metavar="TIME", help="the old key stays good for so long (default 24h)")
    parser.add_argument("--ttl", metavar="TIME", help="the new key is good for so long (default: for ever)")
    parser.set_defaults(run=rotate)


def _add_revoke(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--hint", default="", metavar="LAST4", help="only the key that ends so; absent: every key of this ApiKey")
    parser.set_defaults(run=revoke)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the ApiKey")
    parser.add_argument("--workspace", default="default", metavar="NAME")
    parser.add_argument("--write", required=True, metavar="FILE", help="the file that declares it; the rest of it stays as it is")


def create(parsed: argparse.Namespace) -> int:
    import secrets
    import time

    from reconciler.keys import NewApiKey, declaration, duration_of, mint, record

    ttl = duration_of(parsed.ttl) if parsed.ttl else None
    name = _name(parsed.name or _name_from(parsed.owner), "--name")
    workspace = _name(parsed.workspace, "--workspace")
    endpoints = None if parsed.endpoints is None else [_name(item, "--endpoints") for item in parsed.endpoints.split(",") if item]
    key = mint(secrets.randbelow)
    text = declaration(NewApiKey(workspace, name, parsed.owner, endpoints, record(key, time.time(), ttl)))
    if parsed.write:
        _append(Path(parsed.write), text, workspace, name)
    emit(f"{key.reveal()}\n")
    if parsed.write:
        note(f"{SHOWN_ONCE} ApiKey/{workspace}/{name} was written to {parsed.write}: commit it.")
    else:
        emit(text)
        note(f"{SHOWN_ONCE} The declaration below it goes into the repository.")
    return 0


def rotate(parsed: argparse.Namespace) -> int:
    import secrets
    import time

    from reconciler import keyfile
    from reconciler.keys import duration_of, mint, record

    path, now = Path(parsed.write), time.time()
    grace, ttl = duration_of(parsed.grace), duration_of(parsed.ttl) if parsed.ttl else None
    found = keyfile.find(_read(path), parsed.workspace, parsed.name)
    before = keyfile.credentials_of(found)
    key = mint(secrets.randbelow, before[-1].id if before else "")
    _write(path, keyfile.rotate(found, record(key, now, ttl), now, grace))
    emit(f"{key.reveal()}\n")
    note(f"{SHOWN_ONCE} {parsed.write} was changed: commit it. The old key is good for {parsed.grace} from now on.")
    return 0


def revoke(parsed: argparse.Namespace) -> int:
    from reconciler import keyfile

    path = Path(parsed.write)
    found = keyfile.find(_read(path), parsed.workspace, parsed.name)
    _write(path, keyfile.revoke(found, parsed.hint))
    note(f"{parsed.write} was changed: commit it. The gateway refuses the key as soon as the commit is applied.")
    return 0


def _name(text: str, option: str) -> str:
    import re

    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise UsageError(
            f"{option}: '{text}' is not a name", why="lower-case letters, digits and -, first a letter, at most 63 characters", code="U4"
        )
    return text


def _name_from(owner: str) -> str:
    import re

    return re.sub(r"[^a-z0-9]+", "-", owner.split("@")[0].lower()).strip("-0123456789") or "key"


def _append(path: Path, text: str, workspace: str, name: str) -> None:
    """A new file, or one more document in a file that has others."""
    from reconciler import keyfile

    before = _read(path) if path.exists() else ""
    if before and keyfile.declares(before, workspace, name):
        todo = "rotate it, or choose another --name"
        raise UsageError(f"ApiKey/{workspace}/{name} stands in {path} already", todo=todo, code="K4")
    gap = "" if not before.strip() else ("---\n" if before.endswith("\n") else "\n---\n")
    _write(path, before + gap + text)


def _read(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", code="U5") from error


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, with the rights that it had. A symlink is followed, not replaced."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=".reconciler-")
        try:
            with open(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                os.fchmod(file.fileno(), mode)
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", code="U5") from error

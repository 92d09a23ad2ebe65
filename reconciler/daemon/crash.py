"""What nobody meant to raise: two lines for the person, the traceback in a file of the state folder."""

import contextlib
import os
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

from reconciler import __version__
from reconciler.errors import Problem
from reconciler.report.redact import without_secrets

KEPT: Final = 50  # files: a daemon that fails at every pass writes one a pass, for as long as nobody comes


def crashed(error: BaseException, what: str, folder: Path) -> Problem:
    """Keep the traceback below the state folder, and say where it is. what: the command, or the part of the daemon."""
    text = "".join(traceback.format_exception(error))
    where = _keep(f"reconciler {__version__} {what}\n{text}", folder / "crashes")
    why = without_secrets(f"{type(error).__name__}: {error}")
    return Problem("X1", "internal error, a mistake in reconciler itself", why, f"please report it with {where}")


def _keep(text: str, folder: Path) -> str:
    """Write it (mode 0600), or where temporary files go when the state folder is what is broken."""
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = place / f"reconciler-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6}.txt"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(without_secrets(text))
        except OSError:
            continue
        if place == folder:
            _drop_old(folder, path)
        return str(path)
    return "the traceback (no file could be written)"


def _drop_old(folder: Path, newest: Path) -> None:
    """The newest stays, whatever the clock says of the others."""
    with contextlib.suppress(OSError):
        others = sorted((path.stat().st_mtime, path) for path in folder.glob("reconciler-*.txt") if path != newest)
        for _, path in others[: -(KEPT - 1)]:
            path.unlink()

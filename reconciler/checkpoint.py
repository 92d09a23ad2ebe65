"""Named places between two writes, so that tests can kill the process exactly there: a hook that counts writes, not sleeps.

`reach("envoy: rds.json", "before")` costs one comparison when nobody listens. With RECONCILER_KILL_AT="envoy: rds.json/before#2" in the
environment the process kills itself with SIGKILL the second time it gets there; a test in the same process installs a hook instead.
"""

from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "RECONCILER_KILL_AT"

Hook = Callable[[str], None]
_hook: Hook | None = None


def listen(hook: Hook | None) -> None:
    """Install the hook that hears every place, or remove it with None."""
    global _hook
    _hook = hook


def reach(write: str, moment: str) -> None:
    """Say that `write` is about to happen ("before") or has just happened ("after")."""
    if _hook is not None:
        _hook(f"{write}/{moment}")


def obey(environment: Mapping[str, str], kill: Callable[[], None]) -> None:
    """Listen for the place that RECONCILER_KILL_AT names, if it names one. For the start of a process."""
    if wanted := environment.get(VARIABLE):
        listen(kill_at(wanted, kill))


def kill_at(wanted: str, kill: Callable[[], None]) -> Hook:
    """A hook that calls `kill` when the place `<write>/<moment>` is reached; `#n` behind it means the n-th time."""
    place, _, number = wanted.partition("#")
    left = int(number or 1)

    def hook(reached: str) -> None:
        nonlocal left
        if reached == place:
            left -= 1
            if left == 0:
                kill()

    return hook

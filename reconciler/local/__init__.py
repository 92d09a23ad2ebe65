"""Programs that we start on this box, keep up, adopt after our own restart, and end only when asked: Ray and Envoy.

They are no children that die with us. What we know of them stands in the state folder; a program is found again by pid, start time and
boot, never by its name. Each module of this package has the same small shape: `status`, `stop`, `watch_once`.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalProgram:
    """One program as a person sees it. state: `running`, `partly running`, `not running`. address: where it is asked, "" if nowhere."""

    name: str
    state: str
    pid: int = 0
    processes: int = 0
    address: str = ""
    log: str = ""
    note: str = ""


def status(folder: Path) -> list[LocalProgram]:
    """What was started from this state folder, running or not. Reads only."""
    import reconciler.local.envoy as envoy
    import reconciler.local.ray as ray

    return [*ray.status(folder), *envoy.status(folder)]


def stop(folder: Path) -> None:
    """End all of it, the gateway first, so that nobody is sent to what is going. Raises LocalError for what does not end."""
    import reconciler.local.envoy as envoy
    import reconciler.local.ray as ray

    envoy.stop(folder)
    ray.stop(folder)


def watch_once(folder: Path) -> None:
    """Put back what is gone. Cheap: called twice a second by the daemon. Raises LocalError when it cannot be put back."""
    import reconciler.local.envoy as envoy
    import reconciler.local.ray as ray

    ray.watch_once(folder)
    envoy.watch_once(folder)

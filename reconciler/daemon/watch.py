"""Threads beside the loop: one per target that listens for hints, one that keeps the local programs up."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError
from reconciler.targets.protocol import Target

if TYPE_CHECKING:
    from reconciler.daemon.log import Log


class Watchers:
    """A thread per opened target. A target that is closed ends its own."""

    def __init__(self, ring: Callable[[str], None], log: "Log") -> None:
        self._ring, self._log = ring, log
        self._watched: dict[str, Target] = {}

    def follow(self, targets: Mapping[str, Target]) -> None:
        """Watch these, and only these, from now on."""
        new = {name: target for name, target in targets.items() if self._watched.get(name) is not target}
        self._watched = dict(targets)  # first: a listener that does not find itself here ends at its first hint
        for name, target in new.items():
            threading.Thread(target=self._listen, args=(name, target), name=f"watch-{name}", daemon=True).start()

    def _listen(self, name: str, target: Target) -> None:
        try:
            for _ in target.changed():
                if self._watched.get(name) is not target:
                    return
                self._ring(name)
        except Exception as error:  # hints are a convenience: without them the poll still finds everything
            self._log.warning("hints_ended", target=name, problem=f"{type(error).__name__}: {error}")


class Keeper:
    """Calls `look` every `pause` seconds; after a failure less often, so that nothing spins."""

    def __init__(self, look: Callable[[], None], pause: float, log: "Log") -> None:
        self._look, self._pause, self._log = look, pause, log
        self._ended = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)

    def _keep(self) -> None:
        failures = 0
        while not self._ended.wait(self._pause * min(2.0**failures, 16)):
            failures = min(failures + 1, 10) if self._fails() else 0

    def _fails(self) -> bool:
        try:
            self._look()
        except Exception as error:
            text = error.problem.text() if isinstance(error, ReconcilerError) else f"{type(error).__name__}: {error}"
            if text != self._said:
                self._log.error("local_program_failed", problem=text)
            self._said = text
            return True
        self._said = ""
        return False

"""Write one file and wait until Envoy runs it: the step of which every ordered update is made.

Active when the version that Envoy reports is ours and it has looked again; rejected when its counters say so. The reason of a rejection
stands in Envoy's log only.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import TargetUnavailable
from reconciler.local.envoy import ENVOY_LOG
from reconciler.local.envoy_admin import Admin, AdminAway
from reconciler.targets.envoy.files import Folder
from reconciler.targets.envoy.xds import CDS, ECDS, GATE, LDS, LISTENER, RDS, ROUTES, version_of

STATISTICS: Final = {
    CDS: "cluster_manager.cds",
    ECDS: f"extension_config_discovery.http_filter.{GATE}",
    RDS: f"http.{LISTENER}.rds.{ROUTES}",
    LDS: "listener_manager.lds",
}
REFUSALS: Final = ("update_rejected", "update_failure")  # valid JSON but wrong; not readable at all
PATTERN: Final = "({})\\.(version_text|update_success|{})$".format(
    "|".join(prefix.replace(".", "\\.") for prefix in STATISTICS.values()), "|".join(REFUSALS)
)
REASON: Final = re.compile(r"config update (?:rejected|failed|failure): ?(.*)")
LIMIT: Final = 60.0  # seconds for one file; 10,000 endpoints take 5
POLL: Final = 0.003


class Rejected(Exception):
    """Envoy keeps its last good configuration. Never leaves this target."""


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy, as the writer of its files sees it. revive: called when nobody answers; True when it has been started again."""

    folder: Folder
    admin: Admin
    revive: Callable[[], bool]

    def versions(self) -> dict[str, str] | None:
        """The version of each file that runs, None when nobody answers."""
        try:
            found = self.admin.stats(PATTERN)
        except AdminAway:
            return None
        return {name: found.get(f"{prefix}.version_text", "") for name, prefix in STATISTICS.items()}

    def put(self, name: str, content: bytes) -> None:
        """Write and wait. Nothing is written that stands there and runs already. Raises Rejected, TargetUnavailable."""
        before = self._stats()
        same = self.folder.read(name) == content
        if same and before.get(f"{STATISTICS[name]}.version_text") == version_of(content):
            return
        log = _end_of(self.folder.path / ENVOY_LOG)
        self.folder.write(name, content)
        self._await(name, content, before, log)

    def _await(self, name: str, content: bytes, before: Mapping[str, str], log: int) -> None:
        prefix, wanted, limit = STATISTICS[name], version_of(content), time.monotonic() + LIMIT
        while time.monotonic() < limit:
            now = self._stats()
            if _number(now, prefix, "update_success") < _number(before, prefix, "update_success"):
                before = {}  # another Envoy, that has read the files as they are now
            if now.get(f"{prefix}.version_text") == wanted and self._looked_again(before, now, prefix, wanted):
                return
            if any(_rose(before, now, prefix, kind) for kind in REFUSALS):
                raise Rejected(_reason(self.folder.path / ENVOY_LOG, log) or f"Envoy refused {name} and gave no reason")
            time.sleep(POLL)
        raise TargetUnavailable(f"Envoy does not take {name} within {LIMIT:.0f} s", where=str(self.folder.path), code="T35")

    @staticmethod
    def _looked_again(before: Mapping[str, str], now: Mapping[str, str], prefix: str, wanted: str) -> bool:
        """The version alone tells, but where it was this one before: after a refusal, when the good file is put back."""
        return before.get(f"{prefix}.version_text") != wanted or _rose(before, now, prefix, "update_success")

    def _stats(self) -> Mapping[str, str]:
        try:
            return self.admin.stats(PATTERN)
        except AdminAway as error:
            if not self.revive():
                raise self._away(error) from error
        try:
            return self.admin.stats(PATTERN)
        except AdminAway as error:
            raise self._away(error) from error

    def _away(self, error: AdminAway) -> TargetUnavailable:
        return TargetUnavailable(
            "Envoy does not answer at its admin address",
            where=str(self.folder.path),
            why=f"{error}; traffic goes on as it is",
            todo="see that it runs, or end it: one of ours is started again; the next pass goes on from here",
            code="T35",
        )


def _number(stats: Mapping[str, str], prefix: str, kind: str) -> int:
    return int(stats.get(f"{prefix}.{kind}", 0))


def _rose(before: Mapping[str, str], now: Mapping[str, str], prefix: str, kind: str) -> bool:
    return _number(now, prefix, kind) > _number(before, prefix, kind)


def _end_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _reason(log: Path, start: int) -> str:
    """The last refusal in the log since then. Envoy writes it before it counts it."""
    try:
        with open(log, "rb") as file:
            file.seek(start)
            lines = file.read(200_000).decode(errors="replace").splitlines()
    except OSError:
        return ""
    found = [match[1].strip() for line in lines if (match := REASON.search(line))]
    return found[-1][:500] if found else ""

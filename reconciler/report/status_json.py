"""What the last pass saw of every endpoint, as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.report.forms import DaemonForm, StatusForm
from reconciler.report.json_form import dumps, endpoint_form, time_text
from reconciler.report.model import EndpointStatus
from reconciler.report.status_text import in_order

STATUS_FORMAT: Final = "reconciler.dev/status/v1"


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """since: seconds since the epoch."""

    pid: int
    since: float


@dataclass(frozen=True, slots=True)
class Seen:
    """revision: the applied one. at: when the endpoints were last looked at, seconds since the epoch, 0 = never."""

    statuses: tuple[EndpointStatus, ...]
    revision: str
    at: float
    daemon: RunningDaemon | None


def status_as_json(seen: Seen, chosen: Sequence[EndpointStatus], now: float) -> str:
    daemon = DaemonForm(pid=seen.daemon.pid, since=time_text(seen.daemon.since)) if seen.daemon else None
    form = StatusForm(
        format=STATUS_FORMAT,
        revision=seen.revision,
        at=time_text(seen.at) if seen.at else None,
        ageSeconds=round(max(0.0, now - seen.at), 1) if seen.at else None,
        daemon=daemon,
        endpoints=[endpoint_form(status) for status in in_order(chosen)],
    )
    return dumps(form)

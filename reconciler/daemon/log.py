"""The daemon's log on stderr: events in the past tense, JSON for machines, columns for people on a terminal. Secrets never stand in it."""

import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

from reconciler.report.redact import without_secrets

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

    Log = FilteringBoundLogger


class _Stderr:
    """A full disk below the log, or a reader that went away, ends no pass and no daemon: the line is lost."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(*, as_json: bool) -> None:
    """Once per process, before the first event."""
    import structlog

    colours = sys.stderr.isatty()
    last: Processor = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=colours)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Stderr())),
    )


def logger() -> "Log":
    import structlog

    found: Log = structlog.get_logger()
    return found


def _without_secrets(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_secrets(value)
    return event

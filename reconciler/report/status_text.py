"""Endpoints as text for people: a table with what fails first, and one endpoint in detail with its replicas.

Ready without a published route reads "Ready, not routed": the word is about the replicas, the route is another thing.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from reconciler.report.model import EndpointStatus
from reconciler.report.style import clean, paint, plural, table
from reconciler.report.words import short_revision
from reconciler.resource import Health, Replica, ReplicaState

# What a person must look at first stands first; the words are those of serving-checklist 7.1.
ORDER: Final = (
    Health.ERROR,
    Health.UNKNOWN,
    Health.DEGRADED,
    Health.PENDING,
    Health.STARTING,
    Health.MODEL_DOWNLOADING,
    Health.UPDATING,
    Health.DELETING,
    Health.READY,
    Health.SCALED_DOWN,
    Health.PAUSED,
)
COLOURS: Final = {
    Health.ERROR: "red bold",
    Health.UNKNOWN: "red",
    Health.DEGRADED: "yellow bold",
    Health.PENDING: "yellow",
    Health.READY: "green",
    Health.SCALED_DOWN: "grey",
    Health.PAUSED: "blue",
}
ROUTED_WORDS: Final = frozenset({Health.READY, Health.DEGRADED, Health.UPDATING, Health.STARTING})
FINE: Final = frozenset({Health.READY, Health.SCALED_DOWN, Health.PAUSED})
REPLICAS: Final = (ReplicaState.FAILING, ReplicaState.PENDING, ReplicaState.DOWNLOADING, ReplicaState.STARTING, ReplicaState.SERVING)
MESSAGE: Final = 100  # characters of a message in the table; all of it stands in the detail


def word_of(status: EndpointStatus) -> str:
    """The word as people read it: with "not routed" where it serves and no route leads there."""
    return f"{status.word.value}, not routed" if status.word is Health.READY and not status.routed else status.word.value


def needs_a_look(status: EndpointStatus) -> bool:
    return status.word not in FINE or (status.word is Health.READY and not status.routed)


def in_order(statuses: Sequence[EndpointStatus]) -> list[EndpointStatus]:
    """Failing first, then by name."""
    return sorted(statuses, key=lambda status: (not needs_a_look(status), ORDER.index(status.word), status.owner))


def statuses_as_text(statuses: Sequence[EndpointStatus], now: float, colour: bool = False) -> str:
    """A line per endpoint, failing first. now: seconds since the epoch, for "since"."""
    if not statuses:
        return "No endpoints.\n"
    ordered = in_order(statuses)
    rows = [("ENDPOINT", "STATUS", "READY", "SINCE", "COMMIT", "WHY"), *(_row(status, now) for status in ordered)]
    head, *lines = table(rows)
    coloured = [_coloured(line, status, colour) for line, status in zip(lines, ordered, strict=True)]
    return "\n".join([paint(head, "bold", colour), *coloured, "", _total(statuses)]) + "\n"


def _row(status: EndpointStatus, now: float) -> tuple[str, str, str, str, str, str]:
    ready = f"{status.ready}/{status.desired}"
    return (_name(status), word_of(status), ready, age_text(now - status.since if status.since else None), _commit(status), _why(status))


def _coloured(line: str, status: EndpointStatus, colour: bool) -> str:
    word = word_of(status)
    return line.replace(word, paint(word, COLOURS.get(status.word, ""), colour), 1) if colour else line


def _name(status: EndpointStatus) -> str:
    return clean(status.owner.removeprefix("Endpoint/"))


def _commit(status: EndpointStatus) -> str:
    return short_revision(status.revision) or "-"


def _why(status: EndpointStatus) -> str:
    """Reason and message, where there is more to say than the word."""
    said = [part for part in (status.reason, status.message) if part and part != status.word.value]
    text = clean(": ".join(said)).replace("\n", " ")
    return text if len(text) <= MESSAGE else text[:MESSAGE] + "..."


def _total(statuses: Sequence[EndpointStatus]) -> str:
    counted = Counter(status.word for status in statuses)
    return f"{plural(len(statuses), 'endpoint')}: " + ", ".join(f"{counted[word]} {word.value}" for word in ORDER if counted[word])


def age_text(seconds: float | None) -> str:
    """`8s`, `5m`, `3h`, `12d`; `-` where it is not known."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit == "m" and seconds >= size):
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def endpoint_as_text(status: EndpointStatus, now: float, colour: bool = False) -> str:
    """One endpoint with everything that a person asks next; its failing replicas first."""
    word = paint(word_of(status), COLOURS.get(status.word, ""), colour)
    facts = [
        ("Status", word + (f" ({clean(status.reason)})" if status.reason and status.reason != status.word.value else "")),
        ("Message", clean(status.message)),
        ("Replicas", f"{status.ready} of {status.desired} ready"),
        ("Since", f"{age_text(now - status.since)} ago" if status.since else ""),
        ("URL", clean(status.url)),
        ("Routed", "yes" if status.routed else "no"),
        ("Targets", clean(", ".join(status.targets))),
        ("Commit", clean(status.revision)),
        *((f"{name.capitalize()} version", clean(text)) for name, text in sorted(status.versions.items())),
    ]
    lines = [paint(_name(status), "bold", colour), *(f"  {line}" for line in table([(f"{name}:", text) for name, text in facts if text]))]
    return "\n".join([*lines, *_replicas(status.replicas, colour)]) + "\n"


def _replicas(replicas: Sequence[Replica], colour: bool) -> list[str]:
    if not replicas:
        return []
    ordered = sorted(replicas, key=lambda item: list(ReplicaState).index(item.state) if item.state is not ReplicaState.SERVING else 99)
    rows = [(item.state.value, item.name, item.node, ": ".join(part for part in (item.reason, item.message) if part)) for item in ordered]
    lines = table([tuple(clean(cell).replace("\n", " ") for cell in row) for row in rows])
    red = [colour and item.state is ReplicaState.FAILING for item in ordered]
    return ["", *(f"  {paint(line, 'red', on)}" for line, on in zip(lines, red, strict=True))]

"""The README of a status branch: one table for people, failing endpoints first. What users wrote is escaped, never rendered."""

import re
from collections.abc import Sequence
from typing import Final

from reconciler.report.json_form import time_text
from reconciler.report.model import EndpointStatus
from reconciler.report.status_text import in_order, needs_a_look, word_of
from reconciler.report.style import clean, plural
from reconciler.report.words import short_revision

SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>|~])")


def escaped(text: str) -> str:
    """Text of users inside Markdown: no markup, no cell of its own, no mention of people or issues."""
    quiet = SPECIAL.sub(r"\\\1", clean(text).replace("\n", " "))
    return quiet.replace("@", "@\u200b").replace("#", "#\u200b")


def status_readme(target: str, revision: str, statuses: Sequence[EndpointStatus]) -> str:
    """The table of one target. Without the time of the pass: it changes only when a status does."""
    failing = sum(needs_a_look(status) for status in statuses)
    look = f"{failing} to look at" if failing else "all as they should be"
    lines = [
        f"# {escaped(target)}",
        "",
        f"{plural(len(statuses), 'endpoint')}, {look}. Applied commit: `{short_revision(revision) or 'none'}`.",
        "",
        "| endpoint | status | ready | since | commit | why | URL |",
        "|---|---|---|---|---|---|---|",
        *(_line(status) for status in in_order(statuses)),
        "",
        "Written by `reconciler run` whenever a status changes. Nothing reads this branch: an edit here changes no endpoint.",
    ]
    return "\n".join(lines) + "\n"


def _line(status: EndpointStatus) -> str:
    why = ": ".join(part for part in (status.reason, status.message) if part and part != status.word.value)
    since = time_text(status.since) if status.since else ""
    name = status.owner.removeprefix("Endpoint/")
    cells = (f"[{escaped(name)}]({name}.yaml)", word_of(status), f"{status.ready}/{status.desired}", since)
    more = (f"`{short_revision(status.revision)}`" if status.revision else "", escaped(why), escaped(status.url))
    return "| " + " | ".join((*cells, *more)) + " |"

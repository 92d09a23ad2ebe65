"""What `apply --wait` shows meanwhile, on stderr: one line that changes on a terminal, a line per change of state elsewhere."""

import sys

from reconciler.change import Reason
from reconciler.cli.output import emit
from reconciler.report.model import Report
from reconciler.report.status_text import needs_a_look, word_of
from reconciler.report.style import clean
from reconciler.report.words import subject_of

WIDTH = 110


class Progress:
    """Remembers what it said last, and says only what is new."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said: dict[str, str] = {}

    def begin(self) -> None:
        """The first pass may have to start programs, which takes a while."""
        if self._terminal:
            emit("opening the targets", sys.stderr)

    def show(self, report: Report) -> None:
        now = _states(report)
        if self._terminal:
            waiting = "; ".join(f"{name}: {text}" for name, text in now.items() if text) or "done"
            emit(f"\r\x1b[K{waiting[:WIDTH]}", sys.stderr)
        else:
            news = [f"{name}: {text}\n" for name, text in now.items() if text and self._said.get(name) != text]
            gone = [f"{name}: done\n" for name in self._said if self._said[name] and name not in now]
            emit("".join([*news, *gone]), sys.stderr)
        self._said = now

    def end(self) -> None:
        if self._terminal:
            emit("\r\x1b[K", sys.stderr)


def _states(report: Report) -> dict[str, str]:
    """What each thing waits for, and each endpoint that is not as it should be."""
    found = {
        clean(f"{held.change.key.target} {subject_of(held.change.owner, held.change.key)}"): clean(held.text)
        for held in report.plan.held
        if held.change is not None and held.reason is Reason.WAITING
    }
    for status in report.statuses:
        if needs_a_look(status):
            text = f"{word_of(status)} {status.ready}/{status.desired}" + (f" ({status.reason})" if status.reason else "")
            found[clean(status.owner.removeprefix("Endpoint/"))] = clean(text)
    return found

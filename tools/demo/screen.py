"""What one sees: a line per step with its time; while a step works, what it waits for (in place on a terminal, else now and then)."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

NEWS_EVERY: Final = 5.0  # seconds between two progress lines where there is no terminal
WIDTH: Final = 118


@dataclass(slots=True)
class Screen:
    terminal: bool = field(default_factory=lambda: sys.stdout.isatty())
    begun: float = field(default_factory=time.monotonic)
    last_news: float = 0.0
    last_text: str = ""

    def line(self, text: str) -> None:
        """One whole line, over whatever progress stands there."""
        erase = "\r\x1b[K" if self.terminal else ""
        print(erase + text, flush=True)

    def progress(self, text: str) -> None:
        """What the step is waiting for."""
        now = time.monotonic()
        if self.terminal:
            print(f"\r\x1b[K   ... {text}"[:WIDTH], end="", flush=True)
        elif text != self.last_text and now - self.last_news >= NEWS_EVERY:
            self.last_news, self.last_text = now, text
            print(f"   ... {text} ({now - self.begun:.0f} s)", flush=True)

    @contextmanager
    def step(self, number: int, text: str) -> Iterator[list[str]]:
        """A step of the story. What the body appends to the yielded list is shown below its line."""
        begin = self.last_news = time.monotonic()
        notes: list[str] = []
        self.progress(text)
        yield notes
        self.line(f"{number}  {text:<104} {time.monotonic() - begin:6.1f} s")
        for note in notes:
            self.line(f"     {note}")

    def total(self) -> float:
        return time.monotonic() - self.begun

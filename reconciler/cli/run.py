"""`reconciler run`: passes for ever, until SIGTERM. What serves goes on serving without it."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from reconciler.cli.options import Where, add_where, where_of
from reconciler.errors import UsageError

YOUNG: Final = 50_000  # objects that were made and not freed, before the collector looks at them; a pass over a large fleet keeps 12,000
M_ARENA_MAX, ARENAS = -8, 2  # of malloc.h
M_MMAP_THRESHOLD, LARGE = -3, 1 << 20

if TYPE_CHECKING:
    from reconciler.git.source import GitSource
    from reconciler.publish.status_branch import StatusBranches


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("run", help="keep the endpoints as declared: passes in a loop, until SIGTERM")
    parser.add_argument("--interval", default="30s", metavar="TIME", help="fetch Git so often (default 30s)")
    parser.add_argument("--publish-delay", default="2s", metavar="TIME", help="gather status changes so long before they are pushed")
    parser.add_argument("--no-publish", action="store_true", help="push no status branch")
    parser.add_argument("--log", choices=("auto", "json", "text"), default="auto", help="form of the log on stderr")
    add_where(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    import sys

    from reconciler.cli.passes import given
    from reconciler.cli.sources import git_source
    from reconciler.daemon.log import configure
    from reconciler.daemon.loop import Daemon, Work
    from reconciler.daemon.timing import Timing
    from reconciler.keys import duration_of
    from reconciler.local import watch_once

    _lean_heaps()
    gc.set_threshold(YOUNG)
    where = where_of(parsed)
    interval = duration_of(parsed.interval)
    if interval < 1:
        raise UsageError("--interval is at least 1s", todo="write it like 30s", code="U2")
    configure(as_json=parsed.log == "json" or (parsed.log == "auto" and not sys.stderr.isatty()))
    timing = Timing(interval=interval)
    source = git_source(where)
    with (
        Daemon.held(where.state) as daemon,
        given(where, source, who="run", write=True, still=daemon.still, patient=False) as ready,
        _publisher(parsed, where, source) as publisher,
    ):
        return daemon.run(Work(ready, source.fetch, lambda: watch_once(where.state), publisher), timing)


def _lean_heaps() -> None:
    """A process of twenty threads that lives for months: glibc would keep a heap for each, of which most is never used again, and in them
    the room of the largest answers, which come and go with each pass."""
    import ctypes
    from contextlib import suppress

    with suppress(OSError, AttributeError):  # another C library, which has no such habit
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, ARENAS)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


@contextmanager
def _publisher(parsed: argparse.Namespace, where: "Where", source: "GitSource") -> "Iterator[StatusBranches | None]":
    """Pushes status branches, unless told not to."""
    if parsed.no_publish:
        yield None
        return
    import random

    from reconciler.daemon.log import logger
    from reconciler.git.source import open_source
    from reconciler.keys import duration_of
    from reconciler.publish.push import GitPush
    from reconciler.publish.status_branch import StatusBranches

    # a cache of its own, so that a slow push delays no fetch
    push = GitPush(lambda: open_source(where.named_repo(), source.branch, where.state / "git-status"), random.random)
    branches = StatusBranches(push, lambda: source.branch, duration_of(parsed.publish_delay), logger(), random.random)
    branches.start()
    try:
        yield branches
    finally:
        branches.close()
        push.close()

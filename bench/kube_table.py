"""The table of the Kubernetes benchmark: what was measured, as rows with their goals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.kube_daemon import Daemon
from bench.kube_site import Rounds, Run, rate, writes
from bench.measure import Row, Sample
from tools.controlplane import Entry

PLAN_GOALS, APPLY_GOALS = (15.0, 4.0), (10.0, 3.0)  # times faster than kubectl, with the caches filled and empty
RATE_GOAL, CREATE_GOAL = 0.8, 2.0  # share of the raw client's rate; times faster than kubectl
CHANGED_GOAL: Final = 1.3  # of a pass without changes
LINEAR: Final = 1.25  # an endpoint among many costs at most so much of an endpoint among few
MEMORY_GOAL, PASS_GOAL = 150.0, 0.2  # MiB; seconds of processor time
DIFF, APPLY = "`kubectl diff --server-side`", "`kubectl apply --server-side`"
WIDE: Final = "of a folder with `--concurrency=16`"


@dataclass(frozen=True, slots=True)
class Sizes:
    """endpoints: of everything but the growth, which goes from the first to the second. rounds: medians are of so many."""

    endpoints: int = 1000
    growth: tuple[int, int] = (100, 5000)
    rounds: int = 3
    passes: int = 10


FULL: Final = Sizes()


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything, by name. objects: that the endpoints are. grown: beside the fewer and beside the more endpoints of the growth."""

    objects: int
    created: Rounds
    quiet: Rounds
    changed: Rounds
    grown: tuple[Rounds, Rounds]
    alive: Rounds
    daemon: Daemon


def method(found: Measured, sizes: Sizes) -> str:
    return (
        f"{sizes.endpoints:,} endpoints = {found.objects:,} objects; whole processes, wall clock, median of {sizes.rounds} in turn (lowest"
        " to highest), all as one ordinary user on one API server beside them on this machine; kubectl gets what we would send, as one file"
        " where nothing else is said; with the caches empty everything is compiled and compared anew"
    )


def rows_of(found: Measured, sizes: Sizes) -> Iterator[Row]:
    yield from plan_rows(found.quiet, found.alive)
    yield from apply_rows(found.quiet)
    yield from create_rows(found.created)
    yield from changed_rows(found.changed, found.quiet)
    yield from growth_rows(found.grown, sizes)
    yield from daemon_rows(found.daemon)


def plan_rows(quiet: Rounds, alive: Rounds) -> Iterator[Row]:
    ours, peer, wide = quiet["plan"], quiet["diff"], quiet["diff, wide"]
    yield faster("plan, nothing to do, caches filled", wall(ours), wall(peer), DIFF, PLAN_GOALS[0])
    yield faster("plan, nothing to do, caches empty", wall(quiet["plan, empty"]), wall(peer), DIFF, PLAN_GOALS[1])
    yield faster("plan, nothing to do, caches filled, processor time", cpu(ours), cpu(peer), DIFF)
    yield faster("plan, nothing to do, caches filled, processor time of the server", server(ours), server(peer), DIFF)
    yield faster("plan, nothing to do, caches filled", wall(ours), wall(wide), f"{DIFF} {WIDE}")
    yield faster("plan, nothing to do, caches filled, a running pod each", wall(alive["plan"]), wall(peer), DIFF)
    asked = [entry for one in (*ours, *alive["plan"]) for entry in one.asked]
    what, lists_only = "requests of a plan, nothing to do", all(entry.verb == "list" for entry in asked)
    yield Row(what, counted(ours[0].asked), f"{counted(peer[0].asked)} ({DIFF})", "", "LISTs only", lists_only)


def apply_rows(quiet: Rounds) -> Iterator[Row]:
    filled, empty, peer = quiet["apply"], quiet["apply, empty"], quiet["kubectl apply"]
    yield faster("apply, nothing to do, caches filled", wall(filled), wall(peer), APPLY, APPLY_GOALS[0])
    yield faster("apply, nothing to do, caches empty", wall(empty), wall(peer), APPLY, APPLY_GOALS[1])
    most = max(len(writes(one.asked)) for one in (*filled, *empty))
    yield Row("writes of an apply, nothing to do", f"{most}", f"{len(writes(peer[0].asked)):,} ({APPLY})", "", "0", most == 0)


def create_rows(created: Rounds) -> Iterator[Row]:
    ours, raw = (Sample(tuple(rate(one.asked) for one in created[name])) for name in ("ours", "raw"))
    share = ours.median / raw.median
    peer = f"{raw.text('/s', 0)} (raw client, 16 connections)"
    yield Row(
        "create: writes from the first to the last", ours.text("/s", 0), peer, f"{share:.0%}", f">= {RATE_GOAL:.0%}", share >= RATE_GOAL
    )
    yield faster("create: whole process", wall(created["ours"]), wall(created["kubectl"]), APPLY, CREATE_GOAL)
    yield faster("create: whole process, processor time", cpu(created["ours"]), cpu(created["kubectl"]), APPLY)


def changed_rows(changed: Rounds, quiet: Rounds) -> Iterator[Row]:
    ours, sent = wall(changed["changed"]), len(writes(changed["changed"][0].asked))
    for peer, caches, goal in ((wall(changed["again"]), "filled", True), (wall(quiet["apply, empty"]), "empty", False)):
        ratio = ours.median / peer.median
        yield Row(
            f"apply of a commit that changes 1 % (writes: {sent})",
            ours.text("s"),
            f"{peer.text('s')} (nothing to do, caches {caches})",
            f"{ratio:.2f}x",
            f"<= {CHANGED_GOAL}x" if goal else "",
            ratio <= CHANGED_GOAL if goal else None,
        )


def growth_rows(grown: tuple[Rounds, Rounds], sizes: Sizes) -> Iterator[Row]:
    """What a process costs whatever its size is taken off: what one endpoint more costs is compared."""
    (few, many), usual = sizes.growth, sizes.endpoints
    for unit, of, judged in (("wall clock", wall, True), ("processor time", cpu, False)):
        (beside_few, small), (beside_many, large) = ([of(rounds[name]) for name in ("here", "there")] for rounds in grown)
        low = (beside_few.median - small.median) / (usual - few)
        high = (large.median - beside_many.median) / (many - usual)
        told = low > 0  # else the machine is too busy, or the sizes too small, to tell
        yield Row(
            f"plan, nothing to do, {many:,} endpoints, {unit}",
            large.text("s"),
            f"{beside_many.text('s')} for {usual:,}, {small.text('s')} for {few:,}",
            f"{high / low:.2f}x for one endpoint more" if told else "lost in the noise",
            f"<= {LINEAR}x" if judged else "",
            high <= LINEAR * low if judged and told else None,
        )


def daemon_rows(daemon: Daemon) -> Iterator[Row]:
    times = Sample(daemon.cpu)
    peak = f"{daemon.peak:.0f} MiB at its most"
    yield Row("daemon: memory", f"{daemon.memory:.0f} MiB", peak, "", f"< {MEMORY_GOAL:.0f} MiB", daemon.memory < MEMORY_GOAL)
    git = f"{daemon.git:.3f} s more in git's processes"
    yield Row("daemon: a pass, nothing changed, processor time", times.text("s", 3), git, "", f"< {PASS_GOAL} s", times.median < PASS_GOAL)
    lists_only = all(entry.verb == "list" for entry in daemon.asked)
    yield Row("daemon: requests of such a pass", f"{daemon.lists} list", "its watches stand", "", "LISTs only", lists_only)


def faster(what: str, ours: Sample, peer: Sample, name: str, goal: float | None = None) -> Row:
    ratio = peer.median / ours.median
    met = None if goal is None else ratio >= goal
    return Row(what, ours.text("s"), f"{peer.text('s')} ({name})", f"{ratio:.1f}x", "" if goal is None else f">= {goal:g}x", met)


def counted(asked: Sequence[Entry]) -> str:
    """`11 list`, `4,100 get, 4,100 patch`."""
    verbs = sorted({entry.verb for entry in asked})
    return ", ".join(f"{sum(entry.verb == verb for entry in asked):,} {verb}" for verb in verbs)


def wall(runs: Sequence[Run]) -> Sample:
    return Sample(tuple(one.took.wall for one in runs))


def cpu(runs: Sequence[Run]) -> Sample:
    return Sample(tuple(one.took.cpu for one in runs))


def server(runs: Sequence[Run]) -> Sample:
    return Sample(tuple(one.took.server for one in runs))

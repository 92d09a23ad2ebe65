"""A thousand endpoints on a real API server: plans and applies next to kubectl, creates next to a raw client, growth, and the daemon.

    python -m bench.kubernetes [ENDPOINTS]         the table alone; with a few endpoints it takes a minute and says little

All run as the ordinary user on the same server and the same processors, one after the other, in turn. kubectl is given exactly what we
would send: one file, as people use it, and for `diff` also its quickest form, a folder with a file for each object and `--concurrency=16`.
No controllers run, so that nothing moves but what is measured; pods are put there by hand at the end.
"""

import io
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench import kube_bodies, kube_pods
from bench.kube_daemon import daemon
from bench.kube_site import Rounds, Run, Site, Took, plane, prepare
from bench.kube_table import FULL, Measured, Sizes, method, rows_of
from bench.measure import Findings
from reconciler.state.folder import StateFolder
from tools.controlplane import ControlPlane

DONE: Final = (0, 2)  # exit codes of an apply that wrote
PROFILE_LINES: Final = 30
CHECKOUT: Final = Path(__file__).resolve().parent.parent


def run(sizes: Sizes = FULL) -> Findings:
    with tempfile.TemporaryDirectory(prefix="rcl-bench-") as name:
        scratch = Path(name)
        prepare(scratch)
        created = creates(sizes, scratch)
        with plane(scratch) as server:
            site = Site.make(server, "ours", sizes.endpoints)
            site.reconciler("apply", codes=DONE)
            found = Measured(
                objects=len(site.bodies),
                created=created,
                quiet=without_changes(site, sizes.rounds),
                changed=with_changes(site, sizes.rounds),
                grown=growth(site, sizes, scratch),
                alive=with_pods(site, sizes.rounds),
                daemon=daemon(site, sizes.passes),
            )
            rows = tuple(rows_of(found, sizes))
            missed = any(row.met is False for row in rows)
            return Findings("Kubernetes", method(found, sizes), rows, profiles(site) if missed else "")


def creates(sizes: Sizes, scratch: Path) -> Rounds:
    """Each in namespaces of its own, on a fresh server a round, another one first each time."""
    found: Rounds = {}
    for number in range(sizes.rounds):
        with plane(scratch) as server:
            turns = list(_creators(server, sizes.endpoints))
            first = number % len(turns)
            for name, create in turns[first:] + turns[:first]:
                found.setdefault(name, []).append(create())
    return found


def _creators(server: ControlPlane, endpoints: int) -> Iterator[tuple[str, Callable[[], Run]]]:
    ours, raw, kubectl = (Site.make(server, name, endpoints) for name in ("ours", "raw", "kubectl"))
    file, requests = str(kubectl.one_file), kube_bodies.as_requests(raw.bodies)
    yield "ours", lambda: ours.asked(lambda: ours.reconciler("apply", codes=DONE))
    yield "raw", lambda: raw.asked(lambda: raw.raw(requests))
    yield "kubectl", lambda: kubectl.asked(lambda: kubectl.kubectl("apply", "-f", file))


def without_changes(site: Site, rounds: int) -> Rounds:
    """Plans and applies of what is there already. kubectl's own cache, of discovery, is filled first."""
    file, folder = str(site.one_file), str(site.many_files)
    site.kubectl("diff", "-f", str(next(site.many_files.iterdir())))
    wide = in_rounds(site, 1, {"diff, wide": lambda: site.kubectl("diff", "--concurrency=16", "-f", folder)})
    turns: dict[str, Callable[[], Took]] = {
        "plan, empty": lambda: _empty(site, "plan"),
        "plan": lambda: site.reconciler("plan"),
        "diff": lambda: site.kubectl("diff", "-f", file),
        "apply, empty": lambda: _empty(site, "apply"),
        "apply": lambda: site.reconciler("apply"),
        "kubectl apply": lambda: site.kubectl("apply", "-f", file),
    }
    return wide | in_rounds(site, rounds, turns)


def _empty(site: Site, verb: str) -> Took:
    site.forget()
    return site.reconciler(verb)


def with_changes(site: Site, rounds: int) -> Rounds:
    """One endpoint of a hundred gets another number of replicas; in turn with an apply that finds nothing to do."""
    numbers = iter(range(2, rounds + 3))

    def change() -> Took:
        site.scale(next(numbers))
        return site.reconciler("apply", codes=DONE)

    def again() -> Took:
        site.reconciler("plan")
        return site.reconciler("apply")

    change()  # the first brings PodDisruptionBudgets too
    return in_rounds(site, rounds, {"changed": change, "again": again})


def growth(site: Site, sizes: Sizes, scratch: Path) -> tuple[Rounds, Rounds]:
    """The same plan for few and for many endpoints, each in turn with the one that is there already."""
    few, many = sizes.growth
    with plane(scratch) as server:
        return _beside(site, Site.make(server, "few", few), sizes.rounds), _beside(site, Site.make(server, "many", many), sizes.rounds)


def _beside(here: Site, there: Site, rounds: int) -> Rounds:
    there.reconciler("apply", codes=DONE)
    for site in (here, there):
        site.reconciler("plan")
    return in_rounds(here, rounds, {"here": lambda: here.reconciler("plan"), "there": lambda: there.reconciler("plan")})


def with_pods(site: Site, rounds: int) -> Rounds:
    """Plans of a fleet that runs: there are pods, slices and statuses to read as well."""
    site.raw(kube_pods.pods_of(site.bodies), "admin")
    site.reconciler("apply", codes=DONE)
    statuses = StateFolder(site.state).load().statuses.values()
    if wrong := next((one for one in statuses if not one.ready), None):
        said = f"{wrong.owner}: {wrong.word}, {wrong.reason}, {wrong.ready} of {wrong.desired}"
        raise RuntimeError(f"{said}: this is not what is to be measured")
    return in_rounds(site, rounds, {"plan": lambda: site.reconciler("plan")})


def in_rounds(site: Site, rounds: int, turns: dict[str, Callable[[], Took]]) -> Rounds:
    found: Rounds = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            found[name].append(site.asked(turn))
    return found


def profiles(site: Site) -> str:
    """Where a plan's time goes, with the caches filled and empty."""
    site.reconciler("plan")
    filled = _profile(site)
    site.forget()
    return f"plan, caches filled:\n{filled}\nplan, caches empty:\n{_profile(site)}"


def _profile(site: Site) -> str:
    file = site.folder / "profile"
    command = [sys.executable, "-m", "cProfile", "-o", str(file), "-m", "reconciler.cli.main", "plan"]
    subprocess.run(command, env=site.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    out = io.StringIO()
    pstats.Stats(str(file), stream=out).sort_stats("cumulative").print_stats(f"{CHECKOUT.name}/reconciler/", PROFILE_LINES)
    told = (line for line in out.getvalue().replace(f"{CHECKOUT}/", "").splitlines() if line.strip())
    return "\n".join(line for line in told if not line.lstrip().startswith(("Ordered", "List")) and str(file) not in line)


if __name__ == "__main__":
    from bench.__main__ import as_text

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    print(as_text(run(Sizes(count, (max(1, count // 10), count * 2), 1, 3) if count else FULL)))

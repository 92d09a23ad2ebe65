"""Targets -> live resources. Read only: what is handed in here has no way to write."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from reconciler.change import Plan
from reconciler.errors import Problem, TargetError
from reconciler.resource import Live, Observation, Observed, Resource, ResourceKey, Unreadable
from reconciler.targets.protocol import Reader


def observe(
    readers: Mapping[str, Reader],
    closed: Mapping[str, Problem],
    wanted: Mapping[ResourceKey, Resource],
    *,
    parallel: bool = True,
) -> Live:
    """One complete reading of every target, or why there is none. closed: targets that could not even be opened.

    Targets are read side by side, since each waits for its own network; `parallel=False` keeps their order, for replays.
    """
    by_target: dict[str, dict[ResourceKey, Resource]] = {name: {} for name in readers}
    for key, resource in wanted.items():
        by_target.get(key.target, {})[key] = resource
    names = sorted(readers)
    if parallel and len(names) > 1:
        pool = ThreadPoolExecutor(max_workers=min(16, len(names)))
        patient = False
        try:
            seen = list(pool.map(lambda name: _read(name, readers[name], by_target[name]), names))
        except Exception:
            patient = True  # somebody passes again, and no target is read twice at once
            raise
        finally:
            pool.shutdown(wait=patient, cancel_futures=True)  # who leaves closes the targets, which ends their readings
    else:
        seen = [_read(name, readers[name], by_target[name]) for name in names]
    return {name: Unreadable(name, problem) for name, problem in closed.items()} | dict(zip(names, seen, strict=True))


def _read(name: str, reader: Reader, wanted: Mapping[ResourceKey, Resource]) -> Observed:
    try:
        return reader.read(wanted)
    except TargetError as error:
        return Unreadable(name, error.problem)


def noted(live: Live) -> tuple[str, ...]:
    """What the readings say to people, each once."""
    return tuple(dict.fromkeys(note for _, seen in sorted(live.items()) if isinstance(seen, Observation) for note in seen.notes))


def found_wrong(live: Live, plan: Plan) -> Sequence[Problem]:
    """What a reading showed to be wrong with something that the plan wants to write (a model file that is missing)."""
    held = {item.change.owner for item in plan.held if item.change is not None}
    readings = (seen for seen in live.values() if isinstance(seen, Observation))
    return [problem for seen in readings for problem in seen.problems if problem.owner in held]

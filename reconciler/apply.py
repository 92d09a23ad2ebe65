"""Plan -> outcomes, wave by wave: the only step that writes. It decides nothing; whatever it needs is in the plan."""

from collections.abc import Iterator, Mapping, Sequence

from reconciler.errors import Busy, Problem, TargetError
from reconciler.resource import Change, Delete, Outcome, Plan, Replace
from reconciler.targets.protocol import Target, TargetRules, Writer


def apply_plan(plan: Plan, targets: Mapping[str, Target], rules: Mapping[str, TargetRules]) -> tuple[Outcome, ...]:
    """Write what the plan lets through. A target that fails does not stop the others; its later waves are not tried.

    rules: by target name, for the order of kinds.
    """
    changes: tuple[Change, ...] = (*plan.rebinds, *plan.changes)
    names = sorted({change.key.target for change in changes} | set(plan.heals))
    return tuple(
        outcome
        for name in names
        for outcome in _apply_target(targets[name], rules[name], [change for change in changes if change.key.target == name])
    )


def _apply_target(target: Target, rules: TargetRules, changes: Sequence[Change]) -> Iterator[Outcome]:
    left = list(changes)
    try:
        with target.session(changes) as writer:
            for wave in waves(changes, rules) or [[]]:  # an empty wave heals generated artifacts
                yield from _write(writer, wave)
                left = [change for change in left if all(change is not done for done in wave)]
    except (TargetError, Busy) as error:
        yield from (Outcome(change, False, error.problem.what, error.problem) for change in left)


def _write(writer: Writer, wave: Sequence[Change]) -> Sequence[Outcome]:
    return tuple(writer.write(wave))


def waves(changes: Sequence[Change], rules: TargetRules) -> list[list[Change]]:
    """Creates and updates by rank, then deletes bottom-up. Changes of one wave may run together."""

    def rank(change: Change) -> int:
        return next((n for n, kinds in enumerate(rules.ranks) if change.key.kind in kinds), len(rules.ranks))

    def ends(change: Change) -> bool:
        return isinstance(change, Delete | Replace)

    ordered = sorted(changes, key=lambda change: (ends(change), -rank(change) if ends(change) else rank(change), change.key))
    found: dict[tuple[bool, int], list[Change]] = {}
    for change in ordered:
        found.setdefault((ends(change), rank(change)), []).append(change)
    return list(found.values())


def failures(outcomes: Sequence[Outcome]) -> tuple[Problem, ...]:
    """What failed, once for each cause."""
    found = {outcome.problem: None for outcome in outcomes if outcome.problem is not None and not outcome.applied}
    return tuple(found)

"""Plan -> outcomes, wave by wave: the only step that writes. It decides nothing; whatever it needs is in the plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.change import Change, Delete, Outcome, Plan, Replace
from reconciler.errors import Problem, ReconcilerError
from reconciler.targets.protocol import Target, TargetRules


@dataclass(frozen=True, slots=True)
class Written:
    """One outcome per change, and why targets failed: also where there was no change, only artifacts to heal."""

    outcomes: tuple[Outcome, ...] = ()
    problems: tuple[Problem, ...] = ()


def apply_plan(plan: Plan, targets: Mapping[str, Target], rules: Mapping[str, TargetRules]) -> Written:
    """Write what the plan lets through. A target that fails does not stop the others; its later waves are not tried.

    rules: by target name, for the order of kinds.
    """
    changes: tuple[Change, ...] = (*plan.rebinds, *plan.changes)
    names = sorted({change.key.target for change in changes} | set(plan.heals))
    done = [_apply_target(targets[name], rules[name], [change for change in changes if change.key.target == name]) for name in names]
    return Written(
        tuple(outcome for written in done for outcome in written.outcomes),
        tuple(dict.fromkeys(problem for written in done for problem in written.problems)),
    )


def _apply_target(target: Target, rules: TargetRules, changes: Sequence[Change]) -> Written:
    done: list[Outcome] = []
    try:
        with target.session(changes) as writer:
            for wave in waves(changes, rules) or [[]]:  # an empty wave heals generated artifacts
                for outcome in writer.write(wave):
                    done.append(outcome)  # one by one: what was written before a failure counts as applied
    except ReconcilerError as error:
        told = {id(outcome.change) for outcome in done}
        left = (Outcome(change, False, error.problem.what, error.problem) for change in changes if id(change) not in told)
        return Written((*done, *left), (*_causes(done), error.problem))
    return Written(tuple(done), _causes(done))


def _causes(done: Sequence[Outcome]) -> tuple[Problem, ...]:
    return tuple(outcome.problem for outcome in done if outcome.problem is not None and not outcome.applied)


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

"""A pass, a status and an error as versioned JSON (gitops.md 6.6).

A field's value that may be a secret is not in it: `sensitive: true` stands instead.
"""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Final, Literal, cast

from reconciler.change import ABSENT, Change, FieldChange, Held, Operation, Outcome, Plan, Rebind, Replace, Trip, Update
from reconciler.errors import Problem, Severity
from reconciler.report.conditions import conditions_of
from reconciler.report.forms import (
    Action,
    ConditionForm,
    ConditionType,
    DriftForm,
    EffectsForm,
    EndpointForm,
    ErrorBody,
    ErrorForm,
    FieldForm,
    GuardForm,
    HeldForm,
    KeyForm,
    OutcomeForm,
    PlanForm,
    ProblemForm,
    RebindForm,
    ReplicaForm,
    SummaryForm,
    UnreadableForm,
)
from reconciler.report.model import EndpointStatus, Report
from reconciler.report.style import is_sensitive
from reconciler.report.words import class_of, direction_of, is_drift, operation_of, source_of
from reconciler.resource import ResourceKey

PLAN_FORMAT: Final = "reconciler.dev/plan/v1"
ERROR_FORMAT: Final = "reconciler.dev/error/v1"


def dumps(form: object) -> str:
    return json.dumps(form, indent=2, ensure_ascii=False) + "\n"


def time_text(at: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plan_form(report: Report) -> PlanForm:
    plan = report.plan
    wrong = any(problem.severity is Severity.ERROR for problem in report.problems)
    return PlanForm(
        format=PLAN_FORMAT,
        revision=plan.revision,
        digest=plan.digest,
        at=time_text(report.at),
        complete=not (plan.unreadable or wrong),
        exitCode=cast(Literal[0, 1, 2, 3], report.exit_code),
        appliedRevision=report.applied,
        summary=_summary(plan),
        actions=_actions(plan),
        held=[_held_form(held) for held in plan.held],
        guards=[_guard_form(trip) for trip in plan.trips],
        acknowledged=len(plan.acknowledged),
        rebinds=[_rebind_form(rebind) for rebind in plan.rebinds],
        drift=_drift_forms(plan),
        unreadable=[UnreadableForm(target=item.target, problem=problem_form(item.problem)) for item in plan.unreadable],
        problems=[problem_form(problem) for problem in report.problems],
        notes=list(report.notes),
        outcomes=None if report.outcomes is None else [_outcome_form(outcome) for outcome in report.outcomes],
    )


def plan_as_json(report: Report) -> str:
    return dumps(plan_form(report))


def error_as_json(kind: str, problem: Problem, exit_code: int) -> str:
    """What stands on stdout when a pass could not even begin: `kind` is the class of the error."""
    body = ErrorBody(kind=kind, **problem_form(problem))
    return dumps(ErrorForm(format=ERROR_FORMAT, exitCode=cast(Literal[1, 3], exit_code), error=body))


def problem_form(problem: Problem) -> ProblemForm:
    return ProblemForm(
        code=problem.code,
        severity=problem.severity.value,
        what=problem.what,
        why=problem.why,
        todo=problem.todo,
        where=problem.where,
        subject=problem.subject,
        path=problem.path,
        owner=problem.owner,
    )


def endpoint_form(status: EndpointStatus) -> EndpointForm:
    return EndpointForm(
        owner=status.owner,
        status=status.word.value,
        reason=status.reason,
        message=status.message,
        ready=status.ready,
        desired=status.desired,
        routed=status.routed,
        url=status.url,
        revision=status.revision,
        since=time_text(status.since) if status.since else None,
        targets=list(status.targets),
        versions=dict(status.versions),
        replicas=[
            ReplicaForm(name=item.name, state=item.state.value, reason=item.reason, message=item.message, node=item.node)
            for item in status.replicas
        ],
        conditions=[
            ConditionForm(type=cast(ConditionType, one.type), status=one.status, reason=one.reason) for one in conditions_of(status)
        ],
    )


def _summary(plan: Plan) -> SummaryForm:
    classes = Counter(class_of(operation).value for operation in plan.operations)
    held = Counter(item.reason.value for item in plan.held)
    return SummaryForm(
        classes=dict(sorted(classes.items())), held=dict(sorted(held.items())), endpoints=plan.endpoints, targets=plan.targets
    )


def _actions(plan: Plan) -> list[Action]:
    now = [_action(operation, None) for operation in plan.changes]
    return now + [_action(held.change, held) for held in plan.held if held.change is not None]


def _action(operation: Operation, held: Held | None) -> Action:
    fields = operation.fields if isinstance(operation, Update | Replace) else ()
    effects = operation.effects
    return cast(
        Action,
        {
            "class": effects.kind.value,
            "operation": operation_of(operation),
            "key": _key_form(operation.key),
            "owner": operation.owner,
            "source": source_of(operation),
            "effects": EffectsForm(text=effects.text, restarts=effects.restarts, downtime=effects.downtime),
            "fieldChanges": [_field_form(field) for field in fields],
            "heldBy": held.reason.value if held else None,
        },
    )


def _key_form(key: ResourceKey) -> KeyForm:
    return KeyForm(target=key.target, kind=key.kind, namespace=key.namespace, name=key.name)


def _field_form(field: FieldChange) -> FieldForm:
    if is_sensitive(field.path):
        return FieldForm(path=field.path, sensitive=True)
    form = FieldForm(path=field.path)
    if field.old != ABSENT:
        form["old"] = field.old
    if field.new != ABSENT:
        form["new"] = field.new
    if field.by:
        form["by"] = field.by
    return form


def _held_form(held: Held) -> HeldForm:
    key = _key_form(held.change.key) if held.change else None
    return HeldForm(subject=held.subject, reason=held.reason.value, text=held.text, key=key)


def _guard_form(trip: Trip) -> GuardForm:
    return GuardForm(rule=trip.rule, owners=list(trip.owners), allowed=trip.allowed, total=trip.total, text=trip.text)


def _rebind_form(rebind: Rebind) -> RebindForm:
    return RebindForm(key=_key_form(rebind.key), owner=rebind.owner, text=rebind.text)


def _drift_forms(plan: Plan) -> list[DriftForm]:
    found = {operation.key: operation for operation in plan.operations if is_drift(plan, operation)}
    healed = {operation.key for operation in plan.changes}
    keys = sorted({*found, *plan.drifted})
    return [DriftForm(key=_key_form(key), direction=direction_of(found.get(key)), healed=key in healed) for key in keys]


def _outcome_form(outcome: Outcome) -> OutcomeForm:
    change: Change = outcome.change
    return cast(
        OutcomeForm,
        {
            "class": class_of(change).value,
            "key": _key_form(change.key),
            "owner": change.owner,
            "applied": outcome.applied,
            "message": outcome.message,
            "problem": problem_form(outcome.problem) if outcome.problem else None,
        },
    )

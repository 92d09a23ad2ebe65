"""The types of our JSON output; `schemas/plan.json`, `status.json` and `error.json` equal them, by test.

Within `v1` fields are added and never change.
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class KeyForm(TypedDict):
    target: str
    kind: str
    namespace: str
    name: str


class ProblemForm(TypedDict):
    code: str
    severity: Literal["error", "warning"]
    what: str
    why: str
    todo: str
    where: str
    subject: str
    path: str
    owner: str | None


class FieldForm(TypedDict):
    """`old` is absent where the field was not there, `new` where it goes; both where the value may be a secret. by: who wrote `old`."""

    path: str
    old: NotRequired[object]
    new: NotRequired[object]
    by: NotRequired[str]
    sensitive: NotRequired[bool]


class EffectsForm(TypedDict):
    text: str
    restarts: int
    downtime: bool


ActionClass = Literal["create", "in place", "restart", "replace", "migrate", "traffic", "pause", "resume", "delete"]


class ActionForm(TypedDict):
    """`class` is what the change does to people, `operation` what is done to the resource. heldBy: null = it runs now."""

    operation: Literal["create", "update", "replace", "delete", "rebind"]
    key: KeyForm
    owner: str
    source: str
    effects: EffectsForm
    fieldChanges: list[FieldForm]
    heldBy: str | None


# `class` is a keyword of Python: the field needs the functional form.
Classed = TypedDict("Classed", {"class": ActionClass})


class Action(ActionForm, Classed):
    pass


class HeldForm(TypedDict):
    subject: str
    reason: Literal["waiting", "guard", "conflict", "unreadable", "invalid", "protected", "reported drift", "approval"]
    text: str
    key: KeyForm | None


class GuardForm(TypedDict):
    rule: str
    owners: list[str]
    allowed: int
    total: int
    text: str


class RebindForm(TypedDict):
    key: KeyForm
    owner: str
    text: str


class DriftForm(TypedDict):
    key: KeyForm
    direction: str
    healed: bool


class UnreadableForm(TypedDict):
    target: str
    problem: ProblemForm


class OutcomeForm(Classed):
    key: KeyForm
    owner: str
    applied: bool
    message: str
    problem: ProblemForm | None


class SummaryForm(TypedDict):
    """How many: by class over all operations, by reason over what is held; endpoints and targets in all."""

    classes: dict[str, int]
    held: dict[str, int]
    endpoints: int
    targets: int


class PlanForm(TypedDict):
    format: Literal["reconciler.dev/plan/v1"]
    revision: str
    digest: str
    at: str
    complete: bool
    exitCode: Literal[0, 1, 2, 3]
    appliedRevision: str
    summary: SummaryForm
    actions: list[Action]
    held: list[HeldForm]
    guards: list[GuardForm]
    acknowledged: int
    rebinds: list[RebindForm]
    drift: list[DriftForm]
    unreadable: list[UnreadableForm]
    problems: list[ProblemForm]
    notes: list[str]
    outcomes: list[OutcomeForm] | None


class ReplicaForm(TypedDict):
    name: str
    state: Literal["serving", "failing", "pending", "downloading", "starting"]
    reason: str
    message: str
    node: str


ConditionType = Literal["Ready", "Reconciling", "Stalled", "Degraded", "RoutePublished", "Drifted", "Reconciled"]


class ConditionForm(TypedDict):
    """Ready, Reconciling and Stalled mean what Kubernetes tools mean by them."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str


class EndpointForm(TypedDict):
    owner: str
    status: str
    reason: str
    message: str
    ready: int
    desired: int
    routed: bool
    url: str
    revision: str
    since: str | None
    targets: list[str]
    versions: dict[str, str]
    replicas: list[ReplicaForm]
    conditions: list[ConditionForm]


class DaemonForm(TypedDict):
    pid: int
    since: str


class StatusForm(TypedDict):
    """at: when the endpoints were last looked at; ageSeconds: how long ago that is. daemon: null when none runs."""

    format: Literal["reconciler.dev/status/v1"]
    revision: str
    at: str | None
    ageSeconds: float | None
    daemon: DaemonForm | None
    endpoints: list[EndpointForm]


class ErrorBody(ProblemForm):
    kind: str


class ErrorForm(TypedDict):
    format: Literal["reconciler.dev/error/v1"]
    exitCode: Literal[1, 3]
    error: ErrorBody


class ValidationForm(TypedDict):
    """declared: how many sound declarations by kind of owner. blocked: declarations that are not sound."""

    format: Literal["reconciler.dev/validation/v1"]
    revision: str
    exitCode: Literal[0, 1]
    declared: dict[str, int]
    targets: list[str]
    blocked: list[str]
    problems: list[ProblemForm]

"""Desired x live x plan x previous -> one word per endpoint with its reason. Pure, and a table: the rules of serving-checklist 7.3,
decided once for all targets. S = serving replicas, D = desired ones; the first rule that matches decides."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from reconciler.change import Outcome, Plan, Reason, Rebind
from reconciler.desired import Owner
from reconciler.plan.view import View
from reconciler.report.model import EndpointStatus
from reconciler.resource import Health, LiveResource, Replica, ReplicaState, Serving, Unreadable

ENDPOINT: Final = "Endpoint"
NOT_CREATED_AFTER: Final = 30.0  # seconds without any replica before an endpoint counts as Pending (rule 7)
WORST_FIRST: Final = (
    ReplicaState.FAILING,
    ReplicaState.PENDING,
    ReplicaState.DOWNLOADING,
    ReplicaState.STARTING,
    ReplicaState.SERVING,
)
EVER_READY: Final = frozenset({Health.READY, Health.UPDATING, Health.DEGRADED})


@dataclass(frozen=True)
class Facts:
    """What the rules look at. declared: False once it left the repo; unreadable: why its cluster cannot be read."""

    declared: bool
    asleep: bool
    serving: Serving | None
    unreadable: str
    timeout: float
    now: float
    previous: EndpointStatus | None
    change_pending: bool  # the plan restarts or scales it in this pass

    @cached_property
    def s(self) -> int:
        return self.serving.ready if self.serving else 0

    @property
    def d(self) -> int:
        return self.serving.desired if self.serving else 0

    def has(self, state: ReplicaState) -> bool:
        return bool(self.serving and self.serving.count(state))

    @property
    def running(self) -> bool:
        """Something of it runs, or is wanted to."""
        return self.serving is not None and (self.d > 0 or bool(self.serving.replicas) or self.serving.deleting)

    @property
    def rollout(self) -> bool:
        return bool(self.serving and self.serving.rollout) or self.change_pending

    @property
    def age(self) -> float:
        return self.now - self.serving.since if self.serving and self.serving.since is not None else 0.0

    @property
    def overdue(self) -> bool:
        return bool(self.serving and self.serving.rollout) and self.age > self.timeout

    @property
    def failing(self) -> bool:
        return self.has(ReplicaState.FAILING) or bool(self.serving and self.serving.gave_up)

    @property
    def pending(self) -> bool:
        late = self.serving is not None and not self.serving.replicas and self.age > NOT_CREATED_AFTER and self.d > 0
        return self.has(ReplicaState.PENDING) or late


def _worst(facts: Facts, fallback: str) -> str:
    """The reason of the worst replica, else what the target says of the whole."""
    worst = sort_replicas(facts.serving.replicas)[0] if facts.serving and facts.serving.replicas else None
    if worst is not None and worst.state is not ReplicaState.SERVING and worst.reason:
        return worst.reason
    return (facts.serving.reason if facts.serving else "") or fallback


Rule = tuple[Callable[[Facts], bool], Health, Callable[[Facts], str]]


def _says(text: str) -> Callable[[Facts], str]:
    return lambda facts: text


def _because(fallback: str) -> Callable[[Facts], str]:
    return lambda facts: _worst(facts, fallback)


RULES: Final[tuple[Rule, ...]] = (
    (lambda f: bool(f.unreadable), Health.UNKNOWN, _says("TargetUnreachable")),
    (lambda f: not f.declared or bool(f.serving and f.serving.deleting and not f.asleep), Health.DELETING, _says("Pruned")),
    (lambda f: f.asleep and not f.running, Health.PAUSED, _says("Paused")),
    (lambda f: f.asleep, Health.UPDATING, _says("Pausing")),
    (lambda f: f.serving is not None and f.d == 0, Health.SCALED_DOWN, _says("Idle")),
    (lambda f: f.s == 0 and f.failing, Health.ERROR, _because("ReplicaFailed")),
    (lambda f: f.s == 0 and f.pending, Health.PENDING, _because("NotCreated")),
    (lambda f: f.s == 0 and f.overdue, Health.ERROR, _says("ProgressDeadlineExceeded")),
    (lambda f: f.s == 0 and f.has(ReplicaState.DOWNLOADING), Health.MODEL_DOWNLOADING, _says("Downloading")),
    (lambda f: f.s == 0, Health.STARTING, _says("Starting")),
    (lambda f: f.failing, Health.DEGRADED, _because("ReplicaFailed")),
    (lambda f: f.overdue, Health.DEGRADED, _because("ProgressDeadlineExceeded")),
    (lambda f: f.s < f.d and f.pending and not f.rollout, Health.DEGRADED, _because("Pending")),
    (lambda f: f.rollout and not (f.previous and f.previous.ever_ready), Health.STARTING, lambda f: f"{f.s} of {f.d} ready, serving"),
    (lambda f: f.rollout, Health.UPDATING, lambda f: "Scaling" if f.s < f.d else "RollingUpdate"),
    (lambda f: f.s < f.d, Health.DEGRADED, _says("ReplicasNotReady")),
    (lambda f: True, Health.READY, _says("Ready")),
)


def word_of(facts: Facts) -> tuple[Health, str]:
    """The word and its reason. During a flap (any write makes all of Ray's applications DEPLOYING for 0.1 s) the previous word stays."""
    if facts.serving and facts.serving.unsettled and facts.previous and facts.declared and not facts.asleep and not facts.unreadable:
        return facts.previous.word, facts.previous.reason
    return next((word, reason(facts)) for matches, word, reason in RULES if matches(facts))


def sort_replicas(replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
    """By class; within a class as the target ordered them, which knows what is worse."""
    return tuple(sorted(replicas, key=lambda replica: WORST_FIRST.index(replica.state))) if len(replicas) > 1 else replicas


def statuses(
    view: View, plan: Plan, outcomes: tuple[Outcome, ...] | None, previous: Mapping[str, EndpointStatus]
) -> tuple[EndpointStatus, ...]:
    """One status per endpoint: of everything declared, and of what is still there without being declared."""
    declared = {name for name, owner in view.desired.owners.items() if owner.kind == ENDPOINT}
    blocked = {name for name in view.desired.blocked if name.startswith(ENDPOINT + "/")}
    names = declared | blocked | view.owners_live(ENDPOINT) | _unread(view, previous)
    index = _Index.of(view, plan, outcomes)
    return tuple(_status(view, index, name, previous.get(name)) for name in sorted(names))


def _unread(view: View, previous: Mapping[str, EndpointStatus]) -> set[str]:
    """Endpoints that were on a target which cannot be read now: they have not gone, they are Unknown."""
    dark = {target.target for target in view.unreadable}
    return {name for name, before in previous.items() if dark & set(before.targets)}


@dataclass(frozen=True, slots=True)
class _Index:
    """By owner: the workloads, the routes, what changed, what holds it. Made once per pass."""

    workloads: Mapping[str, tuple[LiveResource, ...]]
    routed: frozenset[str]
    touched: frozenset[str]
    moving: frozenset[str]
    notes: Mapping[str, str]
    drifted: frozenset[str]
    unsettled: frozenset[str]

    @classmethod
    def of(cls, view: View, plan: Plan, outcomes: tuple[Outcome, ...] | None) -> "_Index":
        workloads: dict[str, tuple[LiveResource, ...]] = {}
        routed = set()
        for key, live in view.ours.items():
            owner = live.mark.owner if live.mark else ""
            if view.serves(key):
                workloads[owner] = (*workloads.get(owner, ()), live)
            elif live.needs and not live.withdrawn:
                routed.add(owner)
        written = [outcome.change for outcome in outcomes or () if outcome.applied]
        moving = {change.owner for change in written if view.serves(change.key)}
        touched = {change.owner for change in written if not isinstance(change, Rebind)}
        drifted = frozenset(operation.owner for operation in plan.operations if operation.key in plan.drifted)
        notes, left = dict(_notes(plan, outcomes)), frozenset(_left(plan, outcomes))
        return cls(workloads, frozenset(routed), frozenset(touched), frozenset(moving), notes, drifted - touched, left)


def _left(plan: Plan, outcomes: tuple[Outcome, ...] | None) -> Iterator[str]:
    """Whose changes are held, failed, or (in a plan) still to be made."""
    yield from (held.change.owner if held.change else held.subject for held in plan.held)
    if outcomes is None:
        yield from (change.owner for change in plan.changes)
    yield from (outcome.change.owner for outcome in outcomes or () if not outcome.applied)


def _notes(plan: Plan, outcomes: tuple[Outcome, ...] | None) -> Iterator[tuple[str, str]]:
    """What a person should know beside the word: why something of this endpoint does not happen."""
    for held in plan.held:
        owner = held.change.owner if held.change else held.subject
        if held.reason is not Reason.WAITING:
            yield owner, f"held ({held.reason}): {held.text}"
    for outcome in outcomes or ():
        if not outcome.applied:
            yield outcome.change.owner, f"failed: {outcome.message}"


def _status(view: View, index: _Index, name: str, previous: EndpointStatus | None) -> EndpointStatus:
    owner = view.desired.owners.get(name)
    facts = _facts(view, index, name, owner, _serving(view, index, name), previous)
    word, reason = word_of(facts)
    changed = previous is None or (previous.word, previous.reason) != (word, reason)
    fresh = previous is None or not previous.revision or name in index.touched
    serving = facts.serving
    return EndpointStatus(
        owner=name,
        word=word,
        reason=reason,
        message=_message(index, name, facts, previous),
        ready=facts.s,
        desired=facts.d,
        replicas=sort_replicas(serving.replicas) if serving else (),
        url=owner.url if owner else (previous.url if previous else ""),
        revision=view.desired.revision if fresh or previous is None else previous.revision,
        since=facts.now if changed or previous is None else previous.since,
        routed=name in index.routed,
        ever_ready=word in EVER_READY or bool(previous and previous.ever_ready and serving),
        targets=owner.targets if owner and owner.targets else (previous.targets if previous else ()),
        versions=owner.versions if owner else {},
        drifted=name in index.drifted,
        settled=name not in index.unsettled,
    )


def _serving(view: View, index: _Index, name: str) -> Serving | None:
    """The workload's facts. During a migration two copies live: the declared one counts once it is there, and is a rollout
    in which the old copy's replicas serve as old ones do in any other."""
    found = index.workloads.get(name, ())
    if len(found) < 2:
        return found[0].serving if found else None
    wanted = set(view.wanted_of.get(name, ()))
    here = [live.serving for live in found if live.key in wanted and live.serving]
    elsewhere = [live.serving for live in found if live.key not in wanted and live.serving]
    if not (here and elsewhere):
        return next(iter((*here, *elsewhere)), None)
    still = (one for copy in elsewhere for one in copy.replicas if one.state is ReplicaState.SERVING and not copy.deleting)
    return replace(here[0], replicas=(*here[0].replicas, *still), rollout=True)


def _facts(view: View, index: _Index, name: str, owner: Owner | None, serving: Serving | None, previous: EndpointStatus | None) -> Facts:
    declared = owner is not None or name in view.desired.blocked
    targets = owner.targets if owner and owner.targets else (previous.targets if previous else ())
    return Facts(
        declared=declared,
        asleep=bool(owner and owner.asleep),
        serving=serving,
        unreadable=_dark(view, targets) if serving is None else "",
        timeout=owner.rollout_timeout if owner else 1200.0,
        now=view.situation.now,
        previous=previous,
        change_pending=name in index.moving,
    )


def _dark(view: View, targets: tuple[str, ...]) -> str:
    """Only the cluster decides: a gateway that cannot be read does not make replicas unknown."""
    for target in view.unreadable:
        if target.target in targets and _is_cluster(view, target):
            return target.problem.what
    return ""


def _is_cluster(view: View, target: Unreadable) -> bool:
    return bool(view.rules(target.target).serves) and not view.spec(target.target).binds


def _message(index: _Index, name: str, facts: Facts, previous: EndpointStatus | None) -> str:
    if facts.unreadable:
        last = f"; last known: {previous.word} at {previous.ready} of {previous.desired}" if previous else ""
        return f"{facts.unreadable}{last}"
    own = facts.serving.message if facts.serving else ""
    failing = next((r.message for r in sort_replicas(facts.serving.replicas) if r.message), "") if facts.serving else ""
    note = index.notes.get(name, "")
    return "; ".join(part for part in (failing or own, note) if part)

"""What a change of a Kubernetes object does: by table, as serving-checklist section 8 has it."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.change import ABSENT, ChangeClass, FieldChange
from reconciler.desired import TargetSpec
from reconciler.plan.fields import covers, field_changes
from reconciler.resource import Json, LiveResource, Resource, Serving
from reconciler.targets.kubernetes.kinds import KINDS, WRITTEN
from reconciler.targets.kubernetes.render import render_workload
from reconciler.targets.kubernetes.rules import RULES
from reconciler.targets.rendering import SecretEnv, Workload
from tests.kube_workloads import BIG, BY_ADAPTER, CHAT, EQUIPPED, GROUPED, LLAMA, PAUSED, PLAIN, SCALED, VLLM

IMAGE = replace(LLAMA, image="ghcr.io/ggml-org/llama.cpp:server-b2")


def workload_of(workload: Workload, target: TargetSpec) -> Resource:
    (found,) = (one for one in render_workload(workload, target).resources if one.key.kind in RULES.serves)
    return found


def change(before: Workload, after: Workload, *, running: int, target: TargetSpec = EQUIPPED) -> tuple[ChangeClass, str, int, bool]:
    """From what was rendered before to what is rendered now, with so many replicas wanted at present."""
    old, new = workload_of(before, target), workload_of(after, target)
    live = LiveResource(old.key, old.manifest, None, serving=Serving(running))
    effects = RULES.effects(new, live, field_changes(old.manifest, new.manifest))
    return effects.kind, effects.text, effects.restarts, effects.downtime


def rolled(workload: Workload, surge: int, missing: int) -> Workload:
    assert workload.container is not None
    return replace(workload, surge=surge > 0, container=replace(workload.container, max_surge=surge, max_unavailable=missing))


TWO = replace(CHAT, replicas=2)
FOUR = replace(CHAT, replicas=4)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (TWO, replace(CHAT, replicas=5), "replicas 2 -> 5"),
        (TWO, SCALED, "replicas 2 -> the autoscaler's"),
        (SCALED, TWO, "replicas the autoscaler's -> 2"),
        (TWO, rolled(TWO, 0, 1), ""),
        (TWO, rolled(TWO, 0, 0), ""),
        (TWO, replace(TWO, startup_timeout=60), ""),
    ],
)
def test_what_changes_in_place(before: Workload, after: Workload, text: str) -> None:
    assert change(before, after, running=2) == (ChangeClass.IN_PLACE, text, 0, False)


RESTARTING: dict[str, Workload] = {
    "image": replace(CHAT, container=IMAGE),
    "command": replace(CHAT, command=("other",)),
    "env": replace(CHAT, env={"A": "1"}),
    "secret": replace(CHAT, secrets=(SecretEnv("T", "s", "k"),)),
    "resources": replace(CHAT, cpu=2),
    "probes": replace(CHAT, container=replace(LLAMA, readiness=replace(LLAMA.readiness, failures=3))),
    "volumes": replace(CHAT, container=replace(LLAMA, volumes=VLLM.volumes)),
    "placement": replace(CHAT, spread_required=True),
    "the longest request": replace(CHAT, container=replace(LLAMA, request_timeout=600)),
    "restartedAt": replace(CHAT, restarted_at="2026-08-01T10:00:00Z"),
    "scraping by annotation": replace(CHAT, container=replace(LLAMA, scrape=False)),
}


@pytest.mark.parametrize("what", RESTARTING)
def test_what_restarts(what: str) -> None:
    assert change(CHAT, RESTARTING[what], running=1, target=PLAIN) == (ChangeClass.RESTART, "1 replica restarts, new ones first", 1, False)


@pytest.mark.parametrize(
    ("replicas", "surge", "missing", "how", "downtime"),
    [
        (1, 1, 0, "1 replica restarts, new ones first", False),
        (1, 0, 1, "1 replica restarts, nothing answers until new ones are up", True),
        (1, 1, 1, "1 replica restarts, nothing answers until new ones are up", True),
        (4, 2, 0, "4 replicas restart, new ones first", False),
        (4, 0, 1, "4 replicas restart, one after the other", False),
        (4, 0, 3, "4 replicas restart, 3 at a time", False),
        (4, 0, 4, "4 replicas restart, nothing answers until new ones are up", True),
    ],
)
def test_how_a_restart_goes(replicas: int, surge: int, missing: int, how: str, downtime: bool) -> None:
    before = rolled(replace(CHAT, replicas=replicas), surge, missing)

    assert change(before, replace(before, cpu=2), running=replicas) == (ChangeClass.RESTART, how, replicas, downtime)


def test_a_recreated_endpoint_does_not_answer_meanwhile_however_many_there_are() -> None:
    before = rolled(FOUR, 0, 0)

    kind, text, restarts, downtime = change(before, replace(before, cpu=2), running=4)

    assert (kind, restarts, downtime) == (ChangeClass.RESTART, 4, True)
    assert text == "4 replicas restart, nothing answers until new ones are up"


def test_the_rollout_that_counts_is_the_new_one() -> None:
    after = replace(rolled(TWO, 0, 2), cpu=2)

    assert change(TWO, after, running=2)[3] is True


def test_a_restart_and_another_number_are_one_change() -> None:
    assert change(TWO, replace(FOUR, cpu=2), running=2)[:3] == (
        ChangeClass.RESTART,
        "2 replicas restart, new ones first, replicas 2 -> 4",
        2,
    )


def test_a_gate_is_told() -> None:
    assert change(BIG, replace(BIG, cpu=2), running=3)[1] == "3 replicas restart, new ones first, each new one waits for an approval"


def test_of_an_autoscaled_endpoint_as_many_restart_as_run() -> None:
    assert change(BY_ADAPTER, replace(BY_ADAPTER, cpu=2), running=3)[:3] == (ChangeClass.RESTART, "3 replicas restart, new ones first", 3)


def test_nothing_restarts_where_nothing_runs() -> None:
    assert change(SCALED, replace(SCALED, cpu=2), running=0) == (ChangeClass.IN_PLACE, "nothing of it runs now", 0, False)
    assert change(PAUSED, replace(PAUSED, cpu=2), running=0) == (ChangeClass.IN_PLACE, "nothing of it runs now", 0, False)


@pytest.mark.parametrize("before", [TWO, SCALED])
@pytest.mark.parametrize("changed", [{}, {"cpu": 2}])
def test_a_pause_is_a_pause_whatever_else_changes(before: Workload, changed: dict[str, Any]) -> None:
    after = replace(before, paused=True, **changed)

    assert change(before, after, running=2) == (ChangeClass.PAUSE, "2 replicas stop; all else stays", 0, False)


@pytest.mark.parametrize(
    ("after", "text"),
    [
        (CHAT, "was at rest, starts 1 replica"),
        (replace(FOUR, cpu=2), "was at rest, starts 4 replicas"),
        (SCALED, "was at rest, starts 2 replicas"),
    ],
)
def test_a_resume_is_a_resume_whatever_else_changes(after: Workload, text: str) -> None:
    assert change(PAUSED, after, running=0) == (ChangeClass.RESUME, text, 0, False)


def test_a_group_of_machines_restarts_like_a_replica() -> None:
    assert change(GROUPED, replace(GROUPED, cpu=8), running=3) == (ChangeClass.RESTART, "3 replicas restart, new ones first", 3, False)
    assert change(GROUPED, replace(GROUPED, replicas=1), running=3)[:2] == (ChangeClass.IN_PLACE, "replicas 3 -> 1")


def test_a_group_that_is_recreated_does_not_answer_meanwhile() -> None:
    before = rolled(GROUPED, 0, 0)

    assert change(before, replace(before, cpu=8), running=3)[3] is True


@pytest.mark.parametrize("path", ["", "/spec"])
def test_a_workload_that_differs_as_a_whole_restarts(path: str) -> None:
    wanted = workload_of(CHAT, PLAIN)
    live = LiveResource(wanted.key, {}, None, serving=Serving(1))

    assert RULES.effects(wanted, live, (FieldChange(path, ABSENT, {}),)).kind is ChangeClass.RESTART


def test_drift_by_hand_is_classed_by_what_healing_it_does() -> None:
    wanted = workload_of(TWO, PLAIN)

    def healed(path: str, old: Json, new: Json, running: int) -> ChangeClass:
        live = LiveResource(wanted.key, wanted.manifest, None, serving=Serving(running))
        return RULES.effects(wanted, live, (FieldChange(path, old, new),)).kind

    assert healed("/spec/replicas", 5, 2, 5) is ChangeClass.IN_PLACE
    assert healed("/spec/replicas", 0, 2, 0) is ChangeClass.RESUME
    assert healed("/spec/template/spec/containers/0/image", "other", "ours", 2) is ChangeClass.RESTART
    assert healed("/metadata/labels/app.kubernetes.io~1name", "other", "chat", 2) is ChangeClass.IN_PLACE


@pytest.mark.parametrize("kind", sorted(set(WRITTEN) - RULES.serves))
def test_nothing_else_restarts_anything(kind: str) -> None:
    story = {found.key.kind: found for workload in (BIG, BY_ADAPTER, SCALED) for found in render_workload(workload, EQUIPPED).resources}
    wanted = replace(story.get(kind, workload_of(CHAT, PLAIN)), key=workload_of(CHAT, PLAIN).key._replace(kind=kind))
    live = LiveResource(wanted.key, wanted.manifest, None)

    assert RULES.effects(wanted, live, (FieldChange("/spec/template/x", 1, 2),)).kind is ChangeClass.IN_PLACE


# The tables themselves


def rank(kind: str) -> int:
    (found,) = (index for index, kinds in enumerate(RULES.ranks) if kind in kinds)
    return found


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_kind_that_we_write_has_its_place_in_the_order(kind: str) -> None:
    assert 0 <= rank(kind) <= 4


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("Namespace", "ServiceAccount"),
        ("Namespace", "PersistentVolumeClaim"),
        ("ServiceAccount", "Deployment"),
        ("ConfigMap", "Deployment"),
        ("PersistentVolumeClaim", "LeaderWorkerSet"),
        ("Service", "Deployment"),
        ("NetworkPolicy", "Deployment"),
        ("Deployment", "HorizontalPodAutoscaler"),
        ("Deployment", "ScaledObject"),
        ("LeaderWorkerSet", "PodDisruptionBudget"),
    ],
)
def test_what_others_stand_on_comes_first(first: str, then: str) -> None:
    assert rank(first) < rank(then)


def test_the_tables_name_kinds_that_there_are() -> None:
    named = RULES.serves | RULES.shared | RULES.immutable.keys() | frozenset().union(*RULES.ranks)

    assert named <= set(KINDS)
    assert RULES.routes == frozenset()


@pytest.mark.parametrize(
    ("kind", "path", "immutable"),
    [
        ("Deployment", "/spec/selector/matchLabels/reconciler.dev~1endpoint", True),
        ("Deployment", "/spec/strategy/type", False),
        ("Deployment", "/spec/template/spec/nodeSelector", False),
        ("LeaderWorkerSet", "/spec/leaderWorkerTemplate/subGroupPolicy/subGroupSize", True),
        ("LeaderWorkerSet", "/spec/leaderWorkerTemplate/size", False),
        ("PersistentVolumeClaim", "/spec/accessModes/0", True),
        ("PersistentVolumeClaim", "/spec/storageClassName", True),
        ("PersistentVolumeClaim", "/spec/resources/requests/storage", False),
        ("Service", "/spec/clusterIP", True),
        ("Service", "/spec/type", False),
        ("PodDisruptionBudget", "/spec/selector/matchLabels/reconciler.dev~1endpoint", False),
        ("HorizontalPodAutoscaler", "/spec/scaleTargetRef/name", False),
    ],
)
def test_which_fields_cannot_change_in_place(kind: str, path: str, immutable: bool) -> None:
    assert covers(RULES.immutable.get(kind, ()), path) is immutable

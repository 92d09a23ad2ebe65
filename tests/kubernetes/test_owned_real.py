"""The no-change decision, judged by the server that it speaks for.

It must never say NOOP where a forced apply would change something; what else it says must be worth saying: DIFFERS where an apply changes
something, UNSURE seldom. `OWNED_CASES=10000 pytest ...` runs more random cases than the suite does.
"""

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import msgspec
import pytest
from controlplane import started
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from reconciler.change import ABSENT, FieldChange
from reconciler.plan.fields import field_changes
from reconciler.resource import Manifest
from reconciler.targets.kubernetes import quantity
from reconciler.targets.kubernetes.fields.authors import additions, writers
from reconciler.targets.kubernetes.fields.fieldwalk import Decision
from reconciler.targets.kubernetes.fields.owned import Owned, Verdict, owned_by, unchanged, verdict
from reconciler.targets.kubernetes.fields.projection import live_view
from reconciler.targets.kubernetes.kinds import MANAGER
from reconciler.targets.kubernetes.shapes import ManagedFields
from tests.kubernetes.owned_edits import Dice, edited
from tests.kubernetes.owned_manifests import (
    EVERY,
    LABELS,
    autoscaler,
    config_map,
    deployment,
    network_policy,
    service,
    service_account,
    small_deployment,
)
from tests.kubernetes.raw_api import RawApi, Refused, path_of
from tools.controlplane import ControlPlane

CASES = int(os.environ.get("OWNED_CASES", "200"))
NAMESPACE = "owned"
OTHERS = ("kubectl-edit", "kubectl", "helm", "kube-controller-manager", MANAGER)
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
ENTRIES = msgspec.json.Decoder(tuple[ManagedFields, ...])
ENGINE = "/spec/template/spec/containers/0"
REWRITTEN = {"has another value", "is a list of another length"}  # where the server puts its own in place of ours, at every apply
names = count()


@dataclass(frozen=True)
class Server:
    plane: ControlPlane
    api: RawApi

    def placed(self, manifest: Any, name: str = "") -> Any:
        """The manifest under a name that nobody had yet."""
        metadata = {**manifest["metadata"], "namespace": NAMESPACE, "name": name or f"object-{next(names)}"}
        return {**manifest, "metadata": metadata}

    def applied(self, make: Callable[[], Any]) -> Any:
        """A manifest that we have applied."""
        wanted = self.placed(make())
        self.api.apply(wanted)
        return wanted

    def kubectl(self, *words: str, wanted: Any = None) -> str:
        return self.plane.kubectl("-n", NAMESPACE, *words, input=None if wanted is None else json.dumps(wanted))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Without controllers: what moves here, a test has moved."""
    with ExitStack() as ending:
        plane = started(ending, "api")
        api = RawApi(plane.url, str(plane.ca), plane.tokens["admin"])
        ending.callback(api.close)
        plane.kubectl("create", "namespace", NAMESPACE)
        yield Server(plane, api)


@dataclass(frozen=True)
class Reading:
    """A live object, and everything that we make of it."""

    wanted: Any
    live: Any
    entries: tuple[ManagedFields, ...]
    owned: Owned
    verdict: Verdict

    @cached_property
    def view(self) -> Manifest:
        return live_view(self.wanted, self.live, self.owned)

    @cached_property
    def changes(self) -> tuple[FieldChange, ...]:
        return field_changes(self.view, self.wanted)

    @property
    def authors(self) -> dict[str, str]:
        """Of the fields that differ."""
        known = writers(self.wanted, self.view, self.entries, MANAGER)
        return {change.path: known[change.path].manager for change in self.changes if change.path in known}

    @property
    def additions(self) -> list[tuple[str, str]]:
        return [(path, author.manager) for path, author in additions(self.live, self.entries, MANAGER, CONTROLLERS)]


def read(server: Server, wanted: Any) -> Reading:
    live = server.api.get(wanted)
    entries = ENTRIES.decode(json.dumps(live["metadata"].get("managedFields", [])))
    owned = owned_by(entries, MANAGER, wanted["apiVersion"])
    return Reading(wanted, live, entries, owned, verdict(wanted, live, owned))


# The property


def _edit(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    api.put(edited(api.get(first), dice, dice.pick((1, 1, 2))), manager)


def _put_back(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    before = api.get(first)
    after = api.put(edited(before, dice), manager)
    restored = {name: value for name, value in before["metadata"].items() if name != "managedFields"}
    restored["resourceVersion"] = after["metadata"]["resourceVersion"]
    api.put({**before, "metadata": restored}, dice.pick(OTHERS))


def _apply(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    api.apply(edited(first, dice, dice.pick((0, 1, 2))), manager)


def _apply_some(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    metadata = {name: first["metadata"][name] for name in ("name", "namespace")}
    api.apply(edited({**first, "metadata": metadata}, dice, dice.pick((0, 1))), manager)


def _scale(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    api.merge(first, {"spec": {"replicas": dice.pick((0, 1, 2, 3))}}, manager, "/scale")


def _label(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    api.merge(first, {"metadata": {"labels": {dice.pick(tuple(LABELS)): dice.pick((None, "x"))}}}, manager)


def _disown(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    api.merge(first, {"metadata": {"managedFields": [{}]}}, manager)


def _status(api: RawApi, first: Any, dice: Dice, manager: str) -> None:
    api.merge(first, {"status": {"replicas": dice.pick((0, 1, 2))}}, manager, "/status")


WRITES = (_edit, _edit, _edit, _put_back, _apply, _apply_some, _scale, _label, _disown, _status)


def a_case(server: Server, dice: Dice) -> Reading:
    """An object that we and others have written, and what is wanted of it now."""
    base = server.placed(dice.pick(EVERY)())
    first = dice.pick((base, edited(base, dice, dice.pick((1, 2)))))
    if dice.one_in(6):
        _tried(lambda: server.api.create(edited(base, dice), "helm"))
    if not _tried(lambda: server.api.apply(first)):
        first = base
        _tried(lambda: server.api.apply(first))  # refused where it does not go with what helm made
    for _ in range(dice.pick((0, 0, 1, 1, 2, 3))):
        _tried(lambda: dice.pick(WRITES)(server.api, first, dice, dice.pick(OTHERS)))
    return read(server, dice.pick((first, first, base, edited(first, dice), edited(base, dice, 2))))


def _tried(write: Callable[[], object]) -> bool:
    """Many random writes make no sense."""
    try:
        write()
    except Refused:
        return False
    return True


def answer_to(server: Server, case: Reading) -> str:
    """Of the server: would an apply of ours change anything?"""
    try:
        answer = server.api.dry_run(case.wanted, case.live)
    except Refused:
        return "refused"
    return "same" if unchanged(case.live, answer) else "changed"


def test_the_server_never_changes_what_we_call_unchanged(server: Server) -> None:
    said: Counter[tuple[str, str]] = Counter()

    @settings(
        max_examples=CASES,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],  # a seed cannot be made smaller
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**48))
    def judge(seed: int) -> None:
        rolls = random.Random(seed)
        case = a_case(server, Dice([rolls.randrange(2**20) for _ in range(80)]))
        answer = answer_to(server, case)
        note(f"{case.verdict} {answer}\nwanted {case.wanted}\nlive {case.live}")
        said[case.verdict.decision.value, answer] += 1

        if case.verdict.decision is Decision.NOOP:
            assert answer == "same"
        if case.verdict.decision is Decision.DIFFERS and answer == "same":
            assert case.verdict.why in REWRITTEN
        assert (case.changes == ()) == (case.verdict.decision is Decision.NOOP)
        settled = field_changes(live_view(case.wanted, case.live, case.owned, settled=True), case.wanted)
        assert (settled == ()) == (case.verdict.decision is not Decision.DIFFERS)
        assert dict(case.authors).keys() <= {change.path for change in case.changes}
        assert isinstance(case.additions, list)

    judge()
    logging.getLogger(__name__).info("verdict and answer: %s", dict(said))
    same = {decision: number for (decision, answer), number in said.items() if answer == "same"}
    assert same[Decision.NOOP.value] > 0.8 * sum(same.values()), said  # it is worth having
    assert said[Decision.DIFFERS.value, "changed"] > 0.2 * CASES, said  # and the cases are worth trying


@pytest.mark.parametrize("make", EVERY)
def test_what_was_just_applied_is_unchanged(server: Server, make: Callable[[], Any]) -> None:
    wanted = server.applied(make)

    seen = read(server, wanted)

    careless = make is small_deployment
    assert seen.verdict.decision is (Decision.UNSURE if careless else Decision.NOOP), seen.verdict
    assert answer_to(server, seen) == "same"
    assert field_changes(live_view(wanted, seen.live, seen.owned, settled=True), wanted) == ()
    assert seen.additions == []


# What people do


@dataclass(frozen=True)
class Drift:
    """A write, and how it shows. writer: of every change that has one. lost: no writer, because the last owner took the field away."""

    write: Callable[[Server, Any], object]
    changes: dict[str, tuple[Any, Any]]
    writer: str = ""


def by_kubectl(*words: str) -> Callable[[Server, Any], object]:
    """kubectl with `NAME` for the Deployment."""
    return lambda server, wanted: server.kubectl(*(word.replace("NAME", f"deployment/{wanted['metadata']['name']}") for word in words))


def by_put(change: Callable[[Any], object], manager: str = "kubectl-edit", back: bool = False) -> Callable[[Server, Any], object]:
    """What `kubectl edit` sends. change: of the live object. back: and put back afterwards."""

    def write(server: Server, wanted: Any) -> None:
        before = server.api.get(wanted)
        after = deepcopy(before)
        change(after)
        version = server.api.put(after, manager)["metadata"]["resourceVersion"]
        if back:
            before["metadata"]["resourceVersion"] = version
            before["metadata"].pop("managedFields")
            server.api.put(before, manager)

    return write


def engine(live: Any) -> Any:
    return live["spec"]["template"]["spec"]["containers"][0]


def by_apply(manager: str, **spec: Any) -> Callable[[Server, Any], object]:
    def write(server: Server, wanted: Any) -> None:
        metadata = {name: wanted["metadata"][name] for name in ("name", "namespace")}
        server.api.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}, manager)

    return write


IMAGE = deployment()["spec"]["template"]["spec"]["containers"][0]["image"]
DRIFT = {
    "kubectl set image": Drift(by_kubectl("set", "image", "NAME", "engine=evil:1"), {f"{ENGINE}/image": ("evil:1", IMAGE)}, "kubectl-set"),
    "kubectl scale": Drift(by_kubectl("scale", "NAME", "--replicas=5"), {"/spec/replicas": (5, 2)}, "kubectl"),
    "kubectl scale to zero": Drift(by_kubectl("scale", "NAME", "--replicas=0"), {"/spec/replicas": (0, 2)}),
    "kubectl label": Drift(
        by_kubectl("label", "NAME", "--overwrite", "reconciler.dev/instance=other"),
        {"/metadata/labels/reconciler.dev~1instance": ("other", "default")},
        "kubectl-label",
    ),
    "a label taken away": Drift(
        by_kubectl("label", "NAME", "reconciler.dev/instance-"), {"/metadata/labels/reconciler.dev~1instance": (ABSENT, "default")}
    ),
    "kubectl edit of env": Drift(
        by_put(lambda live: engine(live)["env"][1].update(value="DEBUG")), {f"{ENGINE}/env/1/value": ("DEBUG", "INFO")}, "kubectl-edit"
    ),
    "env changed and put back": Drift(
        by_put(lambda live: engine(live)["env"][1].update(value="DEBUG"), back=True),
        {f"{ENGINE}/env/1/value": (ABSENT, "INFO")},
        "kubectl-edit",
    ),
    "env taken out of the middle": Drift(
        by_put(lambda live: engine(live)["env"].pop(1)),
        {f"{ENGINE}/env/1/name": (ABSENT, "VLLM_LOGGING_LEVEL"), f"{ENGINE}/env/1/value": (ABSENT, "INFO")},
    ),
    "the last port taken away": Drift(
        by_put(lambda live: engine(live)["ports"].pop(1)),
        {f"{ENGINE}/ports/1": (ABSENT, {"name": "metrics", "containerPort": 9000, "protocol": "TCP"})},
    ),
    "env in another order": Drift(
        by_put(lambda live: engine(live)["env"].insert(0, engine(live)["env"].pop(1))),
        {
            f"{ENGINE}/env/0/name": ("VLLM_LOGGING_LEVEL", "HF_HUB_OFFLINE"),
            f"{ENGINE}/env/0/value": ("INFO", "1"),
            f"{ENGINE}/env/1/name": ("HF_HUB_OFFLINE", "VLLM_LOGGING_LEVEL"),
            f"{ENGINE}/env/1/value": ("1", "INFO"),
        },
    ),
    "an argument more": Drift(
        by_put(lambda live: engine(live)["args"].append("--x")), {f"{ENGINE}/args/4": ("--x", ABSENT)}, "kubectl-edit"
    ),
    "a toleration more": Drift(
        by_put(lambda live: live["spec"]["template"]["spec"]["tolerations"].append({"key": "x", "operator": "Exists"})),
        {"/spec/template/spec/tolerations/1": ({"key": "x", "operator": "Exists"}, ABSENT)},
        "kubectl-edit",
    ),
    "memory in bytes": Drift(
        by_put(lambda live: engine(live)["resources"]["limits"].update(memory="65Gi")),
        {f"{ENGINE}/resources/limits/memory": ("65Gi", "64Gi")},
        "kubectl-edit",
    ),
    "another applier": Drift(by_apply("helm", replicas=7), {"/spec/replicas": (7, 2)}, "helm"),
    "an applier who agrees and then lets go": Drift(
        lambda server, wanted: [by_apply("helm", replicas=7)(server, wanted), by_apply("helm", paused=True)(server, wanted)],
        {"/spec/replicas": (1, 2)},
    ),
    "a plain write under our name": Drift(
        by_put(lambda live: engine(live).update(image="evil:1"), MANAGER), {f"{ENGINE}/image": ("evil:1", IMAGE)}, MANAGER
    ),
}


@pytest.mark.parametrize("drift", DRIFT.values(), ids=list(DRIFT))
def test_drift_shows_by_field_with_its_writer_and_an_apply_ends_it(server: Server, drift: Drift) -> None:
    wanted = server.applied(deployment)

    drift.write(server, wanted)
    seen = read(server, wanted)

    assert seen.verdict.decision is Decision.DIFFERS
    assert {change.path: (change.old, change.new) for change in seen.changes} == drift.changes
    assert seen.verdict.path in {*drift.changes, *(path.rpartition("/")[0] for path in drift.changes)}
    assert seen.authors == (dict.fromkeys(drift.changes, drift.writer) if drift.writer else {})
    server.api.apply(wanted)
    after = read(server, wanted)
    assert after.verdict.decision is Decision.NOOP
    assert answer_to(server, after) == "same"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda live: engine(live)["env"].append({"name": "X", "value": "1"}), f"{ENGINE}/env/5"),
        (lambda live: engine(live)["env"].insert(1, {"name": "X", "value": "1"}), f"{ENGINE}/env/1"),
        (
            lambda live: live["spec"]["template"]["spec"]["containers"].append({"name": "x", "image": "x"}),
            "/spec/template/spec/containers/1",
        ),
        (lambda live: engine(live).update(workingDir="/w"), f"{ENGINE}/workingDir"),
        (
            lambda live: engine(live)["resources"]["limits"].update({"example.com/fpga": "1"}),
            f"{ENGINE}/resources/limits/example.com~1fpga",
        ),
        (lambda live: live["spec"]["template"]["metadata"]["annotations"].update(x="1"), "/spec/template/metadata/annotations/x"),
        (lambda live: live["spec"].update(minReadySeconds=3), "/spec/minReadySeconds"),
    ],
)
@pytest.mark.parametrize("manager", ["kubectl-edit", MANAGER])
def test_an_addition_by_others_is_listed_and_no_change(server: Server, change: Callable[[Any], object], pointer: str, manager: str) -> None:
    wanted = server.applied(deployment)
    before = read(server, wanted)

    by_put(change, manager)(server, wanted)
    seen = read(server, wanted)

    # a port, an accelerator: what an addition stands beside stays equal, so nothing is planned
    assert before.additions == []
    assert (pointer, manager) in seen.additions
    assert answer_to(server, seen) == "same"
    assert seen.verdict.decision is (Decision.UNSURE if manager == MANAGER else Decision.NOOP)


def test_an_addition_inside_an_empty_map_of_ours_is_asked_about_and_listed(server: Server) -> None:
    wanted = server.applied(deployment)

    by_put(lambda live: live["spec"]["template"]["spec"]["volumes"][2].update(emptyDir={"medium": "Memory"}))(server, wanted)
    seen = read(server, wanted)

    assert seen.verdict.decision is Decision.UNSURE
    assert answer_to(server, seen) == "same"
    assert seen.additions == [("/spec/template/spec/volumes/2/emptyDir/medium", "kubectl-edit")]


def test_a_repair_by_hand_that_is_then_declared_is_asked_about(server: Server) -> None:
    """The values agree; that we own the field is what an apply still changes, and nothing in our entry says that the map was empty."""
    wanted = server.applied(deployment)
    by_put(lambda live: live["spec"]["template"]["spec"]["volumes"][2].update(emptyDir={"medium": "Memory"}))(server, wanted)
    wanted["spec"]["template"]["spec"]["volumes"][2] = {"name": "scratch", "emptyDir": {"medium": "Memory"}}

    seen = read(server, wanted)

    assert (seen.verdict.decision, seen.verdict.path) == (Decision.UNSURE, "/spec/template/spec/volumes/2/emptyDir")
    assert answer_to(server, seen) == "changed"
    assert [change.path for change in seen.changes] == ["/spec/template/spec/volumes/2/emptyDir"]


def test_another_spelling_is_asked_about_because_others_may_own_the_field_too(server: Server) -> None:
    wanted = server.applied(deployment)
    engine(wanted)["resources"]["limits"]["memory"] = "65536Mi"

    alone = read(server, wanted)
    assert (alone.verdict.decision, alone.verdict.path) == (Decision.UNSURE, f"{ENGINE}/resources/limits/memory")
    assert answer_to(server, alone) == "same"
    server.api.apply(deployment() | {"metadata": wanted["metadata"]}, "helm")
    assert answer_to(server, read(server, wanted)) == "changed"


def test_names_of_quantities_are_plain_text_in_a_config_map_and_a_custom_kind(server: Server) -> None:
    wanted = server.applied(config_map)
    server.api.merge(wanted, {"data": {"sizeLimit": "1Gi"}}, MANAGER)
    server.api.apply(wanted)
    wanted["data"]["sizeLimit"] = "1Gi"

    seen = read(server, wanted)

    assert seen.verdict.decision is Decision.DIFFERS
    assert answer_to(server, seen) == "changed"


def test_a_field_that_is_not_wanted_any_more_shows_until_it_is_gone(server: Server) -> None:
    wanted = server.applied(deployment)
    del engine(wanted)["env"][1], engine(wanted)["lifecycle"], wanted["spec"]["template"]["metadata"]["annotations"]

    seen = read(server, wanted)

    assert {change.path: (change.old, change.new) for change in seen.changes} == {
        f"{ENGINE}/env/4": ({"name": "VLLM_LOGGING_LEVEL", "value": "INFO"}, ABSENT),
        f"{ENGINE}/lifecycle": ({"preStop": {"exec": {"command": ["sleep", "5"]}}}, ABSENT),
        "/spec/template/metadata/annotations": ({"prometheus.io/scrape": "true"}, ABSENT),
    }
    server.api.apply(wanted)
    assert read(server, wanted).verdict.decision is Decision.NOOP


def test_a_zero_that_the_server_leaves_out_is_ours_and_goes_quietly(server: Server) -> None:
    wanted = server.applied(small_deployment)
    del wanted["spec"]["template"]["spec"]["hostNetwork"]

    seen = read(server, wanted)

    assert seen.verdict.decision is Decision.DIFFERS
    assert answer_to(server, seen) == "changed"
    assert [(change.path, change.old) for change in seen.changes] == [("/spec/template/spec/hostNetwork", None)]


def test_what_was_not_applied_by_us_is_wholly_absent(server: Server) -> None:
    wanted = server.placed(service())
    server.api.create(wanted, "kubectl-create")

    seen = read(server, wanted)

    assert (seen.verdict.decision, seen.verdict.path) == (Decision.DIFFERS, "")
    assert {change.path: change.old for change in seen.changes} == {
        "/metadata/annotations": ABSENT,
        "/metadata/labels": ABSENT,
        "/spec": ABSENT,
    }
    assert set(seen.authors.values()) == {"kubectl-create"}


def test_what_is_on_its_way_out_differs(server: Server) -> None:
    wanted = server.placed(service_account())
    wanted["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    server.api.apply(wanted)
    assert read(server, wanted).verdict.decision is Decision.NOOP
    server.api.request("DELETE", path_of(wanted))

    seen = read(server, wanted)

    assert (seen.verdict.decision, seen.verdict.path) == (Decision.DIFFERS, "/metadata/deletionTimestamp")
    assert [(change.path, change.new) for change in seen.changes] == [("/metadata/deletionTimestamp", ABSENT)]
    server.api.merge(wanted, {"metadata": {"finalizers": None}}, "kubectl")


def test_finalizers_of_others_between_ours_are_no_change(server: Server) -> None:
    wanted = server.placed(config_map())
    wanted["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    server.api.apply(wanted)
    server.api.merge(wanted, {"metadata": {"finalizers": ["example.com/a", "example.com/x", "example.com/b"]}}, "kubectl")

    assert read(server, wanted).verdict.decision is Decision.NOOP
    server.api.merge(wanted, {"metadata": {"finalizers": ["example.com/b", "example.com/a"]}}, "kubectl")
    assert read(server, wanted).verdict.decision is Decision.DIFFERS
    assert answer_to(server, read(server, wanted)) == "changed"
    server.api.merge(wanted, {"metadata": {"finalizers": None}}, "kubectl")


def test_replicas_of_an_autoscaler_are_no_addition(server: Server) -> None:
    wanted = server.placed(deployment())
    del wanted["spec"]["replicas"]
    server.api.apply(wanted)

    server.api.merge(wanted, {"spec": {"replicas": 4}}, "kube-controller-manager", "/scale")
    seen = read(server, wanted)

    assert seen.verdict.decision is Decision.NOOP
    assert seen.additions == []


def test_two_entries_of_one_writer_are_asked_about_because_the_server_joins_them(server: Server) -> None:
    wanted = server.placed(deployment())
    server.api.create(wanted, "helm")
    server.api.apply(wanted)

    server.api.merge(wanted, {"spec": {"replicas": 2}}, "helm", "/scale")
    seen = read(server, wanted)

    assert seen.verdict.decision is Decision.UNSURE
    assert answer_to(server, seen) == "changed"


def test_an_entry_of_another_version_of_the_kind_is_not_ours(server: Server) -> None:
    wanted = server.placed(autoscaler())
    older = {**wanted, "apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 8, "scaleTargetRef": wanted["spec"]["scaleTargetRef"]}}
    server.api.apply(older)

    seen = read(server, wanted)

    assert (seen.verdict.decision, seen.verdict.path) == (Decision.DIFFERS, "")


def test_a_policy_of_another_writer_is_overwritten_as_one_value(server: Server) -> None:
    wanted = server.applied(network_policy)

    by_put(lambda live: live["spec"]["ingress"][0]["ports"].append({"port": 22, "protocol": "TCP"}))(server, wanted)
    seen = read(server, wanted)

    assert {change.path: change.new for change in seen.changes} == {"/spec/ingress/0/ports/2": ABSENT}
    assert seen.authors == {"/spec/ingress/0/ports/2": "kubectl-edit"}


# Quantities

TEXTS = (
    *("1", "1000m", "1024Mi", "1Gi", "1.5Gi", "1536Mi", "0.5Ki", "2000", "2k", "1.0001Ki", "500m", "0.5", "0.1", "1e3", "12e2", "1E3"),
    *("005", "1.500", "0.500", "5.", ".5", "+5", "1e-9", "1e-10", "16G", "16384Mi", "1Ei", "9Ei", "1E", "1e4", "100000000000000000000"),
)


def test_the_server_stores_quantities_as_we_say(server: Server) -> None:
    def metric(index: int, text: str) -> Any:
        target = {"type": "AverageValue", "averageValue": text}
        return {"type": "External", "external": {"metric": {"name": f"m{index}"}, "target": target}}

    wanted = server.placed(autoscaler())
    wanted["spec"]["metrics"] = [metric(index, text) for index, text in enumerate(TEXTS)]

    answer = server.api.apply(wanted, dryRun="All")

    stored = [one["external"]["target"]["averageValue"] for one in answer["spec"]["metrics"]]
    assert stored == [quantity.canonical(text) for text in TEXTS]


@pytest.mark.parametrize("size", [1, 1000, 1024, 2**30, 1536 * 2**20, 16 * 10**9, 3 * 2**20 + 1])
def test_what_we_write_is_what_is_stored(server: Server, size: int) -> None:
    wanted = server.placed(deployment())
    engine(wanted)["resources"]["limits"] = {"cpu": quantity.of_cores(size / 7), "memory": quantity.of_bytes(size)}
    engine(wanted)["resources"]["requests"] = {}

    stored = engine(server.api.apply(wanted, dryRun="All"))

    assert stored["resources"]["limits"] == engine(wanted)["resources"]["limits"]

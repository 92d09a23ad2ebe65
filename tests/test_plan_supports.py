"""More than one resource per endpoint: what a workload stands on comes with it and goes with it, and what may stay, stays.

The tables are those of a Kubernetes cluster; the rules are the plan's and hold for any target.
"""

from dataclasses import replace

import pytest

from reconciler.change import ChangeClass, Plan, Reason, Update
from reconciler.desired import Desired, TargetSpec
from reconciler.plan.make import make_plan
from reconciler.plan.situation import Situation
from reconciler.resource import Json, Live, LiveResource, Observation, Resource, ResourceKey
from tests.fleet import APPLIED, EDGE, NOW, NOWHERE, REPO, TARGETS, address, desired, draining, live, owner_of, route, said, serving, why

K8S = "gpu-east"
SPECS = {**TARGETS, K8S: TargetSpec(K8S, "kubernetes", drain_seconds=30)}
DEPLOYMENT, SERVICE, ROUTE = f"{K8S}: Deployment/team-a/a", f"{K8S}: Service/team-a/a", f"{EDGE}: Route/team-a/a"
OTHERS = ("x", "y", "z", "u", "v")  # so that no guard has a word in this


def thing(kind: str, name: str = "a", *, owner: str = "", **spec: Json) -> Resource:
    key = ResourceKey(K8S, kind, "team-a", name)
    return Resource.make(key, {"kind": kind, "spec": spec}, owner=owner or owner_of(name), source=f"{name}.yaml:1")


def workload(name: str = "a", replicas: int = 2, **spec: Json) -> Resource:
    return thing("Deployment", name, replicas=replicas, **spec)


def to(name: str = "a") -> Resource:
    return route(name, workload(name).key)


def runs(wanted: Resource, ready: int = 2, of: int = 2, **changes: object) -> LiveResource:
    return live(wanted, serving=serving(ready, of), addresses=(address(wanted.key),), **changes)


def whole(*names: str) -> list[Resource]:
    return [part for name in names for part in (workload(name), thing("Service", name), to(name))]


def world(*resources: Resource | LiveResource) -> Live:
    found = [one if isinstance(one, LiveResource) else runs(one) if one.key.kind == "Deployment" else live(one) for one in resources]
    return {name: Observation(name, {one.key: one for one in found if one.key.target == name}) for name in SPECS}


def plan(wanted: Desired, seen: Live) -> Plan:
    return make_plan(replace(wanted, targets=SPECS), seen, Situation(NOW, applied=APPLIED, targets=SPECS))


def test_an_endpoint_that_is_removed_loses_its_route_first_and_keeps_what_its_workload_stands_on() -> None:
    found = plan(desired(*whole(*OTHERS)), world(*whole("a", *OTHERS)))

    assert said(found) == [f"delete {ROUTE}", f"waiting: delete {DEPLOYMENT}", f"waiting: delete {SERVICE}"]
    assert f"goes with {DEPLOYMENT}, which waits for {ROUTE} to leave it" in why(found)


def test_and_all_of_it_goes_once_traffic_has_drained() -> None:
    gone = draining(to(), workload().key, since=NOW - 31)
    found = plan(desired(*whole(*OTHERS)), world(workload(), thing("Service"), gone, *whole(*OTHERS)))

    assert said(found) == [f"delete {ROUTE}", f"delete {DEPLOYMENT}", f"delete {SERVICE}"]


def test_what_a_workload_has_no_use_for_any_more_just_goes() -> None:
    found = plan(desired(workload(), to()), world(workload(), to(), thing("PodDisruptionBudget")))
    (change,) = found.changes

    assert said(found) == [f"delete {K8S}: PodDisruptionBudget/team-a/a"]
    assert change.effects.kind is ChangeClass.IN_PLACE, "the endpoint is not deleted, and no guard counts it"


@pytest.mark.parametrize("mark", ["nobody's", "another instance's"])
def test_a_kind_that_is_shared_is_no_conflict_and_no_change_whoever_made_it(mark: str) -> None:
    namespace = thing("Namespace", "team-a", owner="Workspace/team-a")
    theirs = live(namespace, mark=None if mark == "nobody's" else replace(namespace.mark("other", REPO)))

    assert said(plan(desired(namespace), world(theirs))) == []
    assert said(plan(desired(namespace), world())) == [f"create {K8S}: Namespace/team-a/team-a"]


@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_what_its_target_says_is_kept_is_never_deleted(kind: str) -> None:
    deployment, service = runs(workload()), live(thing("Service"))
    kept = {"Deployment": deployment, "Service": service}
    kept[kind] = replace(kept[kind], kept="its annotation says so")
    found = plan(desired(*whole(*OTHERS)), world(*kept.values(), *whole(*OTHERS)))
    held = {str(one.change.key): one.text for one in found.held if one.change and one.reason is Reason.PROTECTED}

    if kind == "Deployment":
        assert held == {DEPLOYMENT: "its annotation says so", SERVICE: f"{DEPLOYMENT} stands on it: its annotation says so"}
    else:
        assert held == {SERVICE: "its annotation says so"}


def test_what_is_on_its_way_out_is_waited_for_and_not_deleted_again() -> None:
    leaving = live(thing("Service"), leaving=True)

    waits = plan(desired(thing("Service")), world(leaving))
    assert said(waits) == [f"waiting: create {SERVICE}"]
    assert why(waits) == "waits until the one that is being deleted is gone"
    assert said(plan(desired(*whole(*OTHERS)), world(leaving, *whole(*OTHERS)))) == []


def test_a_pause_that_is_an_update_waits_until_traffic_has_left_and_counts_as_a_delete() -> None:
    asleep, quiet = workload(replicas=0), route("a", *NOWHERE)
    wanted = desired(asleep, quiet, *whole(*OTHERS), asleep=["a"])
    found = plan(wanted, world(workload(), to(), *whole(*OTHERS)))

    assert said(found) == [f"update {ROUTE}", f"waiting: update {DEPLOYMENT}"]
    (pause,) = [one.change for one in found.held if isinstance(one.change, Update)]
    assert pause.effects.kind is ChangeClass.PAUSE

    drained = live(quiet, binding=draining(to(), workload().key, since=NOW - 31).binding)
    assert said(plan(wanted, world(workload(), drained, *whole(*OTHERS)))) == [f"rebind {ROUTE}", f"update {DEPLOYMENT}"]


def test_too_many_pauses_at_once_are_held_by_the_guard() -> None:
    names = ("a", "b", "c", "d", "e")
    paused = [part for name in names for part in (workload(name, 0), route(name, *NOWHERE))]
    wanted = desired(*paused, asleep=names)
    found = plan(wanted, world(*(part for name in names for part in (workload(name), to(name)))))

    assert {one.reason for one in found.held} == {Reason.GUARD}


def test_a_route_does_not_open_to_a_workload_that_has_yet_to_wake() -> None:
    asleep = runs(workload(replicas=0), ready=0, of=0)
    found = plan(desired(workload(), to()), world(asleep, route("a", *NOWHERE)))

    assert said(found) == [f"waiting: update {ROUTE}", f"update {DEPLOYMENT}"]


def test_a_field_that_differs_says_who_wrote_it_and_the_digest_does_not() -> None:
    by_hand = runs(replace(workload(), manifest=workload(replicas=5).manifest), writers={"/spec/replicas": "kubectl-edit at 10:00"})
    found = plan(desired(workload(), to()), world(by_hand, to()))
    (change,) = found.changes
    assert isinstance(change, Update)
    unsigned = plan(desired(workload(), to()), world(replace(by_hand, writers={}), to()))

    assert [(field.path, field.old, field.new, field.by) for field in change.fields] == [("/spec/replicas", 5, 2, "kubectl-edit at 10:00")]
    assert found.digest == unsigned.digest

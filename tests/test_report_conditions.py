"""Conditions beside the word: derived from it, under the names that Kubernetes tools know."""

from dataclasses import replace

import pytest

from reconciler.report.conditions import conditions_of
from reconciler.report.model import EndpointStatus
from reconciler.resource import Health

STATUS = EndpointStatus("Endpoint/team-a/chat", Health.READY, "Ready", routed=True)


def true_of(status: EndpointStatus) -> set[str]:
    return {one.type for one in conditions_of(status) if one.status == "True"}


@pytest.mark.parametrize(
    ("word", "reason", "true"),
    [
        (Health.READY, "Ready", {"Ready"}),
        (Health.STARTING, "Starting", {"Reconciling"}),
        (Health.MODEL_DOWNLOADING, "Downloading", {"Reconciling"}),
        (Health.UPDATING, "RollingUpdate", {"Reconciling"}),
        (Health.DELETING, "Pruned", {"Reconciling"}),
        (Health.ERROR, "OOMKilled", {"Stalled"}),
        (Health.DEGRADED, "CrashLoopBackOff", {"Degraded"}),
        (Health.DEGRADED, "ProgressDeadlineExceeded", {"Degraded", "Stalled"}),
        (Health.PENDING, "Unschedulable", set()),
        (Health.PAUSED, "Paused", set()),
        (Health.SCALED_DOWN, "Idle", set()),
    ],
)
def test_what_is_true_of_a_word(word: Health, reason: str, true: set[str]) -> None:
    assert true_of(replace(STATUS, word=word, reason=reason)) == true | {"RoutePublished", "Reconciled"}


def test_drift_and_what_is_left_to_do_stand_beside_it() -> None:
    assert true_of(replace(STATUS, drifted=True, settled=False, routed=False)) == {"Ready", "Drifted"}


def test_a_cluster_that_cannot_be_read_makes_all_but_the_route_unknown() -> None:
    found = {one.type: one.status for one in conditions_of(replace(STATUS, word=Health.UNKNOWN, reason="TargetUnreachable"))}

    assert found.pop("RoutePublished") == "True"
    assert set(found.values()) == {"Unknown"}

"""Admission policies and quotas of a cluster, as its administrators set them. Each ends with its block, and stands in force when it begins.

A policy takes effect a moment after it was written, so a dry run is asked until its answer shows it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.kubernetes.kube_site import Object, Site, wait_until
from tests.kubernetes.raw_api import Refused

API = "/apis/admissionregistration.k8s.io/v1"
MODE = "sim.reconciler.dev/mode"  # label of a pod: what the simulated node makes of it
ASKED = "SIM_MODE"  # variable of an endpoint's environment that says so


@contextmanager
def modes(site: Site) -> Iterator[None]:
    """Pods of the site fail as their endpoint's environment says: SIM_MODE is crash, pull or stuck."""
    asked = f"object.spec.containers[0].?env.orValue([]).filter(e, e.name == '{ASKED}')"
    label = f"JSONPatch{{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('{MODE}'), value: {asked}[0].value}}"
    pod = {
        "metadata": {"name": "probe", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "a", "image": "a", "env": [env("crash")]}]},
    }

    def works() -> bool:
        made = site.api.request("POST", f"/api/v1/namespaces/{site.namespace}/pods", pod, dryRun="All")
        return MODE in made["metadata"]["labels"]

    with policy(site, "mutating", "pods", works, conditions=f"size({asked}) > 0", mutations=[json_patch(f"[{label}]")]):
        yield


def env(mode: str) -> Object:
    return {"name": ASKED, "value": mode}


def json_patch(expression: str) -> Object:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


@contextmanager
def rewriting(
    site: Site, resource: str, patch: str, works: Callable[[], bool], verbs: tuple[str, ...] = ("CREATE", "UPDATE")
) -> Iterator[None]:
    """A MutatingAdmissionPolicy with this JSON patch (CEL). works: does a dry run show it?"""
    with policy(site, "mutating", resource, works, verbs, mutations=[json_patch(patch)]):
        yield


@contextmanager
def refusing(site: Site, resource: str, allowed: str, message: str, probe: Callable[[], object]) -> Iterator[None]:
    """A ValidatingAdmissionPolicy: only what makes this CEL expression true. probe: something that it refuses."""

    def works() -> bool:
        try:
            probe()
        except Refused as refused:
            return message in str(refused)
        return False

    with policy(site, "validating", resource, works, validations=[{"expression": allowed, "message": message}]):
        yield


@contextmanager
def policy(
    site: Site,
    kind: str,
    resource: str,
    works: Callable[[], bool],
    verbs: tuple[str, ...] = ("CREATE", "UPDATE"),
    conditions: str = "",
    **rules: Any,
) -> Iterator[None]:
    """For one resource (`deployments`) in the namespace of the site."""
    name = f"{kind}-{resource}-{site.id}"
    group = "apps" if resource == "deployments" else ""
    wanted = [{"apiGroups": [group], "apiVersions": ["v1"], "operations": list(verbs), "resources": [resource]}]
    spec: Object = {"matchConstraints": {"resourceRules": wanted}, "failurePolicy": "Fail", **rules}
    bound: Object = {
        "policyName": name,
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": site.namespace}}},
    }
    if conditions:
        spec["matchConditions"] = [{"name": "asked", "expression": conditions}]
    if kind == "mutating":
        spec["reinvocationPolicy"] = "Never"
    else:
        bound["validationActions"] = ["Deny"]
    paths = (f"{API}/{kind}admissionpolicies", f"{API}/{kind}admissionpolicybindings")
    try:
        for path, body in zip(paths, (spec, bound), strict=True):
            site.api.request("POST", path, {"metadata": {"name": name}, "spec": body})
        wait_until(works, f"{name} does not work")
        yield
    finally:
        for path in paths:
            site.api.request("DELETE", f"{path}/{name}")


def set_quota(site: Site, **hard: str) -> None:
    """At most so much in the namespace; in force when the controller has counted."""
    path = f"/api/v1/namespaces/{site.namespace}/resourcequotas"
    site.api.request("POST", path, {"metadata": {"name": "small"}, "spec": {"hard": hard}})
    wait_until(lambda: site.api.request("GET", f"{path}/small").get("status", {}).get("hard") == hard, "the quota was not counted")


def lift_quota(site: Site) -> None:
    site.api.request("DELETE", f"/api/v1/namespaces/{site.namespace}/resourcequotas/small")

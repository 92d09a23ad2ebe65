"""Endpoints and ApiKeys as resources of the gateway."""

import json

from envoy_states import SPEC, workload

from reconciler.change import ChangeClass, FieldChange
from reconciler.resource import DriftMode, LiveResource
from reconciler.targets import registry
from reconciler.targets.envoy.manifest import read_key, read_route
from reconciler.targets.envoy.render import render_key, render_route
from reconciler.targets.rendering import Backend, Credential, Key, Meta, Route

META = Meta("Endpoint/team-a/chat", "chat.yaml:1", protect=True, drift="report")
BACKEND = Backend(workload("team-a/chat"), "/team-a/chat")
ROUTE = Route(META, "team-a", "chat", ("team-a/chat", "qwen"), "qwen", ("POST /v1/b", "GET /v1/a"), (BACKEND,), "random", 300.0)


def test_a_route_is_named_as_its_endpoint_and_needs_its_backends() -> None:
    [found] = render_route(ROUTE, SPEC)
    assert str(found.key) == "public: Route/team-a/chat"
    assert found.needs == (BACKEND.key,)
    assert (found.owner, found.source, found.protect, found.drift) == (META.owner, META.source, True, DriftMode.REPORT)
    assert found.manifest["paths"] == ["GET /v1/a", "POST /v1/b"]
    assert found.manifest["grants"] == ["*", "ep:team-a/chat", "ws:team-a"]


def test_a_paused_route_has_no_backend() -> None:
    [found] = render_route(Route(META, "team-a", "chat", ("team-a/chat",), "", (), (BACKEND,), "random", 300.0, paused=True), SPEC)
    assert found.needs == ()
    assert found.manifest["backends"] == []


def test_a_manifest_survives_json_and_its_typed_form() -> None:
    [route] = render_route(ROUTE, SPEC)
    rows = (Credential("b", "f" * 64), Credential("a", "0" * 64, "2030-01-01T00:00:00Z"))
    [key] = render_key(Key(Meta("ApiKey/team-a/ci", "k.yaml:1"), "team-a", "ci", rows, ("ws:team-a", "ep:x/y")), SPEC)
    for resource, read in ((route, read_route), (key, read_key)):
        assert json.loads(json.dumps(resource.manifest)) == resource.manifest
        assert read(resource.manifest, "manifest").as_json() == resource.manifest


def test_the_order_of_credentials_and_grants_moves_no_digest() -> None:
    rows = (Credential("b", "f" * 64), Credential("a", "0" * 64))
    meta = Meta("ApiKey/team-a/ci", "k.yaml:1")
    [one] = render_key(Key(meta, "team-a", "ci", rows, ("ws:a", "ep:b/c")), SPEC)
    [other] = render_key(Key(meta, "team-a", "ci", rows[::-1], ("ep:b/c", "ws:a")), SPEC)
    assert one.digest == other.digest


def test_every_update_of_a_gateway_is_traffic() -> None:
    rules = registry.rules_of("envoy")
    [wanted] = render_route(ROUTE, SPEC)
    live = LiveResource(wanted.key, wanted.manifest, None)
    for path in ("/paused", "/backends/0/target", "/models/1", "/strategy", "/mark/owner"):
        effects = rules.effects(wanted, live, (FieldChange(path, 1, 2),))
        assert (effects.kind, effects.restarts, effects.downtime) == (ChangeClass.TRAFFIC, 0, False)
    assert not rules.serves
    assert rules.routes == {"Route"}

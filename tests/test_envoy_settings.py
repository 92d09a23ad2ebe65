"""What a Gateway declares, as the target takes it."""

import pytest
from envoy_states import SPEC

from reconciler.desired import TargetSpec
from reconciler.errors import TargetRefused
from reconciler.resource import Json
from reconciler.targets.envoy.settings import GatewaySettings, read_settings


def spec(**settings: Json) -> TargetSpec:
    return TargetSpec("public", "envoy", settings, source="gateway.yaml:1")


def test_defaults_and_given_values() -> None:
    assert read_settings(spec()) == GatewaySettings("public", "gateway", False, "127.0.0.1", 8080, 10 * 2**20, 0)
    given = spec(directory="g/public", run=True, address="::", port=443, maxRequestBytes=7, baseUrl="https://x")
    assert read_settings(given) == GatewaySettings("public", "g/public", True, "::", 443, 7, 0)
    assert read_settings(SPEC).port == 8080


@pytest.mark.parametrize(
    "settings",
    [
        {"directory": "/etc"},
        {"directory": "a/../../b"},
        {"directory": ""},
        {"address": "localhost"},
        {"address": 1},
        {"port": 0},
        {"port": True},
        {"port": "80"},
        {"maxRequestBytes": 0},
        {"maxRequestBytes": 2**32},
        {"workers": -1},
    ],
)
def test_what_no_gateway_can_be_made_of(settings: dict[str, Json]) -> None:
    with pytest.raises(TargetRefused) as caught:
        read_settings(spec(**settings))
    assert caught.value.problem.where == "gateway.yaml:1"
    assert caught.value.problem.todo
